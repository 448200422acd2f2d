import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { Cancel, Snooze, type Handler } from '../core/handler.ts';
import { BACKOFF, MAX_ATTEMPTS } from '../core/task.ts';
import { Interruption, type Halt } from './halt.ts';
import {
  codeOf,
  interrupted,
  isFatal,
  isPromise,
  maskedOutcome,
  messageOf,
  NotBegunError,
  ProcessDiedError,
  released,
  snoozeMsOf,
  toResult,
  type Outcome,
} from './outcome.ts';
import type { LogPort, RunReportsPort, SpawnPort, Work } from './ports.ts';
import { RunContext, type Isolation, type Run } from './run-context.ts';
import { mayHaveSecrets, unsealed, type SecretsPort } from './secrets.ts';
import type { UserType } from './user-code.ts';

/**
 * One task as a pipeline: resolve its handler → run it → classify what came of it → an outcome. An
 * outcome is a value; nothing is thrown past this file.
 */
export interface ExecutorDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  /** What runs here, as it only waits. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** What runs elsewhere, as it may do anything. */
  readonly users?: ReadonlyMap<string, UserType> | undefined;
  /** Runs types that no handler was ever registered for, as a sleep of `duration_ms`. */
  readonly simulates: boolean;
  readonly isolation: Isolation;
  readonly reports: RunReportsPort;
  /** Of the dependencies of a task that completed, by name: JSON texts. */
  readonly results: (seq: number) => Promise<ReadonlyMap<string, string>>;
  readonly spawn: SpawnPort;
  /** Of this node; none where it was given none. */
  readonly secrets?: SecretsPort | undefined;
}

