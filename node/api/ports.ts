import type { AuditEntry } from '../core/audit.ts';
import type { Ask, Follow, News, Prospected, Submitted } from '../core/messages.ts';
import type { TaskStatus } from '../core/task.ts';
import type { Batch, BatchOutcome, Once, OnceOutcome } from '../core/submission.ts';
import type { SingleOutcome, SingleTask, SpawnParent } from '../core/submission.ts';
import type { Attention } from '../store/attention-reader.ts';
import type { AuditQuery, AuditRecord } from '../store/audit-log.ts';
import type { BulkAsked, BulkKind } from '../store/bulk-changes.ts';
import type { ClusterRecord, EventRecord, NodeRecord } from '../store/cluster-reader.ts';
import type { ScheduleRecord, ScheduleSpec } from '../store/schedules.ts';
import type { KeyRecord, NewKey } from '../store/key-store.ts';
import type { LogPage, LogPosition } from '../store/log-reader.ts';
import type { Obstacles } from '../store/obstacles.ts';
import type { TaskPatch } from '../store/task-changes.ts';
import type { TaskPage, TaskQuery, TaskSummary } from '../store/task-list.ts';
import type { AttemptRecord, TaskRecord, WaitingFor } from '../store/task-reader.ts';
import type { TypeGate, TypePage, TypeRecord } from '../store/type-control.ts';
import type {
  GraphNode,
  UnfinishedTask,
  WorkflowPage,
  WorkflowRecord,
} from '../store/workflow-reader.ts';

/** What the REST face needs of the rest of a node; node.ts joins it with those who have it. */

/** This node's link to the leader. What is said over it are hints: the database has the truth. */
export interface LeaderPort {
  /** The inbox has something: look now. It is this task, where one is given. */
  look(submitted?: Submitted): void;
  /** The row of a node was changed. */
  nodesChanged(): void;
  /** Whether this very node leads. */
  isLeader(): boolean;
  /** What only the leader knows; undefined where there is none, or it does not answer in time. */
  ask(question: Omit<Ask, 'number'>, signal: AbortSignal): Promise<Prospected | undefined>;
}

export interface FeedPort {
  /** Asks to be told by `onEnded` when these tasks end. */
  watch(seqs: readonly number[]): void;
  unwatch(seqs: readonly number[]): void;
  /** The returned function takes the listener back. */
  onEnded(listener: (seqs: readonly number[], codes: readonly number[]) => void): () => void;
  /** Asks to be told by `onNews` of these tasks, and how all stand, while people watch. */
  follow(follow: Follow): void;
  onNews(listener: (news: News) => void): () => void;
  /** Whether a leader was heard lately. */
  readonly isLinked: boolean;
  /** A new leader: what was watched must be watched anew. */
  onTerm(listener: () => void): () => void;
}

export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

export interface MetricsPort {
  httpRequest(method: string, route: string, code: number, seconds: number): void;
  tasksSubmitted(count: number): void;
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export interface LogPort {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

export interface SubmissionsPort {
  submitOne(task: SingleTask): Promise<SingleOutcome>;
  submitBatch(batch: Batch): Promise<BatchOutcome>;
  submitOnce(batch: Batch, once: Once): Promise<OnceOutcome>;
  spawn(parent: SpawnParent, read: (priority: number) => Promise<Batch>): Promise<BatchOutcome>;
}

export interface DependencyEnd {
  readonly id: string;
  readonly status: TaskStatus;
}

export interface LogReaderPort {
  read(seq: number, after: LogPosition, attempt: number | null): Promise<LogPage>;
}

export interface TaskReaderPort {
  find(id: string): Promise<TaskRecord | null>;
  waitingFor(seq: number): Promise<WaitingFor | null>;
  attempts(seq: number): Promise<readonly AttemptRecord[]>;
  obstacles(seq: number): Promise<Obstacles | null>;
  /** What it depends on and did not end as COMPLETED. */
  failedDependencies(seq: number): Promise<readonly DependencyEnd[]>;
  endedMany(seqs: readonly number[]): Promise<readonly number[]>;
  list(query: TaskQuery): Promise<TaskPage>;
  /** These tasks, in any order. */
  some(seqs: readonly number[]): Promise<readonly TaskSummary[]>;
  /** A page of those that depend on it, and where the next begins. */
  dependents(
    task: { readonly seq: number; readonly id: string },
    limit: number,
    after: number | null,
  ): Promise<TaskPage>;
}

export interface TaskChangesPort {
  tryPatch(seq: number, patch: TaskPatch): Promise<boolean>;
  tryCancel(seq: number): Promise<boolean>;
  tryRetry(seq: number): Promise<boolean>;
  cancelWorkflow(id: string): Promise<number>;
  retryWorkflow(id: string): Promise<number>;
}

export interface BulkChangesPort {
  ask(kind: BulkKind, asked: BulkAsked, signal: AbortSignal): Promise<number>;
}

export interface TypeControlPort {
  setGate(type: string, gate: TypeGate): Promise<void>;
  find(type: string): Promise<TypeRecord | null>;
  list(limit: number, after: number | null): Promise<TypePage>;
}

export interface WorkflowReaderPort {
  find(id: string): Promise<WorkflowRecord | null>;
  list(limit: number, before: number | null): Promise<WorkflowPage>;
  unfinished(id: string, limit: number): Promise<readonly UnfinishedTask[]>;
  graph(id: string, nodesMax: number): Promise<readonly GraphNode[] | 'too-large' | null>;
}

export interface SchedulesPort {
  nowMs(): Promise<number>;
  put(id: string, spec: ScheduleSpec, nextMs: number | null): Promise<boolean>;
  setPaused(id: string, isPaused: boolean, nextMs: number | null): Promise<boolean>;
  delete(id: string): Promise<boolean>;
  addRun(id: string, runId: string): Promise<void>;
  find(id: string): Promise<ScheduleRecord | null>;
  list(
    limit: number,
    before: number | null,
  ): Promise<{ readonly schedules: readonly ScheduleRecord[]; readonly next: number | null }>;
}

export interface AttentionPort {
  attention(term: number): Promise<Attention>;
}

export interface NodeControlPort {
  /** Null where no node of that name is known; false where it is not there any more. */
  setDrain(name: string, isOn: boolean): Promise<boolean | null>;
}

export interface ClusterReaderPort {
  cluster(): Promise<ClusterRecord>;
  nodes(): Promise<readonly NodeRecord[]>;
  events(limit: number, before: number | null): Promise<readonly EventRecord[]>;
}

export interface AuditPort {
  begin(entry: AuditEntry): Promise<number>;
  finish(auditId: number, status: number, detail: string | null): Promise<void>;
  list(query: AuditQuery): Promise<readonly AuditRecord[]>;
  sweep(keptDays: { readonly changes: number; readonly submits: number }): Promise<boolean>;
}

export interface KeysPort {
  findMany(keyIds: readonly string[]): Promise<readonly KeyRecord[]>;
  list(): Promise<readonly KeyRecord[]>;
  tryCreate(key: NewKey): Promise<KeyRecord | null>;
  tryRevoke(keyId: string): Promise<KeyRecord | null>;
  touchMany(keyIds: readonly string[]): Promise<void>;
}
