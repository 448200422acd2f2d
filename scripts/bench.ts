import { fileURLToPath } from 'node:url';
import { toError } from '../node/base/errors.ts';
import { SCENARIOS } from '../test/bench/catalogue.ts';
import { flagsOf } from '../test/bench/flags.ts';
import type { Flags } from '../test/bench/flags.ts';
import type { BenchOptions } from '../test/bench/measure.ts';
import { comparePeers } from '../test/bench/peers/compare.ts';
import type { PeersReport } from '../test/bench/peers/compare.ts';
import { peersText } from '../test/bench/peers/report.ts';
import { jsonOf, textOf } from '../test/bench/report.ts';
import type { ScenarioReport } from '../test/bench/report.ts';
import { INTERRUPTED, stopOnSignals } from './stop-signals.ts';

/**
 * How fast it is, and what it costs: the built node, three processes, the PostgreSQL that comes with the
 * packages with its default durability, over REST alone. Every run ends with a proof by SQL that each task
 * ended once and in order, or there is no figure. Exits with 1 where a scenario has none.
 */
const HELP = `npm run bench -- [flags]

  --only NAME[,NAME]  these alone; all of them unless given, which takes half an hour:
${SCENARIOS.map(({ name, what }) => `                        ${name.padEnd(11)}${what}`).join('\n')}
  --runs N            runs that count, after one that does not (5)
  --tasks N           tasks of a drain; everything else is sized by it (100000)
  --peers             graphile-worker, pg-boss and BullMQ in turns with our drain, instead of the scenarios
                      or beside those that are named; npm installs them into a folder of its own
  --json              one line of JSON instead of a table of Markdown

Figures are medians with minimum and maximum. CPU is that of whole processes, PostgreSQL with all its own.
The tasks are those of the built-in types, which run in the process of the node.`;

const BUILT = fileURLToPath(new URL('../dist/node/main.js', import.meta.url));

async function main(): Promise<number> {
  let flags: Flags;
  try {
    flags = flagsOf(
      process.argv.slice(2),
      SCENARIOS.map(({ name }) => name),
    );
  } catch (thrown) {
    process.stderr.write(`${toError(thrown).message}\n\n${HELP}\n`);
    return 2;
  }
  if (flags.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const stopping = stopOnSignals();
  const reports: ScenarioReport[] = [];
  for (const { name, measure } of SCENARIOS.filter((one) => flags.only.includes(one.name))) {
    say(name);
    try {
      const measured = await measure({ ...flags, main: BUILT, say, signal: stopping });
      reports.push({ name, measured, fault: undefined });
    } catch (thrown) {
      if (stopping.aborted) return INTERRUPTED;
      const { message } = toError(thrown);
      say(`  ${message}`);
      reports.push({ name, measured: undefined, fault: message });
    }
  }
  const peers = flags.peers
    ? await maybeCompare({ ...flags, main: BUILT, say, signal: stopping })
    : undefined;
  if (stopping.aborted) return INTERRUPTED;
  const text = flags.json
    ? JSON.stringify({ ...jsonOf(reports), peers })
    : [textOf(reports), peers === undefined ? '' : peersText(peers)].join('\n');
  process.stdout.write(`${text}\n`);
  const isWhole = reports.every(({ fault }) => fault === undefined);
  return isWhole && flags.peers === (peers !== undefined) ? 0 : 1;
}

/** Undefined, with a word, where they could not be measured. */
async function maybeCompare(options: BenchOptions): Promise<PeersReport | undefined> {
  say('peers');
  try {
    return await comparePeers(options);
  } catch (thrown) {
    say(`  ${toError(thrown).message}`);
    return undefined;
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

process.exitCode = await main();
