/**
 * The entry of a child with the handlers of the tests. Its process has inherited how TypeScript is
 * loaded; its thread has not.
 */
import { isMainThread } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
const { runChild } = await import('../../node/worker/child.ts');
const { isolatedHandlers } = isMainThread
  ? await import('./isolated-handlers.ts')
  : { isolatedHandlers: [] };
runChild(isolatedHandlers, new URL(import.meta.url));
