/** What the node says, as far as the page reads it. */
/** What a view holds more than once; which fields it has is the view's to know. */
export interface Row {
  readonly id: string;
}

export const STATUSES = [
  'QUEUED',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'SKIPPED',
] as const;
export type Counts = Readonly<Partial<Record<string, number>>>;

export interface TaskRow extends Row {
  readonly status: string;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly workflow?: string;
  readonly tags: readonly string[];
  readonly node: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

export interface GraphRow extends Row {
  readonly type: string;
  readonly status: string;
  readonly dependencies: readonly string[];
  readonly expected_ms: number | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

export interface WorkflowBody {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly priority: number;
  readonly counts: Counts;
  readonly created_at: string;
  readonly finished_at: string | null;
  readonly eta?: string | null;
}
export type WorkflowRow = Row & WorkflowBody;

export interface NodeRow extends Row {
  readonly name: string;
  readonly pid: number;
  readonly state: string;
  readonly is_leader: boolean;
  readonly http_url: string;
  readonly slots: number;
  readonly running: number;
  readonly types: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
  readonly started_at: string;
  readonly last_heartbeat_at: string;
}

export interface EventRow extends Row {
  readonly at: string;
  readonly kind: string;
  readonly node: string | null;
  readonly term: number | null;
  readonly detail: unknown;
}

export interface Attempt {
  readonly attempt: number;
  readonly outcome: string;
  readonly lease_seq: number;
  readonly node: string | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly error: unknown;
}

export interface TaskBody extends Omit<TaskRow, 'tags'> {
  readonly dependencies: readonly string[];
  readonly tags: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly attempts: readonly Attempt[];
  readonly payload: unknown;
  readonly result: unknown;
  readonly error: unknown;
  readonly duration_ms: number | null;
  readonly timeout_ms: number | null;
  readonly ttl_ms: number | null;
  readonly expected_ms: number | null;
  readonly trigger_rule: string;
  readonly run_at: string | null;
  readonly progress?: { readonly fraction: number; readonly note: string | null };
}

export interface ScheduleBody {
  readonly id: string;
  readonly kind?: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly every_ms?: number;
  readonly catch_up: string;
  readonly overlap: string;
  readonly paused: boolean;
  readonly next_fires: readonly string[];
  readonly last_fire_at: string | null;
  readonly last_run: { readonly id: string; readonly status: string | null } | null;
  readonly counts: { readonly fired: number; readonly skipped: number; readonly missed: number };
  readonly problem: Readonly<Record<string, unknown>> | null;
  readonly task?: Readonly<Record<string, unknown>>;
  readonly workflow?: Readonly<Record<string, unknown>>;
}

export interface TypeBody {
  readonly type: string;
  readonly paused: boolean;
  readonly max_running: number | null;
  readonly handled: boolean;
  readonly nodes: readonly string[];
}

export function hasEnded(status: string): boolean {
  return status !== 'QUEUED' && status !== 'RUNNING';
}
