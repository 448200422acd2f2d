import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { GROUP_VARIABLE, killGroup, killOwnStrays } from '../base/process-identity.ts';
import { BUILT_IN_TYPES, FatalError, type Handler } from '../core/handler.ts';
import type { FromChild, Question, ToChild, ToHost } from './child-messages.ts';
import { Halt } from './halt.ts';
import { HostedThreads } from './hosted-threads.ts';
import { importHandler } from './import-bundle.ts';
import { toResult, toThrown } from './outcome.ts';
import type { LogLine } from './ports.ts';
import { RemoteContext } from './remote-context.ts';
import { logTheConsole } from './task-console.ts';
import { startThread } from './start-thread.ts';
import { runTaskThread, type TaskThreadData } from './task-thread.ts';
import { WORD_FD, type WardRole } from './ward.ts';

/** What `WardDeps.childSettings` says. */
export function settingsOfChild(): unknown {
  return JSON.parse((isMainThread ? process.argv[3] : undefined) ?? 'null') as unknown;
}

/**
 * What runs inside the processes of a node, by the role that they are started for: one task and its
 * answer, the threads of many tasks, or a look at a folder of handlers. A task begins only when the
 * dead-man thread reads the pipe to the node. That thread kills the group when the pipe ends or the time
 * that the node last granted is over, whatever the other threads are busy with (rule 7).
 */
type ThreadData =
  | { readonly kind: 'watch'; readonly deadlineMs: number; readonly residentMb: number }
  | TaskThreadData;

/** Made where one of them is to run: not in the threads of users' handlers, and not beside them. */
export type Handlers = readonly Handler[] | (() => Promise<readonly Handler[]>);

export function runChild(handlers: Handlers, entry: URL): void {
  if (!isMainThread) {
    const data = workerData as ThreadData;
    if (data.kind === 'watch') watchNode(data.deadlineMs, data.residentMb);
    else void runTaskThread(data);
    return;
  }
  const [, , deadline, , role, rest = ''] = process.argv;
  const made = async (): Promise<readonly Handler[]> =>
    typeof handlers === 'function' ? handlers() : handlers;
  if (role === 'inspect') {
    process.on('disconnect', () => {
      process.exit(1);
    });
    void made().then((known) => inspect(rest, known));
    return;
  }
  process.env[GROUP_VARIABLE] = String(process.pid);
  // An exit of its own would leave to nobody what it has started.
  process.on('disconnect', endWhole);
  const isWatched = watched(entry, Number(deadline), Number(rest));
  if ((role as WardRole) === 'host') runHost(entry, isWatched);
  else runTask(made(), isWatched);
}

/** Resolves when the dead-man thread is at work. */
function watched(entry: URL, deadlineMs: number, residentMb: number): Promise<void> {
  const data: ThreadData = { kind: 'watch', deadlineMs, residentMb };
  const watcher = startThread(entry, { workerData: data });
  watcher.on('error', endWhole);
  return new Promise((resolve) => {
    watcher.once('message', () => {
      resolve();
    });
  });
}

function runHost(entry: URL, isWatched: Promise<void>): void {
  const threads = new HostedThreads(entry, (batch, onWritten) => {
    process.send?.(batch, undefined, undefined, onWritten);
  });
  process.on('message', (batch: readonly ToHost[]) => {
    void isWatched.then(() => threads.hear(batch));
  });
}

function runTask(handlers: Promise<readonly Handler[]>, isWatched: Promise<void>): void {
  const halt = new Halt();
  let context: RemoteContext | undefined;
  process.on('message', (message: ToChild) => {
    switch (message.kind) {
      case 'abort':
        halt.interrupt(message.code);
        return;
      case 'answer':
        context?.answered(message.number, message.text);
        return;
      case 'refusal':
        context?.refused(message.number, message.thrown);
        return;
      case 'run': {
        const { work, attempt, fencingToken, bundle } = message;
        const own = new RemoteContext({ work, attempt, fencingToken, halt }, LINE, systemClock);
        context = own;
        if (bundle !== undefined) logTheConsole(() => own.log);
        void isWatched.then(() => answer(handlers, bundle, own, halt));
      }
    }
  });
}

const LINE = {
  lines: (lines: readonly LogLine[]): void => void tell({ kind: 'lines', lines }),
  progress: (fraction: number, note: string | null): void =>
    void tell({ kind: 'progress', fraction, note }),
  ask: (number: number, question: Question): void =>
    void tell({ kind: 'ask', number, ...question }),
};

/** Imported here alone: what it needs to put modules together is large. */
async function inspect(folder: string, handlers: readonly Handler[]): Promise<void> {
  const { inspectHandlers } = await import('./handler-inspector.ts');
  // Also those that this node has switched off.
  const builtIn = [...handlers.map(({ type }) => type), ...BUILT_IN_TYPES];
  await inspectHandlers(folder, builtIn, (message) => process.send?.(message));
}

/** This process, its group, and what has left the group. */
function endWhole(): void {
  killOwnStrays();
  killGroup(process.pid);
}

/** Between two looks at the memory of the process: it may grow by some 100 MiB meanwhile. */
const LOOK_MS = 50;

function watchNode(firstDeadlineMs: number, residentMb: number): void {
  const end = (why: string): void => {
    try {
      writeSync(WORD_FD, why);
    } catch {
      // The node is gone, and nobody is there to read it.
    }
    endWhole();
  };
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
  const look = (): void => {
    if (process.memoryUsage.rss() > residentMb * 1024 * 1024) {
      end(`it held more than ${String(residentMb)} MiB of memory`);
    }
    systemClock.after(LOOK_MS, look);
  };
  if (residentMb > 0) look();
  parentPort?.postMessage('watching');
}

/**
 * Never rejects: what the handler throws is the answer. The node ends this process when it has read it;
 * an exit of its own could overtake it.
 */
async function answer(
  handlers: Promise<readonly Handler[]>,
  bundle: string | undefined,
  context: RemoteContext,
  halt: Halt,
): Promise<void> {
  let handler: Handler | undefined;
  let fault: Error | undefined;
  try {
    const { type } = context.task;
    handler =
      bundle === undefined
        ? (await handlers).find((one) => one.type === type)
        : await importHandler(bundle, type);
  } catch (thrown) {
    fault = toError(thrown);
  }
  // What a module does while it is imported is no part of the run: its time does not count.
  await tell({ kind: 'begun' });
  const reply = await replyOf(handler, fault, context, halt);
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
  handler: Handler | undefined,
  fault: Error | undefined,
  context: RemoteContext,
  halt: Halt,
): Promise<FromChild> {
  try {
    if (fault !== undefined) throw fault;
    halt.signal.throwIfAborted();
    if (handler === undefined) throw new FatalError('no_handler', 'the type has no handler');
    return { kind: 'completed', result: toResult(await handler.run(context.task, context)) };
  } catch (thrown) {
    return { kind: 'thrown', thrown: toThrown(thrown) };
  }
}
