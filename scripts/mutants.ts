import { parseArgs } from 'node:util';
import { MUTANTS } from '../test/mutants/list.ts';
import { isTestKiller, type Killer, type Mutant } from '../test/mutants/mutant.ts';
import { runMutants, type Result } from '../test/mutants/run.ts';

/**
 * Seeds bugs of the protocol into a copy of the sources, one at a time, and shows what kills each: a
 * named test, or the simulation within a bounded number of seeds. Exits with 1 when one survives or
 * cannot be applied, or when its killer fails on the sources as they are.
 */
const HELP = `npm run mutants -- [flags]

  --only NAME  one mutant of the list; may be repeated
  --list       the list, without trying any
  --lanes N    mutants tried at once (2)
  --json       one line of JSON for each`;

const PAD = { name: Math.max(...MUTANTS.map(({ name }) => name.length)) + 2, rule: 9 };

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      lanes: { type: 'string', default: '2' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(HELP);
    return 0;
  }
  const mutants = chosen(values.only);
  const lanes = Number(values.lanes);
  if (mutants === undefined || !Number.isInteger(lanes) || lanes < 1) {
    process.stderr.write(`${HELP}\n`);
    return 2;
  }
  if (values.list) {
    for (const mutant of mutants) say(values.json ? JSON.stringify(mutant) : lineOf(mutant));
    return 0;
  }
  return (await tryAll(mutants, lanes, values.json)) ? 0 : 1;
}

function chosen(names: readonly string[]): readonly Mutant[] | undefined {
  if (names.length === 0) return MUTANTS;
  const mutants = MUTANTS.filter(({ name }) => names.includes(name));
  return mutants.length === new Set(names).size ? mutants : undefined;
}

async function tryAll(
  mutants: readonly Mutant[],
  lanes: number,
  isJson: boolean,
): Promise<boolean> {
  const begunMs = performance.now();
  const stopping = new AbortController();
  const stop = (): void => {
    stopping.abort(new Error('interrupted'));
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const killed = new Set(mutants);
  if (!isJson) say(`${'mutant'.padEnd(PAD.name)}${'rule'.padEnd(PAD.rule)}killed by, after`);
  const isSound = await runMutants({
    mutants,
    lanes: Math.min(lanes, mutants.length),
    signal: stopping.signal,
    onFault: (fault) => process.stderr.write(`${fault}\n`),
    onResult: (result) => {
      if (result.verdict.kind !== 'killed') killed.delete(result.mutant);
      say(isJson ? JSON.stringify(figuresOf(result)) : rowOf(result));
    },
  });
  if (!isJson) {
    const seconds = ((performance.now() - begunMs) / 1000).toFixed(0);
    say(`${String(killed.size)} of ${String(mutants.length)} mutants killed, in ${seconds} s`);
  }
  return isSound;
}

function rowOf({ mutant, killer, verdict }: Result): string {
  const { kind, by, seconds } = verdict;
  const start = mutant.name.padEnd(PAD.name) + mutant.rule.padEnd(PAD.rule);
  if (kind !== 'killed') return `${start}${kind.toUpperCase()}: ${by} (${killerText(killer)})`;
  const where = isTestKiller(killer) ? `${killer.test}: ` : 'simulation: ';
  return `${start}${where}${by}, ${seconds.toFixed(1)} s`;
}

function figuresOf({ mutant, killer, verdict }: Result): Readonly<Record<string, unknown>> {
  const { name, rule, file } = mutant;
  return { mutant: name, rule, file, killer, verdict: verdict.kind, ...verdict, kind: undefined };
}

function lineOf({ name, rule, file, killedBy }: Mutant): string {
  const killers = killedBy.map(killerText).join('; ');
  return `${name.padEnd(PAD.name)}${rule.padEnd(PAD.rule)}${file}: ${killers}`;
}

function killerText(killer: Killer): string {
  if (isTestKiller(killer)) return `${killer.test}: ${killer.grep}`;
  return `simulation, ${String(killer.seeds)} seeds`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
