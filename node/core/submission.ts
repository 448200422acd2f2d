import type { SubmitAudit } from './audit.ts';
import type { SubmittedGraph } from './graph.ts';
import type { Submitted } from './messages.ts';
import type { TriggerRuleCode } from './task.ts';

/**
 * What a border hands to the store once it is read and checked whole: tasks with every default
 * filled in. Times are milliseconds.
 */
export interface TaskFields {
  readonly type: string;
  /** JSON text, or null for none. */
  readonly payload: string | null;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly triggerRule: TriggerRuleCode;
  readonly durationMs: number | null;
  readonly expectedMs: number | null;
  readonly timeoutMs: number | null;
  /** It must begin within so long of being stored, or of its `runAtMs`. */
  readonly ttlMs: number | null;
  readonly backoffFixed: boolean;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** Milliseconds since the epoch; null for at once, or for `delayMs`. */
  readonly runAtMs: number | null;
  /** Counted from the database's clock when the task is stored. */
  readonly delayMs: number | null;
  readonly tags: readonly string[];
  /** `key=value`, sorted, each once: it runs on nodes that have them all. */
  readonly labels: readonly string[];
}

/** A task submitted by itself. Its dependencies are ids of stored tasks, each once. */
export interface SingleTask {
  readonly id: string;
  readonly fields: TaskFields;
  readonly dependencies: readonly string[];
  /** Who submits it; none for what the cluster adds itself. */
  readonly audit?: SubmitAudit;
}

/** How a task that was submitted by itself fared; expected refusals are values. */
export type SingleOutcome =
  /** With what the leader may begin by, where the task can start at once. */
  | { readonly kind: 'stored'; readonly submitted: Submitted | undefined }
  | { readonly kind: 'exists' }
  /** Another submit that is under way holds the id, or a removal a dependency. */
  | { readonly kind: 'busy' }
  /** The dependencies that name no stored task. */
  | { readonly kind: 'missing'; readonly missing: readonly string[] };

export interface NewWorkflow {
  readonly id: string;
  readonly name: string;
  readonly priority: number;
}

/** A set that is stored as a whole or not at all. */
export interface Batch {
  readonly graph: SubmittedGraph;
  /** The tasks in the order of their ids, the order in which they are inserted. */
  readonly order: Int32Array;
  /** Before every id of the set: `<workflow id>/`, or nothing. */
  readonly idPrefix: string;
  readonly typeNames: ReadonlySet<string>;
  readonly workflow: NewWorkflow | null;
  /** Who submits it; none for what the cluster adds itself. */
  readonly audit?: SubmitAudit;
  /** Reads one task; may touch a file, so it is called for one chunk at a time. */
  fieldsOf(task: number): TaskFields;
  /** About how many bytes that takes. */
  sizeOf(task: number): number;
}

/** A task that runs, and adds others: the lease under which it may. */
export interface SpawnParent {
  readonly seq: number;
  readonly id: string;
  readonly leaseSeq: number;
  readonly nodeId: number;
}

export type BatchOutcome =
  | { readonly kind: 'stored' }
  /** Ids of stored tasks that stand in the way: the first thousand, and how many there are. */
  | { readonly kind: 'exist'; readonly ids: readonly string[]; readonly count: number }
  | { readonly kind: 'workflow-exists' }
  | { readonly kind: 'missing'; readonly missing: ReadonlySet<string> };

/** A submit that is carried out once, however often it is sent. */
export interface Once {
  /** The client's name for it. */
  readonly key: string;
  /** Of the request and its body: the same name for another body is a mistake. */
  readonly fingerprint: string;
  readonly answer: OnceAnswer;
}

export interface OnceAnswer {
  /** JSON. */
  readonly text: string;
  readonly location: string | null;
}

export type OnceOutcome =
  | BatchOutcome
  /** It was stored before, and this is what was answered. */
  | { readonly kind: 'replayed'; readonly answer: OnceAnswer }
  | { readonly kind: 'key-reused' };
