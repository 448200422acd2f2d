import { builtInsOf, type BuiltInSettings } from './handlers/built-in.ts';
import { runChild, settingsOfChild } from './worker/child.ts';

// The entry of a child process and of its dead-man thread.
runChild(builtInsOf(settingsOfChild() as BuiltInSettings), new URL(import.meta.url));
