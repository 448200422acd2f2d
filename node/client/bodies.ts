import type { TaskStatus, TriggerRuleName } from '../core/task.ts';

/** The bodies of the REST interface, as a client sends and reads them. Times are ISO 8601 in UTC. */
export interface NewTask {
  readonly id?: string;
  readonly type: string;
  readonly payload?: unknown;
  readonly duration_ms?: number;
  readonly dependencies?: readonly string[];
  /** 1 is the most urgent, 100 the least, 50 the default. */
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
  readonly trigger_rule?: TriggerRuleName;
  readonly tags?: readonly string[];
  /** It runs on nodes that have them all, with the very values. */
  readonly labels?: Readonly<Record<string, string | number | boolean>>;
  readonly expected_ms?: number;
}

export interface NewWorkflow {
  readonly id?: string;
  readonly name?: string;
  readonly priority?: number;
  /** Their ids are local names; the global id is `<workflow id>/<name>`. */
  readonly tasks: readonly NewTask[];
}

export interface TaskSummaryBody {
  readonly id: string;
  readonly status: TaskStatus;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly duration_ms: number | null;
  readonly workflow?: string;
  readonly tags: readonly string[];
  readonly node: string | null;
  readonly run_at: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

export interface TaskBody extends TaskSummaryBody {
  readonly dependencies: readonly string[];
  readonly trigger_rule: TriggerRuleName;
  readonly expected_ms: number | null;
  readonly timeout_ms: number | null;
  readonly ttl_ms: number | null;
  readonly labels?: Readonly<Record<string, string>>;
  readonly backoff: {
    readonly type: 'fixed' | 'exponential';
    readonly base_ms: number;
    readonly max_ms: number;
  };
  /** What the handler said last. */
  readonly progress?: {
    readonly fraction: number;
    readonly note: string | null;
    readonly at: string;
  };
  readonly payload: unknown;
  readonly result: unknown;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly retryable: boolean;
  } | null;
  /** How the latest attempt failed, where the task is to be tried again. */
  readonly last_error?: TaskBody['error'];
  /** Why a QUEUED task is not running. */
  readonly waiting_for?: { readonly reason: string };
}

/** A task that runs no more, unless somebody retries it. */
export interface EndedTaskBody extends TaskBody {
  readonly status: Exclude<TaskStatus, 'QUEUED' | 'RUNNING'>;
}

