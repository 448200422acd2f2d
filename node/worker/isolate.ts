import { fork, type ChildProcess } from 'node:child_process';
import { Gate } from '../base/gate.ts';
import { killGroup, killOrphanGroup } from '../base/process-identity.ts';
import { toError } from '../base/errors.ts';
import { GroupLedger, type GroupLedgerDeps } from './group-ledger.ts';
import { Interruption } from './halt.ts';
import { fromThrown, NotBegunError, ProcessDiedError, toThrown, type Thrown } from './outcome.ts';
import type { LogLine, Work } from './ports.ts';
import type { Isolation, Run, RunContext } from './run-context.ts';

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
  /** For that module, as JSON: how the handlers of this node are set up. */
  readonly childSettings?: unknown;
  readonly graceMs: number;
  /** From now to the kill time of the node's lease, counted from its last renewal. */
  readonly leaseLeftMs: () => number;
  /** Between two words to a child. */
  readonly wordMs: number;
}

/** What the node sends its child: one task, answers to what it asks, then at most one abort. */
export type ToChild =
  | {
      readonly kind: 'run';
      readonly work: Work;
      readonly attempt: number;
      readonly fencingToken: number;
    }
  | { readonly kind: 'results'; readonly text: string }
  | { readonly kind: 'no-results'; readonly thrown: Thrown }
  | { readonly kind: 'abort'; readonly code: Interruption['code'] };

/**
 * What a child says: that its handler runs now, what that says and asks meanwhile, and then its answer;
 * then it waits for its end. A result is JSON text within the bounds of one.
 */
export type FromChild =
  | { readonly kind: 'begun' }
  | { readonly kind: 'lines'; readonly lines: readonly LogLine[] }
  | { readonly kind: 'progress'; readonly fraction: number; readonly note: string | null }
  | { readonly kind: 'ask-results' }
  | { readonly kind: 'completed'; readonly result: string }
  | { readonly kind: 'thrown'; readonly thrown: Thrown };

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

  run(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    const { signal } = run.halt;
    return this.gate.run(() => this.runOne(run, context, onBegun), signal);
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

  private async runOne(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    const { work, attempt, leaseSeq: fencingToken } = run;
    const { signal } = run.halt;
    signal.throwIfAborted();
    const { child, words } = this.fork();
    let cancelKill = (): void => undefined;
    const answer = answerOf(child, words, context, () => {
      cancelKill();
      onBegun();
    });
    // Awaited below; until then its rejection is not lost.
    answer.catch(() => undefined);
    const group = child.pid;
    if (group === undefined) return answer;
    let hasAnswered = false;
    child.on('message', ({ kind }: FromChild) => {
      hasAnswered ||= kind === 'completed' || kind === 'thrown';
    });
    child.once('exit', () => {
      words.stop();
      if (hasAnswered) this.ledger.remove(group);
      else void this.bury(group);
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
      send(child, { kind: 'run', work, attempt, fencingToken });
      return await answer;
    } finally {
      cancelKill();
      signal.removeEventListener('abort', onAbort);
      killGroup(group);
    }
  }

  /**
   * Nothing of a group may outlive its child, nor what has left the group: a child that answers has seen to
   * that, one that was killed could not. Until nothing runs the row names the group. Never rejects.
   */
  private async bury(group: number): Promise<void> {
    const { clock } = this.deps;
    const untilMs = clock.monotonicMs() + VANISH_MS;
    while (!killOrphanGroup(group) && clock.monotonicMs() < untilMs) {
      await clock.sleep(VANISH_LOOK_MS);
    }
    this.ledger.remove(group);
  }

  private fork(): { readonly child: ChildProcess; readonly words: Words } {
    const words = new Words(this.deps);
    const { childEntry, childSettings = null } = this.deps;
    try {
      const child = fork(childEntry, [String(words.grantedMs), JSON.stringify(childSettings)], {
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

function answerOf(
  child: ChildProcess,
  words: Words,
  context: RunContext,
  onBegun: () => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromChild): void => {
      switch (message.kind) {
        case 'begun':
          onBegun();
          return;
        case 'lines':
          for (const line of message.lines) context.reporter.addLine(line);
          return;
        case 'progress':
          context.reporter.progress(message.fraction, message.note ?? undefined);
          return;
        case 'ask-results':
          void giveResults(child, context);
          return;
        case 'completed':
          resolve(message.result);
          return;
        case 'thrown':
          reject(fromThrown(message.thrown));
          return;
      }
    };
    // What else a handler may send is its own business: a kind that there is not falls through, and a
    // message of another shape is its own fault.
    child.on('message', (message: FromChild) => {
      try {
        onMessage(message);
      } catch (thrown) {
        reject(toError(thrown));
      }
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

/** Never rejects: what cannot be read is thrown where the handler asked for it. */
async function giveResults(child: ChildProcess, context: RunContext): Promise<void> {
  try {
    send(child, { kind: 'results', text: await context.resultsText() });
  } catch (thrown) {
    send(child, { kind: 'no-results', thrown: toThrown(thrown) });
  }
}
