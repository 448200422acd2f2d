import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { FatalError, type Handler, type HandlerContext } from '../core/handler.ts';
import { PAYLOAD_BYTES_MAX } from '../core/task.ts';
import type { Work } from './ports.ts';

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
  | { readonly kind: 'released'; readonly error: TaskError };

export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Why a running task is told to stop; what it does after that decides nothing but its own grace. */
export class Interruption extends Error {
  readonly code: 'cancelled' | 'timeout' | 'lease_lost' | 'draining';
  constructor(code: Interruption['code']) {
    super(INTERRUPTIONS[code]);
    this.name = 'Interruption';
    this.code = code;
  }
}

const INTERRUPTIONS = {
  cancelled: 'the task was cancelled',
  timeout: 'the task ran longer than its timeout_ms',
  lease_lost: 'the node could not renew its lease',
  draining: 'the node is shutting down',
} as const;

/** Runs one task where it may not harm the node: in a process of its own. */
export interface Isolation {
  run(work: Work, attempt: number, fencingToken: number, signal: AbortSignal): Promise<unknown>;
}

export interface ExecutorDeps {
  readonly clock: Clock;
  readonly rng: Rng;
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
  readonly controller: AbortController;
}

/** A child process died under its task this often: the task is quarantined as FAILED. */
const DEATHS_MAX = 3;

export class Executor {
  private readonly deps: ExecutorDeps;

  constructor(deps: ExecutorDeps) {
    this.deps = deps;
  }

  async execute(run: Run): Promise<Outcome> {
    const { work, controller } = run;
    const handler = this.deps.handlers.get(work.type);
    const isSimulated = handler === undefined && this.canSimulate(work);
    if (handler === undefined && !isSimulated) {
      return released('no_handler', `this node has no handler for the type ${work.type}`);
    }
    const cancelTimeout =
      work.timeoutMs === null
        ? undefined
        : this.deps.clock.after(work.timeoutMs, () => {
            controller.abort(new Interruption('timeout'));
          });
    try {
      const result = isSimulated
        ? await this.simulate(work, controller.signal)
        : await this.runHandler(run, handler as Handler);
      return completed(result);
    } catch (thrown) {
      return this.classify(run, toError(thrown));
    } finally {
      cancelTimeout?.();
    }
  }

  private canSimulate(work: Work): boolean {
    return this.deps.simulates && work.durationMs !== null && !work.isTypeHandled;
  }

  private async simulate(work: Work, signal: AbortSignal): Promise<unknown> {
    await this.deps.clock.sleep(work.durationMs ?? 0, signal);
    return { simulated: true };
  }

  private runHandler(run: Run, handler: Handler): Promise<unknown> {
    const { work, attempt, leaseSeq, controller } = run;
    if (run.losses > 0) {
      return this.deps.isolation.run(work, attempt, leaseSeq, controller.signal);
    }
    const context: HandlerContext = {
      signal: controller.signal,
      attempt,
      fencingToken: leaseSeq,
      sleep: (ms) => this.deps.clock.sleep(ms, controller.signal),
    };
    return handler.run(toInput(work), context);
  }

  private classify(run: Run, error: Error): Outcome {
    const { work, attempt } = run;
    const reason: unknown = run.controller.signal.reason;
    if (reason instanceof Interruption && reason.code !== 'timeout') {
      if (reason.code === 'cancelled') return { kind: 'cancelled' };
      return released(reason.code, reason.message);
    }
    const cause = reason instanceof Interruption ? reason : error;
    const code = codeOf(cause);
    const isFatal = cause instanceof FatalError;
    if (code === 'process_died' && run.deaths + 1 >= DEATHS_MAX) {
      const message = `its process died ${String(DEATHS_MAX)} times: ${cause.message}`;
      return { kind: 'exhausted', error: { code: 'quarantined', message, retryable: false } };
    }
    const taskError = { code, message: cause.message.slice(0, 4000), retryable: !isFatal };
    if (isFatal || attempt >= work.maxAttempts) return { kind: 'exhausted', error: taskError };
    const { isFixed, baseMs, maxMs } = work.backoff;
    const delayMs = isFixed ? baseMs : fullJitterMs({ baseMs, maxMs }, attempt, this.deps.rng);
    return { kind: 'failed', error: taskError, delayMs };
  }
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
function completed(result: unknown): Outcome {
  if (result === null || result === undefined) return NOTHING;
  const json = JSON.stringify(result) as string | undefined;
  if (json === undefined) {
    throw new FatalError('result_not_json', 'the result of the task is not JSON');
  }
  if (Buffer.byteLength(json) > PAYLOAD_BYTES_MAX) {
    throw new FatalError(
      'result_too_large',
      `the result of the task is larger than ${String(PAYLOAD_BYTES_MAX)} bytes`,
    );
  }
  return { kind: 'completed', result: json };
}

const NOTHING: Outcome = { kind: 'completed', result: 'null' };

function released(code: string, message: string): Outcome {
  return { kind: 'released', error: { code, message, retryable: true } };
}

function codeOf(error: Error): string {
  const code: unknown = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[a-z][a-z_]{0,62}$/.test(code) ? code : 'handler_error';
}
