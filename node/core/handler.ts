/**
 * The seam between Skein and the code that does the work: a handler runs the tasks of one type. This
 * file is all of Skein that a handler may see.
 */
export interface TaskInput {
  readonly id: string;
  readonly type: string;
  readonly payload: unknown;
  /** Milliseconds, or null where the task carries none. */
  readonly durationMs: number | null;
}

export interface HandlerContext {
  /** Aborted on cancel, on timeout, when the lease is lost, and when the node must hand back its work. */
  readonly signal: AbortSignal;
  /** Charged tries so far, this one included: 1 on the first. */
  readonly attempt: number;
  /** The number of the lease: only grows, so that an outside system can refuse a stale writer. */
  readonly fencingToken: number;
  /** Resolves after `ms`, rejects when the signal aborts. */
  sleep(ms: number): Promise<void>;
}

export interface Handler {
  readonly type: string;
  /**
   * Its answer, or what its promise resolves to, is the task's result (JSON, 256 KiB at most); a throw
   * fails the attempt.
   */
  run(task: TaskInput, context: HandlerContext): unknown;
}

/** A failure that no further attempt can mend: the task ends FAILED at once. */
export class FatalError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'FatalError';
    this.code = code;
  }
}
