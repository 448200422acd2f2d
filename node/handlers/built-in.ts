import type { Handler } from '../core/handler.ts';
import { createAddressGuard } from './address-guard.ts';
import { createHttp } from './http.ts';
import { noop } from './noop.ts';
import { shell } from './shell.ts';
import { sleep } from './sleep.ts';

/** The handlers that need no setting. */
export const builtInHandlers: readonly Handler[] = [sleep, noop];

/** What the settings of a node say of its built-in types. */
export interface BuiltInSettings {
  readonly httpAllow: readonly string[];
  readonly allowShell: boolean;
}

/** All that a node of these settings has. */
export function builtInsOf({ httpAllow, allowShell }: BuiltInSettings): readonly Handler[] {
  const http = createHttp({ guard: createAddressGuard(httpAllow) });
  return [...builtInHandlers, http, ...(allowShell ? [shell] : [])];
}
