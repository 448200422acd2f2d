/**
 * The entry of a child process from the sources. The process has inherited how TypeScript is loaded; its
 * dead-man thread has not.
 */
import { isMainThread } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
const { runChild } = await import('../../node/worker/child.ts');
const { builtInHandlers } = await import('../../node/handlers/built-in.ts');
runChild(builtInHandlers, new URL(import.meta.url));
