import { appendFileSync } from 'node:fs';
import path from 'node:path';
import type { Handler } from '../../node/core/handler.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { runNode } from '../../node/run-node.ts';
import { nodeFlags } from '../support/node-flags.ts';

/** Where each process writes when its handlers were told to stop, a file of its own. */
export const HEEDED_VARIABLE = 'SKEIN_TEST_HEEDED';

/** Runs until it is told to stop, and writes down when that was, by the clock of the machine. */
const heeding: Handler = {
  type: 'heeding',
  run: (task, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        const atNs = process.hrtime.bigint();
        const file = path.join(process.env[HEEDED_VARIABLE] ?? '.', `${String(process.pid)}.txt`);
        appendFileSync(file, `${task.id} ${String(atNs)}\n`);
        reject(new Error('told to stop'));
      });
    }),
};

/** `skein node` with that handler. */
const childEntry = new URL('../outages/child-entry.mjs', import.meta.url);
const handlers = [...builtInHandlers, heeding];
const code = await runNode(nodeFlags(), { handlers, childEntry });
process.exit(code);
