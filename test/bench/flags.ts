import { parseArgs } from 'node:util';

/** What was asked for on the command line. */
export interface Flags {
  /** In the order of the catalogue. */
  readonly only: readonly string[];
  readonly runs: number;
  readonly tasks: number;
  readonly peers: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

/** Throws a sentence for the user where they make no sense. */
export function flagsOf(args: readonly string[], names: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      runs: { type: 'string', default: '5' },
      tasks: { type: 'string', default: '100000' },
      peers: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only?.flatMap((list) => list.split(',')).filter((name) => name !== '');
  for (const name of wanted ?? []) {
    if (!names.includes(name)) throw new Error(`--only: there is no scenario ${name}`);
  }
  const only = wanted ?? (values.peers ? [] : names);
  return {
    only: names.filter((name) => only.includes(name)),
    runs: countOrThrow('--runs', values.runs, 1),
    tasks: countOrThrow('--tasks', values.tasks, 100),
    peers: values.peers,
    json: values.json,
    help: values.help,
  };
}

function countOrThrow(flag: string, text: string, min: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`${flag} must be a whole number, ${String(min)} or more, not ${text}`);
}
