import { Table } from './table.ts';

/** The tables of node/store/migrations, as far as the roles see them. Instants are milliseconds. */
export interface TaskRow {
  readonly seq: number;
  readonly id: string;
  readonly typeId: number;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly rule: number;
  readonly durationMs: number | null;
  readonly expectedMs: number | null;
  readonly timeoutMs: number | null;
  readonly ttlMs: number | null;
  readonly backoffFixed: boolean;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly dependencies: readonly string[];
  readonly payload: string | null;
  /** The task that added this one while it ran; 0 for null. */
  readonly parentSeq: number;
  /** The lease under which it did, which the real table does not keep. */
  readonly addedUnder: number;
  /** 0 for null: the task has not ended. */
  readonly status: number;
  readonly leaseSeq: number;
  readonly attempt: number;
  /** 0 for null. */
  readonly nodeId: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly error: string | null;
}

export interface LiveRow {
  readonly seq: number;
  readonly runAt: number | null;
  readonly leasedAt: number | null;
  readonly startedAt: number | null;
  /** 0 for null. */
  readonly nodeId: number;
  readonly typeId: number;
  readonly leaseSeq: number;
  readonly expectedMs: number;
  readonly priority: number;
  readonly attempt: number;
  readonly losses: number;
  readonly rule: number;
  readonly cancel: boolean;
  readonly hasDuration: boolean;
  /** Until when it must have begun; null once it has. */
  readonly expiresAt: number | null;
  readonly deps: readonly number[];
}

export interface EndRow {
  readonly seq: number;
  readonly status: number;
  readonly finishedAt: number;
}

export interface AttemptRow {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly attempt: number;
  readonly outcome: string;
  readonly nodeId: number;
  readonly error: string | null;
}

export interface InboxRow {
  readonly inboxId: number;
  readonly kind: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly seqs: readonly number[];
  readonly bulk: boolean;
}

export interface NodeRow {
  readonly nodeId: number;
  readonly incarnation: string;
  readonly name: string;
  readonly state: string;
  readonly leaseUntil: number;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly pidStarted: string;
  readonly groups: readonly number[];
  readonly isDrainAsked: boolean;
}

export interface TermRow {
  readonly term: number;
  readonly nodeId: number;
  readonly name: string;
  readonly grpcAddress: string;
  readonly httpUrl: string;
}

export interface TypeRow {
  readonly typeId: number;
  readonly name: string;
  readonly handled: boolean;
  readonly paused: boolean;
  readonly maxRunning: number | null;
}

/** All data of a server; sequences are drawn outside transactions, as PostgreSQL's are. */
export class Data {
  readonly task = new Table<number, TaskRow>('task');
  /** The unique index over the ids of tasks. */
  readonly taskId = new Table<string, number>('task_id');
  readonly live = new Table<number, LiveRow>('live');
  readonly notCompleted = new Table<number, EndRow>('not_completed');
  readonly attempt = new Table<string, AttemptRow>('attempt');
  readonly inbox = new Table<number, InboxRow>('inbox');
  readonly node = new Table<number, NodeRow>('node');
  /** The unique index over the incarnations of nodes. */
  readonly incarnation = new Table<string, number>('node_incarnation');
  readonly term = new Table<number, TermRow>('term');
  readonly type = new Table<string, TypeRow>('type');
  /** `clock_timestamp()`: milliseconds since the epoch. */
  readonly clockMs: () => number;
  private readonly sequences = new Map<string, number>();

  constructor(clockMs: () => number) {
    this.clockMs = clockMs;
  }

  next(sequence: 'task' | 'inbox' | 'node' | 'type'): number {
    const next = (this.sequences.get(sequence) ?? 0) + 1;
    this.sequences.set(sequence, next);
    return next;
  }

  /** As if all numbers up to that one had been drawn. */
  drawTo(sequence: 'task', last: number): void {
    this.sequences.set(sequence, Math.max(last, this.sequences.get(sequence) ?? 0));
  }
}

/** `{1,2,3}`, or an array, as a column of numbers. */
export function numbersOf(value: unknown): readonly number[] {
  if (Array.isArray(value)) return value as number[];
  const inner = (value as string).slice(1, -1);
  return inner === '' ? [] : inner.split(',').map(Number);
}

export const attemptKey = (seq: number, leaseSeq: number): string =>
  `${String(seq)}/${String(leaseSeq)}`;

export const bySeq = (a: { readonly seq: number }, b: { readonly seq: number }): number =>
  a.seq - b.seq;
