import { isMainThread } from 'node:worker_threads';
import { builtInsOf, type BuiltInSettings } from './handlers/built-in.ts';
import { runChild, settingsOfChild } from './worker/child.ts';

// The entry of a child process and of its dead-man thread, which has no settings and runs no task.
runChild(
  isMainThread ? builtInsOf(settingsOfChild() as BuiltInSettings) : [],
  new URL(import.meta.url),
);
