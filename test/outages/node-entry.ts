import { parseArgs } from 'node:util';
import { SETTINGS } from '../../node/config.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { runNode } from '../../node/run-node.ts';

/** `skein node` from the sources, whose tasks can run in a process of their own there too. */
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

const childEntry = new URL('child-entry.mjs', import.meta.url);
process.exitCode = await runNode(flags, { handlers: builtInHandlers, childEntry });
