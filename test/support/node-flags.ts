import { parseArgs } from 'node:util';
import { SETTINGS } from '../../node/settings.ts';

/** The flags of this process as the command `node` takes them, for modules that are run in its place. */
export function nodeFlags(): Readonly<Record<string, unknown>> {
  const options = Object.fromEntries(
    SETTINGS.map(({ flag, argument }) => [
      flag.slice(2),
      { type: argument === '' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  const { values } = parseArgs({ options, allowPositionals: true });
  return Object.fromEntries(SETTINGS.map(({ key, flag }) => [key, values[flag.slice(2)]] as const));
}
