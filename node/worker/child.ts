import { Socket } from 'node:net';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { FatalError, type Handler } from '../core/handler.ts';
import { Interruption, toInput } from './executor.ts';
import { WORD_FD, type FromChild, type ToChild } from './isolate.ts';

/**
 * What runs inside a child process: one task, its answer, the end. The process is started anew for each
 * task. Its dead-man thread reads the pipe to the node and kills the process when the pipe ends or no
 * word comes in time, whatever the main thread is busy with (rule 7).
 */
export function runChild(handlers: readonly Handler[], entry: URL): void {
  if (!isMainThread) {
    watchNode(workerData as number);
    return;
  }
  const silenceMs = Number(process.argv[2]);
  const watcher = new Worker(entry, { workerData: silenceMs });
  watcher.on('error', () => {
    process.exit(1);
  });
  const controller = new AbortController();
  process.on('message', (message: ToChild) => {
    if (message.kind === 'abort') controller.abort(new Interruption(message.code));
    else void answer(handlers, message, controller.signal);
  });
  process.on('disconnect', () => {
    process.exit(1);
  });
}

function watchNode(silenceMs: number): void {
  const end = (): void => {
    process.kill(process.pid, 'SIGKILL');
  };
  const pipe = new Socket({ fd: WORD_FD, readable: true, writable: false });
  pipe.setTimeout(silenceMs, end);
  pipe.on('data', () => undefined);
  pipe.on('error', end);
  pipe.on('close', end);
  pipe.resume();
}

/** Never rejects: what the handler throws is the answer. */
async function answer(
  handlers: readonly Handler[],
  message: Extract<ToChild, { kind: 'run' }>,
  signal: AbortSignal,
): Promise<void> {
  let reply: FromChild;
  try {
    const handler = handlers.find(({ type }) => type === message.work.type);
    if (handler === undefined) throw new FatalError('no_handler', 'the type has no handler');
    const result = await handler.run(toInput(message.work), {
      signal,
      attempt: message.attempt,
      fencingToken: message.fencingToken,
      sleep: (ms) => systemClock.sleep(ms, signal),
    });
    reply = { kind: 'completed', result: result ?? null };
  } catch (thrown) {
    const error = toError(thrown);
    const code: unknown = (error as { code?: unknown }).code;
    reply = {
      kind: 'failed',
      code: typeof code === 'string' ? code : undefined,
      message: error.message,
      isFatal: error instanceof FatalError,
    };
  }
  process.send?.(reply, () => {
    process.exit(0);
  });
}
