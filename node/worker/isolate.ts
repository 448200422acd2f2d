import { fork, type ChildProcess } from 'node:child_process';
import type { Clock } from '../base/clock.ts';
import { killGroup } from '../base/process-identity.ts';
import { FatalError } from '../core/handler.ts';
import { Interruption, type Isolation } from './executor.ts';
import type { LogPort, Work } from './ports.ts';

/**
 * One task in a process of its own, because a lease of it was lost before and the task may have been
 * the cause (rule 17). The child leads a process group, which the node writes down in its row before
 * the task begins: whoever reclaims early kills that group first (rule 7). A thread of the child
 * watches a pipe to its node: when no word comes for `silenceMs`, or the pipe ends, the child ends
 * itself, even while its main thread spins.
 *
 * An aborted task gets its signal, then `graceMs`, then SIGKILL for the whole group.
 */
export interface IsolationDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  /** The module that a child runs; it knows the handlers, this file does not. */
  readonly childEntry: URL;
  readonly graceMs: number;
  /** Below the node's own kill time, so that a child of a frozen node is gone before a reclaim. */
  readonly silenceMs: number;
  readonly registerGroups: (groups: readonly number[]) => Promise<void>;
}

/** What the node sends its child: one task, then at most one abort. */
export type ToChild =
  | {
      readonly kind: 'run';
      readonly work: Work;
      readonly attempt: number;
      readonly fencingToken: number;
    }
  | { readonly kind: 'abort'; readonly code: Interruption['code'] };

/** What a child answers, once. */
export type FromChild =
  | { readonly kind: 'completed'; readonly result: unknown }
  | {
      readonly kind: 'failed';
      readonly code: string | undefined;
      readonly message: string;
      readonly isFatal: boolean;
    };

/** The descriptor of the pipe that the child's dead-man thread reads. */
export const WORD_FD = 4;

export class ProcessDiedError extends Error {
  readonly code = 'process_died';
}

export class ChildIsolation implements Isolation {
  private readonly deps: IsolationDeps;
  /** All and only the groups of children that live. */
  private readonly groups = new Set<number>();

  constructor(deps: IsolationDeps) {
    this.deps = deps;
  }

  async run(
    work: Work,
    attempt: number,
    fencingToken: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const child = fork(this.deps.childEntry, [String(this.deps.silenceMs)], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
      serialization: 'json',
    });
    const answer = answerOf(child);
    // Awaited below; until then its rejection is not lost.
    answer.catch(() => undefined);
    const group = child.pid;
    if (group === undefined) return answer;
    const stopWords = this.speak(child);
    const onAbort = (): void => {
      this.abort(child, signal);
    };
    try {
      await this.register(() => this.groups.add(group));
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      child.send({ kind: 'run', work, attempt, fencingToken } satisfies ToChild);
      return await answer;
    } finally {
      signal.removeEventListener('abort', onAbort);
      stopWords();
      killGroup(group);
      await this.register(() => this.groups.delete(group));
    }
  }

  private async register(change: () => void): Promise<void> {
    change();
    await this.deps.registerGroups([...this.groups]);
  }

  private abort(child: ChildProcess, signal: AbortSignal): void {
    const reason: unknown = signal.reason;
    const code = reason instanceof Interruption ? reason.code : 'draining';
    if (child.connected) child.send({ kind: 'abort', code } satisfies ToChild);
    const group = child.pid;
    if (group === undefined) return;
    const cancelKill = this.deps.clock.after(this.deps.graceMs, () => {
      killGroup(group);
    });
    child.once('exit', cancelKill);
  }

  /** A byte now and again, at a third of the silence that the child would die of. */
  private speak(child: ChildProcess): () => void {
    const pipe = child.stdio[WORD_FD] as unknown as NodeJS.WritableStream;
    // The child's end closes with the child; its exit is what counts.
    pipe.on('error', () => undefined);
    let cancel: () => void = () => undefined;
    const next = (): void => {
      pipe.write('.');
      cancel = this.deps.clock.after(this.deps.silenceMs / 3, next);
    };
    next();
    return () => {
      cancel();
    };
  }
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', (message: FromChild) => {
      if (message.kind === 'completed') resolve(message.result);
      else reject(childError(message));
    });
    child.once('error', (error) => {
      reject(new ProcessDiedError('the process of the task could not start', { cause: error }));
    });
    child.once('exit', (code, signal) => {
      const how = signal === null ? `with code ${String(code)}` : `by ${signal}`;
      reject(new ProcessDiedError(`the process of the task ended ${how}`));
    });
  });
}

function childError(message: Extract<FromChild, { kind: 'failed' }>): Error {
  const { code, isFatal } = message;
  const error: Error = isFatal
    ? new FatalError(code ?? 'handler_error', message.message)
    : new Error(message.message);
  return isFatal ? error : Object.assign(error, { code });
}
