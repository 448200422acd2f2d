import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runCampaign, type CampaignSum } from '../test/sim/campaign.ts';
import { simulate } from '../test/sim/simulation.ts';

/**
 * Runs the real roles and the real core in a world that a seed decides: its clocks, its network, its
 * PostgreSQL, its processes, and all that goes wrong with them. Exits with 1 when a seed violates an
 * invariant.
 */
const HELP = `npm run simulate -- [flags]

  --seeds N     as many seeds (200)
  --from N      from this one on (1)
  --hours H     for so long, instead of a number of seeds
  --jobs N      processes (as many as there are cores)
  --seed N      replays one, with one line for each thing that happens
  --json        one line of JSON

a line of a replay:  milliseconds · who · what · {its data}
  database: a commit, named by its statement, with the rows that it changed
  nemesis:  a fault begins or ends · node-N: its log, and what happens to its process
invariants:
  I1 one end per task · I2 what was acknowledged ends · I3 lease numbers rise by one, budgets hold ·
  I4 nothing starts before its trigger rule holds · I5 no commit of an earlier term · I6 one leader
  trusts itself · I7 no task runs twice at once · I9 the scheduler's memory adds up · I11 an end is
  final · I12 nothing is left over: leases, words, deadlocks · I13 a task adds others under its
  lease alone, and all of them`;

const HOUR_MS = 3_600_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      hours: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.seed !== undefined) return replay(numberOf('seed', values.seed));
  const begunMs = performance.now();
  const hours = values.hours === undefined ? undefined : numberOf('hours', values.hours);
  const sum = await runCampaign({
    from: numberOf('from', values.from),
    seeds: hours === undefined ? numberOf('seeds', values.seeds) : Infinity,
    jobs: numberOf('jobs', values.jobs),
    ...(hours === undefined ? {} : { signal: AbortSignal.timeout(hours * HOUR_MS) }),
    onFault: ({ seed, faults }) => {
      console.error(`seed ${String(seed)} fails (npm run simulate -- --seed ${String(seed)}):`);
      for (const fault of faults) console.error(`  ${fault.slice(0, FAULT_LENGTH_MAX)}`);
    },
  });
  const seconds = (performance.now() - begunMs) / 1000;
  if (values.json) console.log(JSON.stringify({ ...sum, counts: covered(sum), seconds }));
  else print(sum, seconds);
  return sum.failed.length === 0 ? 0 : 1;
}

const FAULT_LENGTH_MAX = 1000;

async function replay(seed: number): Promise<number> {
  const { faults } = await simulate({
    seed,
    trace: (line) => {
      console.log(line);
    },
  });
  for (const fault of faults) console.log(fault);
  return faults.length === 0 ? 0 : 1;
}

function print(sum: CampaignSum, seconds: number): void {
  const hours = sum.simulatedMs / HOUR_MS;
  console.log('what was generated, in all seeds together:');
  for (const [what, count] of Object.entries(covered(sum))) {
    console.log(`  ${String(count).padStart(9)}  ${what}`);
  }
  console.log(
    `${String(sum.seeds)} seeds, ${String(sum.tasks)} tasks, ${String(sum.events)} events, ` +
      `${hours.toFixed(1)} simulated hours in ${seconds.toFixed(0)} s`,
  );
  const failed = sum.failed.length === 0 ? '' : `: seeds ${sum.failed.join(', ')}`;
  console.log(`${String(sum.failed.length)} violations${failed}`);
}

function covered({ counts }: CampaignSum): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${flag} must be a number above 0`);
  return number;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
