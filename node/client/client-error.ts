import type { Fault } from '../base/errors.ts';

/**
 * Every way in which a call can fail, as one error. `code` is that of the problem document the node
 * answered with, or one of the client's own: `unreachable` (no node answered at all), `deadline` (the
 * answer did not come in time), `aborted` (by the caller's signal), `not_skein` (what answered is no node).
 * `status` is 0 for all but the last.
 */
export class ClientError extends Error {
  readonly status: number;
  readonly code: string;
  /** Faults of the body that was sent, each with its JSON pointer. */
  readonly errors: readonly Fault[];
  /** The whole problem document. */
  readonly problem: Readonly<Record<string, unknown>>;
  /** An earlier try of the very same request may have been carried out without an answer. */
  readonly isRepeated: boolean;

  constructor(
    code: string,
    message: string,
    options: {
      readonly status?: number;
      readonly problem?: Readonly<Record<string, unknown>>;
      readonly isRepeated?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ClientError';
    this.code = code;
    this.status = options.status ?? 0;
    this.problem = options.problem ?? {};
    this.isRepeated = options.isRepeated ?? false;
    this.errors = Array.isArray(this.problem['errors']) ? (this.problem['errors'] as Fault[]) : [];
  }

  /** Another try, now or later, may succeed. */
  get isTransient(): boolean {
    return this.code === 'unreachable' || this.code === 'deadline' || isBusy(this.status);
  }
}

export function tooLate(what: string, ms: number): ClientError {
  return new ClientError('deadline', `${what} within ${String(ms)} ms`);
}

/** Its cause is the reason of the signal. */
export function aborted(signal: AbortSignal | undefined): ClientError {
  const cause: unknown = signal?.reason;
  return new ClientError('aborted', 'the call was aborted by its caller', { cause });
}

/** Too many requests, or a node that cannot serve at the moment. */
export function isBusy(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/** What a node that refused said of it, as an error. */
export function refusalOf(
  { status, url }: { readonly status: number; readonly url: string },
  text: string,
  isRepeated: boolean,
): ClientError {
  const problem = parsedObject(text);
  const code = problem?.['code'];
  const detail = problem?.['detail'];
  if (problem === undefined || typeof code !== 'string') {
    // A proxy before the nodes, or a node that is not ready yet.
    if (isBusy(status)) {
      const message = `${url} cannot serve at the moment (${String(status)})`;
      return new ClientError('unavailable', message, { status, isRepeated });
    }
    const message = `${url} answered ${String(status)}, and not as Skein does`;
    return new ClientError('not_skein', message, { status });
  }
  const message = typeof detail === 'string' ? detail : code;
  return new ClientError(code, message, { status, problem, isRepeated });
}

function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