/** A child process died under its task this often: the task is quarantined as FAILED. */
const DEATHS_MAX = 3;
/** What a handler gets to heed its signal; then it is left behind, because its slot is needed. */
const HEED_MS = 2000;
const HEED_LOOK_MS = 10;
const ASKED_DELAY_MS_MAX = 3_600_000;
/** Until a task that could not begin here may be leased again. */
const NOT_BEGUN_MS = 1000;

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
    if (mayHaveSecrets(run.work.payload)) return this.executeUnsealed(run, run.work.payload);
    return this.executeOpen(run);
  }

  private async executeUnsealed(run: Run, sealed: string): Promise<Outcome> {
    try {
      const { payload, mask } = unsealed(sealed, this.deps.secrets);
      const outcome = await this.executeOpen({ ...run, work: { ...run.work, payload }, mask });
      return maskedOutcome(outcome, mask);
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    }
  }

  private executeOpen(run: Run): Outcome | Promise<Outcome> {
    const { work, halt } = run;
    const handler = this.deps.handlers.get(work.type);
    const user = handler === undefined ? this.deps.users?.get(work.type) : undefined;
    if (user !== undefined) return this.executeElsewhere(withDefaults(run, user));
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
    if (run.losses > 0 || handler.isolation === 'process') return this.executeElsewhere(run);
    try {
      const context = new RunContext(run, this.deps);
      const answer = handler.run(context.task, context);
      if (!isPromise(answer)) return { kind: 'completed', result: toResult(answer) };
      return this.executeSlowly(run, async (onBegun) => {
        onBegun();
        return toResult(await this.heeded(run, answer));
      });
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    }
  }

  /** Whether a process may have died under an earlier attempt at it. */
  mayHaveDied({ work, losses, attempt }: Omit<Run, 'deaths'>): boolean {
    return losses > 0 || (attempt > 1 && this.deps.users?.has(work.type) === true);
  }

  /** Whether it may wait behind what runs, in place of waiting for a slot. */
  mayGoAhead({ work, losses, attempt }: Omit<Run, 'deaths'>): boolean {
    return losses === 0 && attempt === 1 && this.deps.isolation.goesAhead?.(work.type) === true;
  }

  /** Ends what runs elsewhere; false where something may run on, also in this very process. */
  async stop(): Promise<boolean> {
    const { clock, isolation } = this.deps;
    const isGone = await isolation.stop();
    const untilMs = clock.monotonicMs() + HEED_MS;
    while (this.runningHere > 0 && clock.monotonicMs() < untilMs) await clock.sleep(HEED_LOOK_MS);
    return isGone && this.runningHere === 0;
  }

  private executeElsewhere(run: Run): Outcome | Promise<Outcome> {
    if (run.halt.reason !== undefined) return this.classify(run, run.halt.reason);
    const context = new RunContext(run, this.deps);
    const outcome = this.executeSlowly(run, (onBegun) =>
      this.deps.isolation.run(run, context, onBegun),
    );
    return outcome.then((one) => {
      return one.kind === 'completed' ? { ...one, ranMs: context.ranMs } : one;
    });
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
      // A task that begins again, as others took away what it ran in, has all its time again.
      cancelTimeout?.();
      cancelTimeout = this.deps.clock.after(work.timeoutMs, () => {
        halt.interrupt('timeout');
      });
    };
    try {
      const result = await begin(onBegun);
      // It heeded its signal by an answer, but its time was over.
      if (halt.reason?.code === 'timeout') return this.classify(run, halt.reason);
      return { kind: 'completed', result };
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    } finally {
      cancelTimeout?.();
    }
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
    if (cause instanceof Snooze) {
      return released('snoozed', messageOf(cause), snoozeMsOf(cause));
    }
    if (cause instanceof Cancel) {
      const error = { code: 'cancelled_by_handler', message: messageOf(cause), retryable: false };
      return { kind: 'given-up', error };
    }
    if (cause instanceof NotBegunError) {
      return released('not_begun', messageOf(cause), NOT_BEGUN_MS);
    }
    const hasDied = cause instanceof ProcessDiedError;
    if (hasDied && run.deaths + 1 >= DEATHS_MAX) {
      const message = `its process died ${String(DEATHS_MAX)} times: ${cause.message}`;
      return { kind: 'exhausted', error: { code: 'quarantined', message, retryable: false } };
    }
    const isLast = isFatal(cause) || attempt >= work.maxAttempts;
    const code = hasDied ? 'process_died' : codeOf(cause);
    const taskError = { code, message: messageOf(cause), retryable: !isFatal(cause) };
    if (isLast) return { kind: 'exhausted', error: taskError };
    const { isFixed, baseMs, maxMs } = work.backoff;
    const ownMs = isFixed ? baseMs : fullJitterMs({ baseMs, maxMs }, attempt, this.deps.rng);
    return { kind: 'failed', error: taskError, delayMs: Math.max(ownMs, askedDelayMs(cause)) };
  }
}

/** What the other side asks for (`retryAfterMs` of the error), where that is longer; an hour at most. */
function askedDelayMs(error: Error): number {
  let asked: unknown;
  try {
    asked = (error as { readonly retryAfterMs?: unknown }).retryAfterMs;
  } catch {
    // A getter of the handler's own.
  }
  return typeof asked === 'number' && asked > 0 ? Math.min(asked, ASKED_DELAY_MS_MAX) : 0;
}

/**
 * The defaults of a handler count where the task says nothing itself. Of `max_attempts` and `backoff` that
 * cannot be told from one that says the defaults of Skein: both are stored alike.
 */
function withDefaults(run: Run, user: UserType): Run {
  const { timeoutMs, maxAttempts, backoff } = user;
  if (timeoutMs === null && maxAttempts === null && backoff === null) return run;
  const { work } = run;
  const { isFixed, baseMs, maxMs } = work.backoff;
  const hasBackoff = isFixed || baseMs !== BACKOFF.baseMs || maxMs !== BACKOFF.maxMs;
  const hasAttempts = work.maxAttempts !== MAX_ATTEMPTS.default;
  return {
    ...run,
    work: {
      ...work,
      timeoutMs: work.timeoutMs ?? timeoutMs,
      maxAttempts: hasAttempts ? work.maxAttempts : (maxAttempts ?? work.maxAttempts),
      backoff: hasBackoff ? work.backoff : (backoff ?? work.backoff),
    },
  };
}
