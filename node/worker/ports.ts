import type { SettledAs } from '../core/messages.ts';

/** What the worker needs of the world; the store and the node's link satisfy it by shape. */
export interface Work {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  /** JSON text, or null. */
  readonly payload: string | null;
  readonly durationMs: number | null;
  readonly maxAttempts: number;
  readonly timeoutMs: number | null;
  readonly backoff: { readonly isFixed: boolean; readonly baseMs: number; readonly maxMs: number };
  readonly isTypeHandled: boolean;
}

export interface CompletedColumns {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  readonly startedAgoMs: readonly number[];
  readonly finishedAgoMs: readonly number[];
  readonly results: readonly string[];
}

export interface SettledColumns {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  readonly settledAs: readonly SettledAs[];
  readonly delayMs: readonly number[];
  readonly startedAgoMs: readonly (number | null)[];
  readonly finishedAgoMs: readonly number[];
  readonly errors: readonly (string | null)[];
}

export interface Settlement {
  readonly seq: number;
  readonly settledAs: SettledAs;
  readonly nextLeaseSeq: number;
  readonly attempt: number;
  readonly runAtMs: number;
}

/** Every call has a deadline of its own; a lost connection rejects, and the caller tries again. */
export interface LeaseStorePort {
  work(seqs: readonly number[]): Promise<readonly Work[]>;
  deaths(seq: number): Promise<number>;
  /** By name, the results (JSON texts) of the dependencies that completed; too much of them rejects. */
  results(seq: number): Promise<ReadonlyMap<string, string>>;
  markStarted(
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    agoMs: readonly number[],
  ): Promise<void>;
  completeMany(done: CompletedColumns): Promise<readonly number[]>;
  settleMany(done: SettledColumns): Promise<readonly Settlement[]>;
  verifyMany(seqs: readonly number[], leaseSeqs: readonly number[]): Promise<readonly Settlement[]>;
}

/**
 * Adds tasks for one that runs under a lease of this node; `from` is how many it has added before.
 * Answers their ids.
 */
export type SpawnPort = (
  parent: { readonly seq: number; readonly id: string; readonly leaseSeq: number },
  tasks: unknown,
  from: number,
) => Promise<readonly string[]>;

/** Whether an error of the store is about the data of a statement, and not about reaching it. */
export type IsDataError = (error: Error) => boolean;

export interface LogPort {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** JSON text, or null. */
  readonly fields: string | null;
  /** Of the monotonic clock that the processes of this machine share. */
  readonly atMs: number;
}

/** The run that something is said of: one lease of one task. */
export interface ReportedRun {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly id: string;
  readonly attempt: number;
}

/**
 * Where runs say what they do. Both calls return at once, never throw and never wait: what is behind them
 * batches over all runs, commits in its own time, and drops (and says so) what it cannot keep. Lines come
 * in the order in which they were written, those of one tick together; the worker has cut each to 16 KiB
 * and each attempt to about 1 MiB. Progress may be said as often as a handler likes: only the last of a
 * run counts. Either may come from a run whose lease is over, and may be lost when the node dies.
 */
export interface RunReportsPort {
  lines(run: ReportedRun, lines: readonly LogLine[]): void;
  progress(run: ReportedRun, fraction: number, note: string | null): void;
}

export interface ReportedChunk {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly chunk: number;
  readonly attempt: number;
  /** Each a JSON array on a line of its own: milliseconds ago, level, message, fields as JSON text. */
  readonly lines: string;
}

export interface ReportStorePort {
  /** Safe to repeat: a chunk is kept once. */
  appendLines(chunks: readonly ReportedChunk[]): Promise<void>;
  saveProgress(
    reports: readonly {
      readonly seq: number;
      readonly leaseSeq: number;
      readonly fraction: number;
      readonly note: string | null;
    }[],
  ): Promise<void>;
}

export interface FinishedFacts {
  readonly type: string;
  readonly status: string;
  readonly runSeconds: number;
  readonly queueSeconds: number;
}

export interface WorkerMetricsPort {
  tasksFinished(batch: readonly FinishedFacts[]): void;
  staleOutcomes(count: number): void;
  committed(statement: string, size: number, seconds: number): void;
  setSlots(total: number, used: number): void;
}

/** A settlement with the lease it was made under, as the leader is told. */
export interface ToldSettlement extends Settlement {
  readonly leaseSeq: number;
  /** Milliseconds from the start of what completed to its end; -1 for the rest. */
  readonly runMs: number;
}
