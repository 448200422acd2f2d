/**
 * The one catalogue of errors that leave a node. A code is API: it appears in problem documents, in
 * task errors and in logs, and is never renamed. Expected refusals inside the core are values; these
 * are thrown at borders only.
 */
export interface ErrorDetails {
  /** JSON pointer faults of a request, `#/tasks/3/priority` style. */
  readonly errors?: readonly Fault[];
  /** Seconds for the Retry-After header. */
  readonly retryAfterS?: number;
  /** More members of the problem document. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

export class AppError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly httpStatus: number;
  readonly details: ErrorDetails;

  constructor(
    code: string,
    message: string,
    options: {
      readonly httpStatus: number;
      readonly retryable?: boolean;
      readonly details?: ErrorDetails;
      readonly cause?: unknown;
    },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.httpStatus = options.httpStatus;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

export const errors = {
  invalid: (faults: readonly Fault[]): AppError =>
    new AppError('invalid', faults.map((f) => `${f.pointer}: ${f.detail}`).join('; '), {
      httpStatus: 400,
      details: { errors: faults },
    }),
  malformed: (message: string): AppError => new AppError('malformed', message, { httpStatus: 400 }),
  unauthenticated: (message: string): AppError =>
    new AppError('unauthenticated', message, { httpStatus: 401 }),
  forbidden: (message: string): AppError => new AppError('forbidden', message, { httpStatus: 403 }),
  notFound: (what: string): AppError =>
    new AppError('not_found', `${what} does not exist`, { httpStatus: 404 }),
  conflict: (message: string, extra?: Readonly<Record<string, unknown>>): AppError =>
    new AppError('conflict', message, {
      httpStatus: 409,
      ...(extra === undefined ? {} : { details: { extra } }),
    }),
  idempotencyKeyReused: (key: string): AppError =>
    new AppError(
      'idempotency_key_reused',
      `the Idempotency-Key ${key} was used for another request`,
      {
        httpStatus: 409,
      },
    ),
  tooLarge: (what: string, limit: string): AppError =>
    new AppError('too_large', `${what} is larger than the limit of ${limit}`, { httpStatus: 413 }),
  overloaded: (message: string): AppError =>
    new AppError('overloaded', message, {
      httpStatus: 429,
      retryable: true,
      details: { retryAfterS: 1 },
    }),
  databaseUnavailable: (cause: unknown): AppError =>
    new AppError('database_unavailable', 'the database cannot be reached', {
      httpStatus: 503,
      retryable: true,
      details: { retryAfterS: 1 },
      cause,
    }),
  databaseNotPrimary: (found: string): AppError =>
    new AppError('database_not_primary', `the database that answers is not the primary: ${found}`, {
      httpStatus: 503,
      retryable: true,
      details: { retryAfterS: 1 },
    }),
  lockSessionUnsafe: (found: string): AppError =>
    new AppError(
      'lock_session_unsafe',
      `the leader's lock needs a direct connection to PostgreSQL, not a pooler in transaction mode: ${found}`,
      { httpStatus: 500 },
    ),
  leaseLost: (): AppError =>
    new AppError('lease_lost', 'the task does not hold its lease any more', {
      httpStatus: 409,
      retryable: true,
    }),
  stopping: (): AppError =>
    new AppError('stopping', 'this node is shutting down', {
      httpStatus: 503,
      retryable: true,
      details: { retryAfterS: 1 },
    }),
} as const;

/** Any thrown value as an Error: what is thrown is unknown, and it is coerced once. Never throws. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOf(thrown), { cause: thrown });
}

/** An object without a prototype has no text, and that of others may throw. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return 'something was thrown that has no text';
  }
}
