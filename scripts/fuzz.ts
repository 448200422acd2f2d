import { parseArgs } from 'node:util';
import { runFuzz } from '../test/fuzz/run.ts';

/** Exits with 1 where it finds something; the seed that it prints finds the same calls again. */
const HELP = `npm run fuzz -- [flags]

  --calls N    calls of REST, made out of /openapi.json: right, wrong and hostile ones (10000)
  --frames N   malformed frames of the WebSocket and of gRPC (2000)
  --seed N     drawn unless given
  --json       one line of JSON`;

const FLAGS = {
  calls: { type: 'string', default: '10000' },
  frames: { type: 'string', default: '2000' },
  seed: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: FLAGS });
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const [calls, frames] = [Number(values.calls), Number(values.frames)];
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  if (![calls, frames, seed].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    process.stderr.write(`${HELP}\n`);
    return 2;
  }
  // The nodes are started by the loader that runs this file, whoever loaded it.
  if (process.execArgv.length === 0) process.execArgv.push('--import', import.meta.resolve('tsx'));
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  const report = await runFuzz({ calls, frames, seed, say });
  process.stdout.write(`${JSON.stringify(report, null, values.json ? undefined : 2)}\n`);
  return report.is_sound ? 0 : 1;
}

const code = await main();
process.stdout.write('', () => process.exit(code));
