import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { FatalError, type Handler, type HandlerContext } from '../core/handler.ts';
import { PAYLOAD_BYTES_MAX } from '../core/task.ts';
import { Interruption, type Halt } from './halt.ts';
import type { LogPort, Work } from './ports.ts';

/**
 * One task as a pipeline: resolve its handler → run it → classify what came of it → an outcome. An
 * outcome is a value; nothing is thrown past this file.
 */
export type Outcome =
  | { readonly kind: 'completed'; readonly result: string }
  | { readonly kind: 'failed'; readonly error: TaskError; readonly delayMs: number }
  | { readonly kind: 'exhausted'; readonly error: TaskError }
  | { readonly kind: 'cancelled' }
  /** Interrupted, or nothing here can run it: handed back, not charged. */
  | { readonly kind: 'released'; readonly error: TaskError; readonly delayMs: number };

export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Runs one task where it may not harm the node: in a process of its own. */
export interface Isolation {
  /**
   * The result as JSON text; rejects with an `Interruption` where the lease of the node ended it.
   * `onBegun` hears when the handler runs: before, the task may wait for a place and for the database.
   */
  run(
    work: Work,
    attempt: number,
    fencingToken: number,
    onBegun: () => void,
    signal: AbortSignal,
  ): Promise<string>;
  /** Ends at once whatever runs; true when nothing of it is left, false when that is not certain. */
  stop(): Promise<boolean>;
}

/** The process of a task ended without an answer. */
export class ProcessDiedError extends Error {}

/** The task has not begun, for a reason that is not its own. */
export class NotBegunError extends Error {}

export interface ExecutorDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Runs types that no handler was ever registered for, as a sleep of `duration_ms`. */
  readonly simulates: boolean;
  readonly isolation: Isolation;
}

export interface Run {
  readonly work: Work;
  /** Charged tries, this one included. */
  readonly attempt: number;
  readonly leaseSeq: number;
  /** Leases lost before: above 0 the task runs in a process of its own (rule 17). */
  readonly losses: number;
  /** Deaths of such processes under this task. */
  readonly deaths: number;
  readonly halt: Halt;
}

/** A child process died under its task this often: the task is quarantined as FAILED. */
const DEATHS_MAX = 3;
/** What a handler gets to heed its signal; then it is left behind, because its slot is needed. */
const HEED_MS = 2000;
const HEED_LOOK_MS = 10;
/** Until a task that could not begin here may be leased again. */
const NOT_BEGUN_MS = 1000;
const MESSAGE_LENGTH_MAX = 4000;

export class Executor {
  private readonly deps: ExecutorDeps;
  /** Handlers that run in this process, those left behind included. */
  private runningHere = 0;

  constructor(deps: ExecutorDeps) {
    this.deps = deps;
  }

  /**
   * At once where the handler needs no promise, and most of what is quick does not: a chain of them for
   * each task cost more than all else that a node does for it. What is promised never rejects.
   */
  execute(run: Run): Outcome | Promise<Outcome> {
    const { work, halt } = run;
    const handler = this.deps.handlers.get(work.type);
    if (handler === undefined && !this.canSimulate(work)) {
      return released('no_handler', `this node has no handler for the type ${work.type}`);
    }
    if (halt.reason !== undefined) return this.classify(run, halt.reason);
    if (handler === undefined) {
      return this.executeSlowly(run, (onBegun) => {
        onBegun();
        return this.simulate(work, halt);
      });
    }
    if (run.losses > 0) {
      const { attempt, leaseSeq } = run;
      return this.executeSlowly(run, (onBegun) =>
        this.deps.isolation.run(work, attempt, leaseSeq, onBegun, halt.signal),
      );
    }
    try {
      const answer = handler.run(toInput(work), this.contextOf(run));
      if (!isPromise(answer)) return { kind: 'completed', result: toResult(answer) };
      return this.executeSlowly(run, async (onBegun) => {
        onBegun();
        return toResult(await this.heeded(run, answer));
      });
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    }
  }

  /** Ends what runs elsewhere; false where something may run on, also in this very process. */
  async stop(): Promise<boolean> {
    const { clock, isolation } = this.deps;
    const isGone = await isolation.stop();
    const untilMs = clock.monotonicMs() + HEED_MS;
    while (this.runningHere > 0 && clock.monotonicMs() < untilMs) await clock.sleep(HEED_LOOK_MS);
    return isGone && this.runningHere === 0;
  }

  private canSimulate(work: Work): boolean {
    return this.deps.simulates && work.durationMs !== null && !work.isTypeHandled;
  }

  private async simulate(work: Work, halt: Halt): Promise<string> {
    await this.deps.clock.sleep(work.durationMs ?? 0, halt.signal);
    return '{"simulated":true}';
  }

  /** Under the task's own time limit from when it has begun; what is thrown becomes an outcome. */
  private async executeSlowly(
    run: Run,
    begin: (onBegun: () => void) => Promise<string>,
  ): Promise<Outcome> {
    const { work, halt } = run;
    let cancelTimeout: (() => void) | undefined;
    const onBegun = (): void => {
      if (work.timeoutMs === null) return;
      cancelTimeout ??= this.deps.clock.after(work.timeoutMs, () => {
        halt.interrupt('timeout');
      });
    };
    try {
      return { kind: 'completed', result: await begin(onBegun) };
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    } finally {
      cancelTimeout?.();
    }
  }

