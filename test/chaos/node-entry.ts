import { parseArgs } from 'node:util';
import { SETTINGS } from '../../node/config.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { runNode } from '../../node/run-node.ts';
import { chaosHandlers } from './handlers.ts';

/** `skein node` with the handlers of the chaos, by the same composition and the same flags. */
const options = Object.fromEntries(
  SETTINGS.map(({ flag, argument }) => [
    flag.slice(2),
    { type: argument === '' ? ('boolean' as const) : ('string' as const) },
  ]),
);
const { values } = parseArgs({ options, allowPositionals: true });
const flags = Object.fromEntries(
  SETTINGS.map(({ key, flag }) => [key, values[flag.slice(2)]] as const),
);

const code = await runNode(flags, {
  handlers: [...builtInHandlers, ...chaosHandlers('node')],
  childEntry: new URL('child-entry.mjs', import.meta.url),
});
// Nothing that a handler left open may keep the process of a node that has ended.
process.exit(code);
