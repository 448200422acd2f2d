import { runCli } from './cli/program.ts';
import { SkeinClient } from './client/client.ts';
import { systemClock } from './base/clock.ts';
import { toError } from './base/errors.ts';
import { ConfigError, SETTINGS, parseConfig } from './config.ts';
import type { Config } from './config.ts';
import { VERSION } from './version.ts';

/**
 * The entry of every process: the command line, and behind its command `node` a node. What a node is
 * made of is loaded for that command alone, because the others should answer at once.
 */

/** Ended by the third signal: 128 + SIGINT, as shells have it. */
const INTERRUPTED = 130;

async function runNode(flags: Readonly<Record<string, unknown>>): Promise<number> {
  let config: Config;
  try {
    config = parseConfig({ env: process.env, flags });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) process.stderr.write(`skein: ${fault}\n`);
    return 2;
  }
  const { createLogger } = await import('./observe/log.ts');
  const log = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    fields: { node: config.name },
  });
  const end = async (message: string, thrown: unknown): Promise<void> => {
    log.error(message, { error: toError(thrown) });
    await log.close();
  };
  const onBug = (thrown: unknown): void => {
    // Nobody knows what state it left behind: the others take over, and this one starts anew.
    void end('An error that nobody caught ends this node.', thrown).finally(() => process.exit(1));
  };
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
  const signals = new Signals();
  try {
    const { startNode } = await import('./node.ts');
    const node = await startNode(config);
    void signals.told.then(() => node.stop(signals.hurry));
    await node.finished;
    return 0;
  } catch (error) {
    await end('The node could not start.', error);
    return 1;
  }
}

/** The first signal asks a node to drain, the second to hand back its work at once, the third ends it. */
class Signals {
  readonly told: Promise<void>;
  readonly hurry: AbortSignal;
  private count = 0;

  constructor() {
    const hurry = new AbortController();
    this.hurry = hurry.signal;
    this.told = new Promise((resolve) => {
      const onSignal = (): void => {
        this.count += 1;
        if (this.count === 1) resolve();
        else if (this.count === 2) hurry.abort(new Error('told twice to stop'));
        else process.exit(INTERRUPTED);
      };
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
    });
  }
}

/** Asked for only where a command reads it: a stdin that is open keeps a process alive. */
async function* stdin(): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of process.stdin) yield chunk as Buffer;
}

async function main(): Promise<void> {
  const used = { node: false, stdin: false };
  // `skein list | head` is no error; a node goes on without a reader of its log.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (used.node) return;
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  const code = await runCli(process.argv.slice(2), {
    version: VERSION,
    env: process.env,
    stdin: {
      [Symbol.asyncIterator]: () => {
        used.stdin = true;
        return stdin();
      },
    },
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    settings: SETTINGS,
    createClient: (urls) => new SkeinClient({ urls }),
    runNode: (flags) => {
      used.node = true;
      return runNode(flags);
    },
  });
  // Nothing that a part of a node left open may keep the process of a node that has ended.
  if (used.node) process.exit(code);
  process.exitCode = code;
  if (used.stdin) process.stdin.destroy();
}

await main();
