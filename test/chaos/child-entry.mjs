/**
 * The entry of a child of a node under chaos. Its process has inherited how TypeScript is loaded; its
 * dead-man thread has not.
 */
import { isMainThread } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
const { runChild } = await import('../../node/worker/child.ts');
const handlers = isMainThread ? (await import('./handlers.ts')).chaosHandlers('child') : [];
runChild(handlers, new URL(import.meta.url));
