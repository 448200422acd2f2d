import { builtInHandlers } from './handlers/built-in.ts';
import { runChild } from './worker/child.ts';

// The entry of a child process and of its dead-man thread.
runChild(builtInHandlers, new URL(import.meta.url));