/** A try of a task, or a lease of it that was lost. */
export interface AttemptBody {
  readonly attempt: number;
  /** In lower case; `running` for one under way. */
  readonly outcome: string;
  readonly lease_seq: number;
  readonly node: string | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface EventBody {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly node: string | null;
  readonly term: number | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface WorkflowBody {
  readonly id: string;
  readonly name: string;
  readonly status: 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';
  readonly priority: number;
  readonly counts: Readonly<Record<TaskStatus, number>>;
  readonly created_at: string;
  readonly finished_at: string | null;
  /** About when it ends; null where that is not known, absent in lists and where it has ended. */
  readonly eta?: string | null;
  readonly remaining_ms?: number | null;
}

/** Why a task is not running, or not finished. */
export interface ExplainBody {
  readonly id: string;
  readonly status: TaskStatus;
  readonly sentence: string;
  readonly reasons: readonly (Readonly<Record<string, unknown>> & { readonly reason: string })[];
  /** Ready tasks that come first. */
  readonly ahead?: number;
  readonly ahead_is_exact?: boolean;
  readonly estimated_start_at?: string | null;
  readonly estimated_end_at?: string | null;
}

export interface GraphNodeBody {
  readonly id: string;
  /** The local name. */
  readonly name: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly duration_ms: number | null;
  readonly expected_ms: number | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly priority: number;
}

export interface GraphBody {
  readonly nodes: readonly GraphNodeBody[];
  /** From a dependency to its dependent, by global ids. */
  readonly edges: readonly (readonly [string, string])[];
}

export interface NodeBody {
  readonly id: number;
  readonly name: string;
  readonly pid: number;
  readonly state: string;
  readonly is_leader: boolean;
  readonly http_url: string;
  readonly grpc_address: string;
  readonly slots: number;
  readonly running: number;
  readonly types: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
  readonly started_at: string;
  readonly last_heartbeat_at: string;
}

export interface ClusterBody {
  readonly term: number;
  readonly leader: string | null;
  readonly nodes: readonly NodeBody[];
  readonly counts: Readonly<Record<TaskStatus, number>>;
}

export interface TypeBody {
  readonly type: string;
  readonly paused: boolean;
  /** Tasks of it that run at the same time in the whole cluster at most; null for no limit. */
  readonly max_running: number | null;
  readonly handled: boolean;
  /** The living nodes that handle it. */
  readonly nodes: readonly string[];
}

export interface TypePatchBody {
  readonly paused?: boolean;
  readonly max_running?: number | null;
}

/** By cron in a time zone, or every so often counted from an anchor. */
export interface NewSchedule {
  readonly cron?: string;
  readonly timezone?: string;
  readonly every_ms?: number;
  readonly anchor?: string;
  readonly starts_at?: string | null;
  readonly ends_at?: string | null;
  readonly catch_up?: 'none' | 'last' | 'all';
  readonly overlap?: 'allow' | 'skip' | 'buffer_one' | 'cancel_running';
  readonly paused?: boolean;
  /** One of the two, without an id. */
  readonly task?: NewTask;
  readonly workflow?: NewWorkflow;
}

export interface ScheduleBody extends NewSchedule {
  readonly id: string;
  readonly paused: boolean;
  /** The next five. */
  readonly next_fires: readonly string[];
  /** A fire that waits for the end of a run. */
  readonly held_fire_at: string | null;
  readonly last_fire_at: string | null;
  readonly last_run: { readonly id: string; readonly status: string | null } | null;
  readonly counts: {
    readonly fired: number;
    readonly skipped: number;
    readonly missed: number;
    /** Could not be submitted: `problem` says why the latest. */
    readonly refused: number;
  };
  readonly problem: { readonly message: string; readonly at: string } | null;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface TaskPatchBody {
  readonly priority?: number;
  readonly payload?: unknown;
  readonly run_at?: string | null;
}

export interface PageOptions extends CallOptions {
  /** Rows a page, 500 at most; the iterator goes on with the next page. */
  readonly pageSize?: number;
}

export interface TaskFilter extends PageOptions {
  readonly status?: TaskStatus;
  readonly type?: string;
  readonly workflow?: string;
  readonly tag?: string;
}

/** What a cancel or a retry in bulk is of; one that names nothing must say `all`. */
export interface BulkFilter {
  readonly ids?: readonly string[];
  readonly status?: TaskStatus;
  readonly type?: string;
  readonly workflow?: string;
  readonly tag?: string;
  readonly all?: boolean;
  /** Only counts. */
  readonly dry_run?: boolean;
}

/** What every call takes as its last argument. */
export interface CallOptions {
  /** Ends the call at once, as a ClientError `aborted`; a node may carry it out all the same. */
  readonly signal?: AbortSignal;
  /** Milliseconds for all tries together; those of the client unless given. */
  readonly timeoutMs?: number;
}

export interface SubmitOptions extends CallOptions {
  /**
   * What is sent again under it within a day is carried out once, and answered alike; so no id is made
   * up here where the caller gives none.
   */
  readonly idempotencyKey?: string;
}

export function isKeyed(options: SubmitOptions): options is { readonly idempotencyKey: string } {
  return options.idempotencyKey !== undefined;
}

/** What an attempt of a task has said. */
export interface LogLineBody {
  readonly at: string;
  readonly attempt: number;
  readonly lease_seq: number;
  readonly node: string | null;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** It came when the lease of its run was over. */
  readonly stale?: true;
}

export interface LogOptions extends Pick<CallOptions, 'signal'> {
  /** Of this attempt only. */
  readonly attempt?: number;
  /** Goes on until the task has ended. */
  readonly follow?: boolean;
}

export type Role = 'read' | 'submit' | 'operate' | 'admin';

export interface NewApiKey {
  readonly role: Role;
  readonly name?: string;
  /** `default` unless given; `*` for all of them, which the key of an admin always has. */
  readonly namespace?: string;
  readonly expires_in_s?: number;
}

export interface ApiKeyBody {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly namespace: string;
  readonly status: 'valid' | 'expired' | 'revoked';
  readonly created_at: string;
  readonly created_by: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  /** To the minute. */
  readonly last_used_at: string | null;
}

export interface MadeApiKey extends ApiKeyBody {
  /** `skein_…`: shown this once. */
  readonly key: string;
}

export interface AuditBody {
  readonly id: number;
  readonly at: string;
  /** The name of the key; `local` where none was asked for. */
  readonly actor: string;
  readonly key_id: string | null;
  readonly address: string;
  /** `POST /tasks/{id}/cancel`. */
  readonly action: string;
  readonly target: string | null;
  readonly status: number | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
  readonly request_id: string;
}

export interface AuditFilter {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly pageSize?: number;
}
