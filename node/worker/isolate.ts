import { fork, type ChildProcess } from 'node:child_process';
import { Gate } from '../base/gate.ts';
import { killGroup, killOrphanGroup } from '../base/process-identity.ts';
import { FatalError } from '../core/handler.ts';
import { NotBegunError, ProcessDiedError, type Isolation } from './executor.ts';
import { GroupLedger, type GroupLedgerDeps } from './group-ledger.ts';
import { Interruption } from './halt.ts';
import type { Work } from './ports.ts';

/**
 * One task in a process of its own, because a lease of it was lost before and the task may have been
 * the cause (rule 17). The child leads a process group, which the node writes down in its row before
 * the task begins: whoever reclaims early kills that group first (rule 7).
 *
 * A thread of the child reads words of its node, each an instant until which the child may live: the
 * kill time of the node's lease, on the clock that the processes of a machine share. When that passes
 * without a later word, or the pipe ends, the child ends itself and its whole group, even while its main
 * thread spins. So a node that freezes, at whatever moment, leaves no child that outlives its lease. Such
 * an end is the loss of the lease, not a death of the task's own: nothing is charged for it (rule 17).
 *
 * An aborted task gets its signal, then `graceMs`, then SIGKILL for the whole group.
 */
export interface IsolationDeps extends GroupLedgerDeps {
  /** The module that a child runs; it knows the handlers, this file does not. */
  readonly childEntry: URL;
  readonly graceMs: number;
  /** From now to the kill time of the node's lease, counted from its last renewal. */
  readonly leaseLeftMs: () => number;
  /** Between two words to a child. */
  readonly wordMs: number;
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

/**
 * What a child says: that its handler runs now, and then its answer; then it waits for its end. A result
 * is JSON text within the bounds of one.
 */
export type FromChild =
  | { readonly kind: 'begun' }
  | { readonly kind: 'completed'; readonly result: string }
  | {
      readonly kind: 'failed';
      readonly code: string | undefined;
      readonly message: string;
      readonly isFatal: boolean;
    };

/**
 * Processes at once; a node that takes over the tasks of a dead one has as many to isolate as that had
 * slots. The others wait, each in the slot that it holds anyway.
 */
const PROCESSES_MAX = 16;

/**
 * What a process gets until its task begins; one that does not come up is killed. Long, because a machine
 * with too much to do is no fault of the task, and an end of it, because no timeout runs before.
 */
const BEGIN_MS = 30_000;

/** What a killed group gets to vanish: longer only where the kernel holds one of it back. */
const VANISH_MS = 1000;
const VANISH_LOOK_MS = 10;

/** The descriptor of the pipe that the child's dead-man thread reads. */
export const WORD_FD = 4;

export class ChildIsolation implements Isolation {
  private readonly deps: IsolationDeps;
  private readonly ledger: GroupLedger;
  private readonly gate = new Gate(PROCESSES_MAX, Infinity);

  constructor(deps: IsolationDeps) {
    this.deps = deps;
    this.ledger = new GroupLedger(deps);
  }

  run(
    work: Work,
    attempt: number,
    fencingToken: number,
    onBegun: () => void,
    signal: AbortSignal,
  ): Promise<string> {
    const task: ToChild = { kind: 'run', work, attempt, fencingToken };
    return this.gate.run(() => this.runOne(task, onBegun, signal), signal);
  }

  /** Kills every group and waits until nothing of them runs, for a second at most. */
  async stop(): Promise<boolean> {
    const groups = [...this.ledger.all];
    for (const group of groups) killGroup(group);
    this.ledger.stop();
    const { clock } = this.deps;
    const untilMs = clock.monotonicMs() + VANISH_MS;
    while (!groups.every((group) => killOrphanGroup(group))) {
      if (clock.monotonicMs() >= untilMs) return false;
      await clock.sleep(VANISH_LOOK_MS);
    }
    return true;
  }

  private async runOne(task: ToChild, onBegun: () => void, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { child, words } = this.fork();
    let cancelKill = (): void => undefined;
    const answer = answerOf(child, words, () => {
      cancelKill();
      onBegun();
    });
    // Awaited below; until then its rejection is not lost.
    answer.catch(() => undefined);
    const group = child.pid;
    if (group === undefined) return answer;
    child.once('exit', () => {
      words.stop();
      this.ledger.remove(group);
    });
    words.start(child.stdio[WORD_FD] as unknown as NodeJS.WritableStream);
    const onAbort = (): void => {
      this.abort(child, group, signal);
    };
    try {
      await this.ledger.add(group, signal);
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      cancelKill = this.deps.clock.after(BEGIN_MS, () => {
        killGroup(group);
      });
      send(child, task);
      return await answer;
    } finally {
      cancelKill();
      signal.removeEventListener('abort', onAbort);
      killGroup(group);
    }
  }

  private fork(): { readonly child: ChildProcess; readonly words: Words } {
    const words = new Words(this.deps);
    try {
      const child = fork(this.deps.childEntry, [String(words.grantedMs)], {
        detached: true,
        stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
        serialization: 'json',
      });
      return { child, words };
    } catch (thrown) {
      throw new NotBegunError('the process of the task could not start', { cause: thrown });
    }
  }

  private abort(child: ChildProcess, group: number, signal: AbortSignal): void {
    const reason: unknown = signal.reason;
    const code = reason instanceof Interruption ? reason.code : 'draining';
    send(child, { kind: 'abort', code });
    const cancelKill = this.deps.clock.after(this.deps.graceMs, () => {
      killGroup(group);
    });
    child.once('exit', cancelKill);
  }
}

/** The words of the node to one child: until when it may live. */
class Words {
  /** The instant that was granted last. */
  grantedMs: number;
  private readonly deps: IsolationDeps;
  private wasLate = false;
  private cancel: () => void = () => undefined;

  constructor(deps: IsolationDeps) {
    this.deps = deps;
    this.grantedMs = deps.clock.monotonicMs() + deps.leaseLeftMs();
  }

  /** Whether the child had to end itself: an instant passed before a later one was granted. */
  get haveEnded(): boolean {
    return this.wasLate || this.deps.clock.monotonicMs() >= this.grantedMs;
  }

  start(pipe: NodeJS.WritableStream): void {
    // The child's end closes with the child; its exit is what counts.
    pipe.on('error', () => undefined);
    const { clock, leaseLeftMs, wordMs } = this.deps;
    const next = (): void => {
      this.wasLate = this.haveEnded;
      this.grantedMs = clock.monotonicMs() + leaseLeftMs();
      pipe.write(`${String(this.grantedMs)}\n`);
      this.cancel = clock.after(wordMs, next);
    };
    next();
  }

  stop(): void {
    this.cancel();
  }
}

/** A child that cannot be reached has ended, and its exit is what counts. */
function send(child: ChildProcess, message: ToChild): void {
  if (child.connected) child.send(message, () => undefined);
}

function answerOf(child: ChildProcess, words: Words, onBegun: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    // What else a handler may send is its own business.
    child.on('message', (message: FromChild) => {
      if (message.kind === 'begun') onBegun();
      else if (message.kind === 'completed') resolve(message.result);
      else if ((message.kind as unknown) === 'failed') reject(childError(message));
    });
    // More than one may come, and one without a listener would be thrown.
    child.on('error', (cause) => {
      if (child.pid !== undefined) return;
      reject(new NotBegunError('the process of the task could not start', { cause }));
    });
    child.once('exit', (code, signal) => {
      if (words.haveEnded) reject(new Interruption('lease_lost'));
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
