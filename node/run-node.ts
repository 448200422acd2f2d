import { systemClock } from './base/clock.ts';
import { toError } from './base/errors.ts';
import { ConfigError, parseConfig, type Config } from './config.ts';
import type { TaskCode } from './node.ts';
import { createLogger } from './observe/log.ts';
import { HandlersError } from './worker/user-code.ts';

/** The process of a node: its settings, its last words, its signals, its exit code. */

/** Ended by the third signal: 128 + SIGINT, as shells have it. */
const INTERRUPTED = 130;

/**
 * What a node gets to end, beyond the drain's own time: to settle, sign out, answer its last requests and
 * stop the server that came with the packages. The deadlines of these are shorter together; a step that
 * none of them covers must not keep a process that works no more.
 */
const ENDING_MS = 45_000;

/** Runs one until it ends, or cannot begin; answers the exit code. */
export async function runNode(
  flags: Readonly<Record<string, unknown>>,
  code?: TaskCode,
  endingMs = ENDING_MS,
): Promise<number> {
  let config: Config;
  try {
    config = parseConfig({ env: process.env, flags });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) process.stderr.write(`skein: ${fault}\n`);
    return 2;
  }
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
  let cancelHardEnd = (): void => undefined;
  void signals.told.then(() => {
    const boundMs = config.drainMs + endingMs;
    cancelHardEnd = systemClock.after(boundMs, () => {
      const late = new Error(`it was told to stop ${String(boundMs)} ms ago`);
      void end('The shut-down hangs; the process ends without it.', late).finally(() => {
        process.exit(1);
      });
    });
  });
  try {
    // Loading takes a moment, in which a signal is heard already.
    const { startNode } = await import('./node.ts');
    const node = await startNode(config, code);
    void signals.told.then(() => node.stop(signals.hurry));
    await node.finished;
    return 0;
  } catch (error) {
    if (error instanceof HandlersError) {
      for (const fault of error.faults) process.stderr.write(`skein: --handlers: ${fault}\n`);
      await log.close();
      return 2;
    }
    await end('The node could not start.', error);
    return 1;
  } finally {
    cancelHardEnd();
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
