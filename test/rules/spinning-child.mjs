/**
 * A child whose task spins for ever, after it has left a sign of itself. Its process has inherited how
 * TypeScript is loaded; its dead-man thread has not.
 */
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
const { runChild } = await import('../../node/worker/child.ts');
const spin = {
  type: 'spin',
  run: ({ payload }) => {
    writeFileSync(payload, 'spinning');
    for (;;);
  },
};
runChild([spin], new URL(import.meta.url));