  private contextOf({ attempt, leaseSeq, halt }: Run): HandlerContext {
    const { clock } = this.deps;
    return {
      get signal() {
        return halt.signal;
      },
      attempt,
      fencingToken: leaseSeq,
      sleep: (ms) => clock.sleep(ms, halt.signal),
    };
  }

  /** What a handler does, until it has been interrupted for so long that it is left behind. */
  private heeded(run: Run, running: PromiseLike<unknown>): Promise<unknown> {
    const { halt, work } = run;
    this.runningHere += 1;
    return new Promise((resolve, reject) => {
      let cancel: (() => void) | undefined;
      halt.onInterrupt = () => {
        cancel = this.deps.clock.after(HEED_MS, () => {
          this.deps.log.warn('A handler does not heed its signal; it is left behind.', {
            task_id: work.id,
            type: work.type,
          });
          reject(halt.reason ?? new Interruption('draining'));
        });
      };
      const settled = (end: () => void): void => {
        this.runningHere -= 1;
        cancel?.();
        halt.onInterrupt = undefined;
        end();
      };
      running.then(
        (result) => {
          settled(() => resolve(result));
        },
        (thrown: unknown) => {
          settled(() => reject(toError(thrown)));
        },
      );
    });
  }

  private classify(run: Run, error: Error): Outcome {
    const { work, attempt } = run;
    const { reason } = run.halt;
    if (reason !== undefined && reason.code !== 'timeout') return interrupted(reason);
    const cause = reason ?? error;
    if (reason === undefined && error instanceof Interruption) return interrupted(error);
    if (cause instanceof NotBegunError) {
      return released('not_begun', messageOf(cause), NOT_BEGUN_MS);
    }
    const hasDied = cause instanceof ProcessDiedError;
    if (hasDied && run.deaths + 1 >= DEATHS_MAX) {
      const message = `its process died ${String(DEATHS_MAX)} times: ${cause.message}`;
      return { kind: 'exhausted', error: { code: 'quarantined', message, retryable: false } };
    }
    const isFatal = cause instanceof FatalError;
    const code = hasDied ? 'process_died' : codeOf(cause);
    const taskError = { code, message: messageOf(cause), retryable: !isFatal };
    if (isFatal || attempt >= work.maxAttempts) return { kind: 'exhausted', error: taskError };
    const { isFixed, baseMs, maxMs } = work.backoff;
    const delayMs = isFixed ? baseMs : fullJitterMs({ baseMs, maxMs }, attempt, this.deps.rng);
    return { kind: 'failed', error: taskError, delayMs };
  }
}

function isPromise(answer: unknown): answer is PromiseLike<unknown> {
  return (
    typeof answer === 'object' &&
    answer !== null &&
    typeof (answer as { readonly then?: unknown }).then === 'function'
  );
}

/** What becomes of a task that was told to stop, begun or not: handed back, uncharged. */
export function interrupted(reason: Interruption): Outcome {
  if (reason.code === 'cancelled') return { kind: 'cancelled' };
  return released(reason.code, reason.message);
}

export function toInput(work: Work): Parameters<Handler['run']>[0] {
  return {
    id: work.id,
    type: work.type,
    payload: work.payload === null ? null : (JSON.parse(work.payload) as unknown),
    durationMs: work.durationMs,
  };
}

/** A result becomes its JSON here, once; what cannot be stored fails the task and not the batch. */
export function toResult(result: unknown): string {
  if (result === null || result === undefined) return 'null';
  let json: string | undefined;
  try {
    json = JSON.stringify(result);
  } catch {
    // A cycle, a bigint, or a depth beyond the stack.
  }
  if (json === undefined) {
    throw new FatalError('result_not_json', 'the result of the task is not JSON');
  }
  if (Buffer.byteLength(json) > PAYLOAD_BYTES_MAX) {
    throw new FatalError(
      'result_too_large',
      `the result of the task is larger than ${String(PAYLOAD_BYTES_MAX)} bytes`,
    );
  }
  return json;
}

/**
 * The text of an error, fit for PostgreSQL to look into: it stores JSON with NUL or half a surrogate
 * pair, and then refuses to read any field of it.
 */
export function messageOf(error: Error): string {
  const message = propertyOf(error, 'message');
  const text = typeof message === 'string' ? message : 'an error without a message';
  return text.slice(0, MESSAGE_LENGTH_MAX).replace(/\0|\p{Surrogate}/gu, '\uFFFD');
}

function released(code: string, message: string, delayMs = 0): Outcome {
  return { kind: 'released', error: { code, message, retryable: true }, delayMs };
}

/** Codes that say what Skein did; a handler that throws one of them gets its own. */
const OWN_CODES = new Set(['process_died', 'quarantined', 'not_begun', 'no_handler', 'timeout']);

function codeOf(error: Error): string {
  if (error instanceof Interruption) return error.code;
  const code = propertyOf(error, 'code');
  if (typeof code !== 'string' || OWN_CODES.has(code)) return 'handler_error';
  return /^[a-z][a-z_]{0,62}$/.test(code) ? code : 'handler_error';
}

/** What a handler throws is its own, getters included. */
function propertyOf(error: Error, name: 'message' | 'code'): unknown {
  try {
    return (error as { readonly code?: unknown; readonly message: unknown })[name];
  } catch {
    return undefined;
  }
}
