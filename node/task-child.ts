import type { BuiltInSettings } from './handlers/built-in.ts';
import { runChild, settingsOfChild } from './worker/child.ts';

// The entry of the processes that tasks run in, and of their threads.
runChild(
  async () => {
    const { builtInsOf } = await import('./handlers/built-in.ts');
    return builtInsOf(settingsOfChild() as BuiltInSettings);
  },
  new URL(import.meta.url),
);
