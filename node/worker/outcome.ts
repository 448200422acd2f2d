import { toError } from '../base/errors.ts';
import { Cancel, FatalError, Snooze, type TaskInput } from '../core/handler.ts';
import { faultOfJson } from '../core/json-shape.ts';
import { DURATION_MS_MAX, PAYLOAD_BYTES_MAX } from '../core/task.ts';
import { Interruption } from './halt.ts';
import type { Work } from './ports.ts';
import type { Mask } from './secrets.ts';

const MESSAGE_LENGTH_MAX = 4000;

/** What came of a task, as a value. */
export type Outcome =
  /** With how long it ran, where that is less than since it was begun here. */
  | { readonly kind: 'completed'; readonly result: string; readonly ranMs?: number | undefined }
  | { readonly kind: 'failed'; readonly error: TaskError; readonly delayMs: number }
  | { readonly kind: 'exhausted'; readonly error: TaskError }
  /** Somebody else cancelled it, which its row says. */
  | { readonly kind: 'cancelled' }
  /** Its handler cancelled it. */
  | { readonly kind: 'given-up'; readonly error: TaskError }
  /** Interrupted, snoozed, or nothing here can run it: handed back, not charged. */
  | { readonly kind: 'released'; readonly error: TaskError; readonly delayMs: number };

export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** The process of a task ended without an answer. */
export class ProcessDiedError extends Error {}

/** The task has not begun, for a reason that is not its own. */
export class NotBegunError extends Error {}

/** What a handler threw, as it travels from another thread or process. */
export type Thrown =
  | {
      readonly kind: 'failed';
      readonly code: string | undefined;
      readonly message: string;
      readonly isFatal: boolean;
    }
  | { readonly kind: 'given-up'; readonly message: string }
  | { readonly kind: 'snoozed'; readonly ms: number };

export function toThrown(thrown: unknown): Thrown {
  const error = toError(thrown);
  if (error instanceof Cancel) return { kind: 'given-up', message: messageOf(error) };
  if (error instanceof Snooze) return { kind: 'snoozed', ms: snoozeMsOf(error) };
  const code = propertyOf(error, 'code');
  return {
    kind: 'failed',
    code: typeof code === 'string' ? code : undefined,
    message: messageOf(error),
    isFatal: isFatal(error),
  };
}

export function fromThrown(thrown: Thrown): Error {
  switch (thrown.kind) {
    case 'given-up':
      return new Cancel(thrown.message);
    case 'snoozed':
      return new Snooze(thrown.ms);
    case 'failed': {
      const { code, message, isFatal: fatal } = thrown;
      if (fatal) return new FatalError(code ?? 'handler_error', message);
      return Object.assign(new Error(message), { code });
    }
  }
}

/** No further attempt can mend it, as it says itself. */
export function isFatal(error: Error): boolean {
  return error instanceof FatalError || propertyOf(error, 'retryable') === false;
}

/** Half a minute where a handler asks for no time that there is; 24 days at most. */
export function snoozeMsOf({ ms }: Snooze): number {
  const isTime = typeof ms === 'number' && ms >= 0;
  return isTime ? Math.min(Math.ceil(ms), DURATION_MS_MAX) : 30_000;
}

export function isPromise(answer: unknown): answer is PromiseLike<unknown> {
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

export function toInput(work: Work): TaskInput {
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
  return checkedResult(json);
}

/** A result as JSON text, made here or elsewhere by what may be hostile; throws for one not to be stored. */
export function checkedResult(json: unknown): string {
  if (typeof json !== 'string') {
    throw new FatalError('result_not_json', 'the result of the task is not JSON');
  }
  const fault = faultOfJson(json);
  if (fault !== null) {
    throw new FatalError('result_refused', `the result of the task has ${fault}`);
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

/** The outcome without secrets: what of it is stored. */
export function maskedOutcome(outcome: Outcome, mask: Mask): Outcome {
  switch (outcome.kind) {
    case 'completed':
      return { ...outcome, result: mask(outcome.result) };
    case 'cancelled':
      return outcome;
    case 'failed':
    case 'exhausted':
    case 'given-up':
    case 'released': {
      const { error } = outcome;
      return { ...outcome, error: { ...error, message: mask(error.message) } };
    }
  }
}

export function released(code: string, message: string, delayMs = 0): Outcome {
  return { kind: 'released', error: { code, message, retryable: true }, delayMs };
}

/** Codes that say what Skein did; a handler that throws one of them gets its own. */
const OWN_CODES = new Set(['process_died', 'quarantined', 'not_begun', 'no_handler', 'timeout']);

export function codeOf(error: Error): string {
  if (error instanceof Interruption) return error.code;
  const code = propertyOf(error, 'code');
  if (typeof code !== 'string' || OWN_CODES.has(code)) return 'handler_error';
  return /^[a-z][a-z_]{0,62}$/.test(code) ? code : 'handler_error';
}

/** What a handler throws is its own, getters included. */
function propertyOf(error: Error, name: 'message' | 'code' | 'retryable'): unknown {
  try {
    return (error as Partial<Readonly<Record<typeof name, unknown>>>)[name];
  } catch {
    return undefined;
  }
}
