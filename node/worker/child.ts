import { Socket } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { GROUP_VARIABLE, killGroup, killOwnStrays } from '../base/process-identity.ts';
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
  process.env[GROUP_VARIABLE] = String(process.pid);
  const watcher = new Worker(entry, { workerData: Number(process.argv[2]) });
  const isWatched = new Promise<void>((resolve) => {
    watcher.once('message', () => {
      resolve();
    });
  });
  watcher.on('error', endWhole);
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
  // An exit of its own would leave to nobody what it has started.
  process.on('disconnect', endWhole);
}

const LINE = {
  lines: (lines: readonly LogLine[]): void => void tell({ kind: 'lines', lines }),
  progress: (fraction: number, note: string | null): void =>
    void tell({ kind: 'progress', fraction, note }),
  askResults: (): void => void tell({ kind: 'ask-results' }),
};

/** This process, its group, and what has left the group. */
function endWhole(): void {
  killOwnStrays();
  killGroup(process.pid);
}

function watchNode(firstDeadlineMs: number): void {
  let cancel: () => void = () => undefined;
  const liveUntil = (deadlineMs: number): void => {
    cancel();
    cancel = systemClock.after(Math.max(0, deadlineMs - systemClock.monotonicMs()), endWhole);
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
  pipe.on('error', endWhole);
  pipe.on('close', endWhole);
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
  const reply = await replyOf(handlers, context, halt);
  killOwnStrays();
  await tell(reply);
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
