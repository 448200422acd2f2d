import { parseArgs } from 'node:util';
import { textOf } from '../test/chaos/report.ts';
import { runChaos } from '../test/chaos/run.ts';
import { INTERRUPTED, stopOnSignals } from './stop-signals.ts';

/**
 * Real nodes and a real PostgreSQL under load, while processes, sessions and connections die, freeze
 * and fall silent by the plan of a seed; then a verdict over what they wrote down. Exits with 1 when it
 * proves a bug.
 */
const HELP = `npm run chaos -- [flags]

  --seconds N    how long the faults last (60)
  --seed N       the plan of the faults, and the load; drawn unless given
  --nodes N      nodes of the cluster, 3 to 5 (4)
  --lease-ms MS  the lease of a node; a freeze lasts longer than that (5000)
  --keep         keeps the folder with logs and histories also where all was well
  --json         one line of JSON

A run that finds something names the folder in which it left the logs, the histories and the faults.
Where the machine allows it (Linux, root, ip), one node has a network of its own whose link is pulled.`;

const FLAGS = {
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string' },
  nodes: { type: 'string', default: '4' },
  'lease-ms': { type: 'string', default: '5000' },
  keep: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: FLAGS });
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const seconds = Number(values.seconds);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  const nodes = Number(values.nodes);
  const leaseMs = Number(values['lease-ms']);
  const isWhole = [seconds, seed, nodes, leaseMs].every((number) => Number.isSafeInteger(number));
  if (!isWhole || seconds < 1 || nodes < 3 || nodes > 5 || leaseMs < 5000) {
    process.stderr.write(`${HELP}\n`);
    return 2;
  }
  // The nodes are started by the loader that runs this file, whoever loaded it.
  if (process.execArgv.length === 0) process.execArgv.push('--import', import.meta.resolve('tsx'));
  const stopping = stopOnSignals();
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  try {
    const report = await runChaos(
      { seed, seconds, nodes, leaseMs, keep: values.keep, say },
      stopping,
    );
    process.stdout.write(`${values.json ? JSON.stringify(report) : textOf(report)}\n`);
    return report.is_sound ? 0 : 1;
  } catch (thrown) {
    if (!stopping.aborted) throw thrown;
    say('stopped');
    return INTERRUPTED;
  }
}

const code = await main();
// What a fault left open, a connection that never answers, must not keep the command.
process.stdout.write('', () => process.exit(code));
