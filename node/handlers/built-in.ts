import type { Handler } from '../core/handler.ts';
import { noop } from './noop.ts';
import { sleep } from './sleep.ts';

/** The handlers that every node has. */
export const builtInHandlers: readonly Handler[] = [sleep, noop];
