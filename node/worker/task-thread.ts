import { parentPort } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { FatalError } from '../core/handler.ts';
import type { FromChild, Question, ToChild } from './child-messages.ts';
import { Halt } from './halt.ts';
import type { HandlerModule } from './handler-module.ts';
import { importHandlers } from './import-bundle.ts';
import { logTheConsole } from './task-console.ts';
import { isPromise, toResult, toThrown } from './outcome.ts';
import { RemoteContext } from './remote-context.ts';

/** How a thread for tasks is started. */
export interface TaskThreadData {
  readonly kind: 'tasks';
  readonly bundle: string;
}

/** What such a thread is told, one task at a time. */
export type ToThread =
  | { readonly id: number; readonly message: ToChild }
  /** Asks what it holds; a thread that spins does not answer. */
  | 'memory';

export type FromThread =
  'open' | { readonly id: number; readonly message: FromChild } | { readonly heldBytes: number };

interface Current {
  readonly id: number;
  readonly halt: Halt;
  readonly context: RemoteContext;
}

/** Inside one thread: imports all handlers, and then runs one task after the other. */
export async function runTaskThread({ bundle }: TaskThreadData): Promise<void> {
  const tell = (message: FromThread): void => {
    parentPort?.postMessage(message);
  };
  process.setSourceMapsEnabled(true);
  const handlers = await importHandlers(bundle);
  let current: Current | undefined;
  logTheConsole(() => current?.context.log);
  parentPort?.on('message', (told: ToThread) => {
    if (told === 'memory') {
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      tell({ heldBytes: heapUsed + external + arrayBuffers });
      return;
    }
    const { id, message } = told;
    if (message.kind === 'run') {
      const begun = beginOne(id, message, tell);
      current = begun;
      void replyOf(handlers, begun).then((reply) => {
        begun.context.end();
        if (current === begun) current = undefined;
        tell({ id, message: reply });
      });
      return;
    }
    if (current?.id === id) passOn(current, message);
  });
  tell('open');
}

function beginOne(
  id: number,
  { work, attempt, fencingToken }: Extract<ToChild, { kind: 'run' }>,
  tell: (message: FromThread) => void,
): Current {
  const halt = new Halt();
  const say = (message: FromChild): void => {
    tell({ id, message });
  };
  const line = {
    lines: (lines: Extract<FromChild, { kind: 'lines' }>['lines']): void =>
      say({ kind: 'lines', lines }),
    progress: (fraction: number, note: string | null): void =>
      say({ kind: 'progress', fraction, note }),
    ask: (number: number, question: Question): void => say({ kind: 'ask', number, ...question }),
  };
  const context = new RemoteContext({ work, attempt, fencingToken, halt }, line, systemClock);
  return { id, halt, context };
}

function passOn({ halt, context }: Current, message: Exclude<ToChild, { kind: 'run' }>): void {
  switch (message.kind) {
    case 'abort':
      halt.interrupt(message.code);
      return;
    case 'answer':
      context.answered(message.number, message.text);
      return;
    case 'refusal':
      context.refused(message.number, message.thrown);
  }
}

/** Never rejects: what the handler throws is the answer. */
async function replyOf(
  handlers: ReadonlyMap<string, HandlerModule>,
  { context }: Current,
): Promise<FromChild> {
  try {
    const { task } = context;
    const handler = handlers.get(task.type);
    if (handler === undefined) throw new FatalError('no_handler', 'the type has no handler');
    const begunMs = systemClock.monotonicMs();
    const answer = handler.run(task, context);
    const result = toResult(isPromise(answer) ? await answer : answer);
    return { kind: 'completed', result, ms: systemClock.monotonicMs() - begunMs };
  } catch (thrown) {
    return { kind: 'thrown', thrown: toThrown(thrown) };
  }
}
