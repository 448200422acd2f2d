import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { halfALease, threeLeases } from '../test/outages/database.ts';
import { cut, followers, freeze, kill } from '../test/outages/failovers.ts';
import { million } from '../test/outages/million.ts';
import type { Part } from '../test/outages/part.ts';
import { textOf } from '../test/outages/report.ts';
import type { PartReport } from '../test/outages/report.ts';
import { rolling } from '../test/outages/rolling.ts';
import { INTERRUPTED, stopOnSignals } from './stop-signals.ts';

/**
 * How long failovers and outages last: a PostgreSQL of its own with full durability, three real nodes,
 * work without pause, one fault at a time. Exits with 1 where a bound was missed or a promise broken.
 */
const HELP = `npm run outages -- [flags]

  --what WHAT    ${'kill'.padEnd(12)}kill -9 of the leader (100 times): p50 < 0.3 s, max < 1 s
                 ${'freeze'.padEnd(12)}SIGSTOP of the leader (30): max < 2 s
                 ${'cut'.padEnd(12)}the leader cut off from PostgreSQL and its peers (30): max < 2 s
                 ${'million'.padEnd(12)}kill with 1,000,000 tasks queued (10, and 10): max < 2 s
                 ${'followers'.padEnd(12)}kill while tasks run elsewhere (100): none runs again
                 ${'rolling'.padEnd(12)}restarts under load (50): nothing lost, no attempt charged
                 ${'database'.padEnd(12)}PostgreSQL down for half a lease and for three (4 each)
                 ${'all'.padEnd(12)}all of them, one after the other (the default)
  --count N      how many times, instead of the numbers in brackets
  --queued N     tasks that wait in "million" (1000000)
  --sources      runs the nodes from the sources instead of the build
  --json         one line of JSON

Failovers are measured from the fault to the first lease of the next term, by the database's clock.`;

const PARTS: Readonly<Record<string, readonly (readonly [part: Part, count: number])[]>> = {
  kill: [[kill, 100]],
  freeze: [[freeze, 30]],
  cut: [[cut, 30]],
  million: [[million, 10]],
  followers: [[followers, 100]],
  rolling: [[rolling, 50]],
  database: [
    [halfALease, 4],
    [threeLeases, 4],
  ],
};

const BUILT = fileURLToPath(new URL('../dist/node/main.js', import.meta.url));

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      what: { type: 'string', default: 'all' },
      count: { type: 'string' },
      queued: { type: 'string', default: '1000000' },
      sources: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const parts = values.what === 'all' ? Object.values(PARTS).flat() : PARTS[values.what];
  const numbers = [values.queued, values.count ?? '1'].map(Number);
  const isSound = parts !== undefined && numbers.every((n) => Number.isSafeInteger(n) && n > 0);
  if (values.help || !isSound) {
    (values.help ? process.stdout : process.stderr).write(`${HELP}\n`);
    return values.help ? 0 : 2;
  }
  if (process.execArgv.length === 0) process.execArgv.push('--import', import.meta.resolve('tsx'));
  const stopping = stopOnSignals();
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  const reports: PartReport[] = [];
  try {
    for (const [part, count] of parts) {
      const report = await part({
        count: Number(values.count ?? count),
        queued: Number(values.queued),
        main: values.sources || !existsSync(BUILT) ? undefined : BUILT,
        signal: stopping,
        say,
      });
      reports.push(report);
      say(textOf([report]));
    }
  } catch (thrown) {
    if (!stopping.aborted) throw thrown;
    say('stopped');
    return INTERRUPTED;
  }
  process.stdout.write(`${values.json ? JSON.stringify(reports) : textOf(reports)}\n`);
  return reports.every(({ faults, misses }) => faults.length + misses.length === 0) ? 0 : 1;
}

process.exitCode = await main();
