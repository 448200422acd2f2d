import { Socket } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { killGroup } from '../base/process-identity.ts';
import { FatalError, type Handler } from '../core/handler.ts';
import { Halt } from './halt.ts';
import { WORD_FD, type FromChild, type ToChild } from './isolate.ts';
import { toResult, toThrown } from './outcome.ts';
import type { LogLine } from './ports.ts';
import { RemoteContext } from './remote-context.ts';

/** What `IsolationDeps.childSettings` says. */
export function settingsOfChild(): unknown {
  return JSON.parse((isMainThread ? process.argv[3] : undefined) ?? 'null') as unknown;
}

/**
 * What runs inside a child process: one task and its answer. The process is started anew for each
 * task, and the task begins only when the dead-man thread reads the pipe to the node. That thread kills
 * the group when the pipe ends or the time that the node last granted is over, whatever the main thread
 * is busy with (rule 7).
 */
export function runChild(handlers: readonly Handler[], entry: URL): void {
  if (!isMainThread) {
    watchNode(workerData as number);
    return;
  }
  const watcher = new Worker(entry, { workerData: Number(process.argv[2]) });
  const isWatched = new Promise<void>((resolve) => {
    watcher.once('message', () => {
      resolve();
    });
  });
  watcher.on('error', () => {
    process.exit(1);
  });
  const halt = new Halt();
  let context: RemoteContext | undefined;
  process.on('message', (message: ToChild) => {
    switch (message.kind) {
      case 'abort':
        halt.interrupt(message.code);
        return;
      case 'results':
        context?.resultsCame(message.text);
        return;
      case 'no-results':
        context?.noResultsCame(message.thrown);
        return;
      case 'run': {
        const { work, attempt, fencingToken } = message;
        const own = new RemoteContext({ work, attempt, fencingToken, halt }, LINE, systemClock);
        context = own;
        void isWatched.then(() => answer(handlers, own, halt));
      }
    }
  });
  process.on('disconnect', () => {
    process.exit(1);
  });
}

const LINE = {
  lines: (lines: readonly LogLine[]): void => void tell({ kind: 'lines', lines }),
  progress: (fraction: number, note: string | null): void =>
    void tell({ kind: 'progress', fraction, note }),
  askResults: (): void => void tell({ kind: 'ask-results' }),
};

function watchNode(firstDeadlineMs: number): void {
  const end = (): void => {
    killGroup(process.pid);
  };
  let cancel: () => void = () => undefined;
  const liveUntil = (deadlineMs: number): void => {
    cancel();
    cancel = systemClock.after(Math.max(0, deadlineMs - systemClock.monotonicMs()), end);
  };
  liveUntil(firstDeadlineMs);
  const pipe = new Socket({ fd: WORD_FD, readable: true, writable: false });
  let rest = '';
  pipe.setEncoding('utf8');
  pipe.on('data', (text: string) => {
    const words = (rest + text).split('\n');
    rest = words.pop() ?? '';
    const last = words.pop();
    if (last !== undefined) liveUntil(Number(last));
  });
  pipe.on('error', end);
  pipe.on('close', end);
  parentPort?.postMessage('watching');
}

/**
 * Never rejects: what the handler throws is the answer. The node ends this process when it has read it;
 * an exit of its own could overtake it.
 */
async function answer(
  handlers: readonly Handler[],
  context: RemoteContext,
  halt: Halt,
): Promise<void> {
  await tell({ kind: 'begun' });
  await tell(await replyOf(handlers, context, halt));
}

/** Resolves when it is written, so that a handler which spins holds no word of it back. */
function tell(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, undefined, undefined, () => {
      resolve();
    });
  });
}

async function replyOf(
  handlers: readonly Handler[],
  context: RemoteContext,
  halt: Halt,
): Promise<FromChild> {
  try {
    halt.signal.throwIfAborted();
    const { task } = context;
    const handler = handlers.find(({ type }) => type === task.type);
    if (handler === undefined) throw new FatalError('no_handler', 'the type has no handler');
    return { kind: 'completed', result: toResult(await handler.run(task, context)) };
  } catch (thrown) {
    return { kind: 'thrown', thrown: toThrown(thrown) };
  }
}
