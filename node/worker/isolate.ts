import { Gate } from '../base/gate.ts';
import type { Clock } from '../base/clock.ts';
import type { FromChild, ToChild } from './child-messages.ts';
import { Interruption } from './halt.ts';
import { NotBegunError, ProcessDiedError } from './outcome.ts';
import type { Isolation, Run, RunContext } from './run-context.ts';
import { hear } from './seat.ts';
import { Wards, type Memory, type Ward, type WardDeps } from './ward.ts';

/**
 * One task in a process of its own: because its type asks for that, because a lease of it was lost before
 * and the task may have been the cause (rule 17), or because a thread or process that it shared with
 * others has died. The process is in the care of the node (ward.ts) and ends with its task.
 *
 * An aborted task gets its signal, then `graceMs`, then SIGKILL for the whole group.
 */
export interface IsolationDeps extends WardDeps {
  readonly graceMs: number;
  readonly memory?: Memory;
  /** Processes at once, 16 unless given. */
  readonly processesMax?: number;
  /** The file with the handler of a type, where that is a user's. */
  readonly bundleOf?: (type: string) => string | undefined;
}

/**
 * A node that takes over the tasks of a dead one has as many to isolate as that had slots. Those beyond
 * this wait, each in the slot that it holds anyway.
 */
const PROCESSES_MAX = 16;

/**
 * What a process gets until its task begins; one that does not come up is killed. Long, because a machine
 * with too much to do is no fault of the task, and an end of it, because no timeout runs before.
 */
const BEGIN_MS = 30_000;

/** For the heap, and for all that Node itself and Buffers take beside it. */
const MEMORY: Memory = { heapMb: 512, residentMb: 768 };

export class ChildIsolation implements Isolation {
  private readonly deps: IsolationDeps;
  private readonly wards: Wards;
  private readonly gate: Gate;

  constructor(deps: IsolationDeps, wards = new Wards(deps)) {
    this.deps = deps;
    this.wards = wards;
    this.gate = new Gate(Math.max(PROCESSES_MAX, deps.processesMax ?? 0), Infinity);
  }

  run(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    const { signal } = run.halt;
    return this.gate.run(() => this.runOne(run, context, onBegun), signal);
  }

  stop(): Promise<boolean> {
    return this.wards.stop();
  }

  private async runOne(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    const { work, attempt, leaseSeq: fencingToken } = run;
    const { signal } = run.halt;
    signal.throwIfAborted();
    const { clock, memory = MEMORY, bundleOf } = this.deps;
    const bundle = bundleOf?.(work.type);
    const ward = this.wards.start('task', memory);
    let cancelKill = (): void => undefined;
    const answer = answerOf(ward, context, () => {
      cancelKill();
      onBegun();
    });
    // Awaited below; until then its rejection is not lost.
    answer.catch(() => undefined);
    const onAbort = (): void => {
      abort(ward, signal, clock, this.deps.graceMs);
    };
    try {
      if (ward.group === undefined) return await answer;
      await this.wards.writeDown(ward, signal);
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      cancelKill = clock.after(BEGIN_MS, () => {
        ward.kill();
      });
      const message: ToChild = { kind: 'run', work, attempt, fencingToken, bundle };
      ward.send(message);
      return await answer;
    } finally {
      cancelKill();
      signal.removeEventListener('abort', onAbort);
      ward.kill();
    }
  }
}

function abort(ward: Ward, signal: AbortSignal, clock: Clock, graceMs: number): void {
  const reason: unknown = signal.reason;
  const code = reason instanceof Interruption ? reason.code : 'draining';
  const message: ToChild = { kind: 'abort', code };
  ward.send(message);
  const cancelKill = clock.after(graceMs, () => {
    ward.kill();
  });
  ward.child.once('exit', cancelKill);
}

function answerOf(ward: Ward, context: RunContext, onBegun: () => void): Promise<string> {
  const { child } = ward;
  return new Promise((resolve, reject) => {
    const reply = (message: ToChild): void => {
      ward.send(message);
    };
    const seat = { context, onBegun, resolve, reject, reply };
    child.on('message', (message: FromChild) => {
      ward.hasAnswered ||= isAnswer(message);
      hear(seat, message);
    });
    // More than one may come, and one without a listener would be thrown.
    child.on('error', (cause) => {
      if (child.pid !== undefined) return;
      reject(new NotBegunError('the process of the task could not start', { cause }));
    });
    child.once('close', (code, signal) => {
      if (ward.hasOutlivedItsLease) reject(new Interruption('lease_lost'));
      reject(new ProcessDiedError(howEnded('the process of the task', ward, code, signal)));
    });
  });
}

/** A handler may send what it likes, also what is no message at all. */
function isAnswer(message: Partial<FromChild> | null): boolean {
  return message?.kind === 'completed' || message?.kind === 'thrown';
}

/** As the process itself said it, or by what is left of it. */
export function howEnded(
  what: string,
  { lastWord }: Ward,
  code: number | null,
  signal: string | null,
): string {
  if (lastWord !== '') return `${what} ended: ${lastWord}`;
  return `${what} ended ${signal === null ? `with code ${String(code)}` : `by ${signal}`}`;
}
