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

/** The types that are Skein's own, also on nodes that have one of them switched off. */
export const BUILT_IN_TYPES: readonly string[] = ['http', 'noop', 'shell', 'sleep'];

export type LogFields = Readonly<Record<string, unknown>>;

/** Lines of one attempt: each is cut at 8 KiB, and of an attempt 1 MiB is kept. */
export interface HandlerLog {
  readonly debug: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly error: (message: string, fields?: LogFields) => void;
}

/** It may be taken apart: `{ signal, log, progress }`. */
export interface HandlerContext {
  readonly task: TaskInput;
  /** Aborted on cancel, on timeout, when the lease is lost, and when the node must hand back its work. */
  readonly signal: AbortSignal;
  /** Charged tries so far, this one included: 1 on the first. */
  readonly attempt: number;
  /** The number of the lease: only grows, so that an outside system can refuse a stale writer. */
  readonly fencingToken: number;
  readonly log: HandlerLog;
  /** Resolves after `ms`, rejects when the signal aborts. */
  readonly sleep: (ms: number) => Promise<void>;
  /** How much is done, from 0 to 1, and a word about it; the last that was said counts. */
  readonly progress: (fraction: number, note?: string) => void;
  /**
   * The results of the dependencies, by the ids that the task names them by: within its workflow the local
   * ones, of a task that another has added those that `spawn` answered. A dependency that did not complete
   * has none: its id is missing.
   */
  readonly results: () => Promise<Readonly<Record<string, unknown>>>;
  /**
   * Adds tasks while this one runs: all of them or none, as long as it holds its lease, and once however
   * often it is tried. Answers their ids: `<id of this task>/<id>`, where one without an id is named by
   * its place among those that this attempt has added. They may depend on each other by their own names,
   * and on any other task; they belong to the workflow of this one, and have its priority where they say
   * none. Rejects with every fault named where one of them is refused.
   */
  readonly spawn: (tasks: readonly SpawnedTask[]) => Promise<readonly string[]>;
}

/** A task as `POST /tasks` takes it. */
export interface SpawnedTask {
  readonly id?: string;
  readonly type: string;
  readonly payload?: unknown;
  readonly duration_ms?: number;
  readonly dependencies?: readonly string[];
  readonly priority?: number;
  readonly max_attempts?: number;
  readonly backoff?: {
    readonly type?: 'fixed' | 'exponential';
    readonly base_ms?: number;
    readonly max_ms?: number;
  };
  readonly timeout_ms?: number;
  readonly ttl_ms?: number;
  readonly run_at?: string;
  readonly delay_ms?: number;
  readonly trigger_rule?: string;
  readonly tags?: readonly string[];
  readonly labels?: Readonly<Record<string, string | number | boolean>>;
  readonly expected_ms?: number;
}

export interface Handler {
  readonly type: string;
  /** `process`: each of its tasks has a process of its own; else only after a lost lease. */
  readonly isolation?: 'process';
  /**
   * Its answer, or what its promise resolves to, is the task's result (JSON, 256 KiB at most); a throw
   * fails the attempt. An error that says `retryable: false` fails the task, as `FatalError` does.
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

/** The task is not wanted any more: it ends CANCELLED, and its dependents go by their trigger rules. */
export class Cancel extends Error {
  constructor(message = 'the handler cancelled its task') {
    super(message);
    this.name = 'Cancel';
  }
}

/** Not now: the task goes back to the queue for so long, and no attempt is charged. */
export class Snooze extends Error {
  readonly ms: number;
  /** Throws a RangeError where that is no time: the attempt fails by it. */
  constructor(ms: number) {
    if (typeof ms !== 'number' || !(ms >= 0)) {
      throw new RangeError(`Snooze: ${String(ms)} is no number of milliseconds, 0 or more`);
    }
    super(`the handler asks to run again in ${String(ms)} ms`);
    this.name = 'Snooze';
    this.ms = ms;
  }
}

/** What judges a payload: a zod schema or another of the standard, anything that parses, a function. */
export type PayloadParser<Input> =
  | { readonly safeParse: (payload: unknown) => SafelyParsed<Input> }
  | { readonly parse: (payload: unknown) => Input }
  | ((payload: unknown) => Input | Promise<Input>);

export type SafelyParsed<Input> =
  | { readonly success: true; readonly data: Input }
  | { readonly success: false; readonly error: unknown };

/** How often, and after what pauses, a task is tried that says nothing of that itself. */
export interface HandlerRetry {
  readonly maxAttempts?: number;
  readonly backoff?: {
    readonly type?: 'fixed' | 'exponential';
    readonly baseMs?: number;
    readonly maxMs?: number;
  };
}

export interface HandlerDefinition<Input = unknown> {
  /** The name of the file, without its ending, unless given. */
  readonly type?: string;
  /** Of the code, for people. */
  readonly version?: string;
  /** What it refuses fails the task at once: `run` sees what it gives back. Without, the payload as it is. */
  readonly parse?: PayloadParser<Input>;
  readonly run: (input: Input, context: HandlerContext) => unknown;
  /** For tasks that carry no `timeout_ms` of their own. */
  readonly timeoutMs?: number;
  readonly retry?: HandlerRetry;
  /** `thread` (the default): a warm thread, one task at a time. `process`: a fresh process each. */
  readonly isolation?: 'thread' | 'process';
}

/** What a module in the handlers folder exports by default; a plain `(task, context) => result` does too. */
export function defineHandler<Input = unknown>(
  definition: HandlerDefinition<Input>,
): HandlerDefinition<Input> {
  return definition;
}
