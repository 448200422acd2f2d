import type { TaskStatus } from '../core/task.ts';
import type { Clock } from '../base/clock.ts';

/** What the command line needs of the rest; main.ts hands it over. */

/** A stream for people or programs, as `process.stdout` is one. */
export interface TextStream {
  readonly isTTY?: boolean;
  /** Characters in a line of the terminal. */
  readonly columns?: number;
  /** False: wait for `drain` before more is written. */
  write(text: string): boolean;
  once(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
  off(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
}

/** A line of the table of a node's settings. */
export interface SettingPort {
  readonly key: string;
  readonly flag: string;
  /** Empty for a switch. */
  readonly argument: string;
  readonly env: readonly string[];
  readonly default: string;
  readonly what: string;
}

/** Each throws an Error whose message is for people. */
export interface ClusterFilesPort {
  /** An authority, and the certificate of one node. */
  init(folder: string, days: number): Promise<void>;
  /** A certificate for another node, as one text. */
  token(folder: string, days: number): Promise<string>;
  join(folder: string, token: string): Promise<void>;
}

export interface CliDeps {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly clock: Clock;
  readonly settings: readonly SettingPort[];
  createClient(urls: readonly string[], as: ClientIdentity): ClientPort;
  /** The keys of a database itself, for who has its password but no key yet. Brings it up to its tables. */
  openKeys(from: KeysPlace): Promise<OpenKeysPort>;
  /** Runs one node until it is told to stop; resolves to the exit code. */
  runNode(flags: Readonly<Record<string, unknown>>): Promise<number>;
  /** Says what a node with these settings would find; resolves to the exit code. */
  /** The files by which the nodes of a cluster know each other. */
  readonly cluster: ClusterFilesPort;
  runDoctor(flags: Readonly<Record<string, unknown>>, isJson: boolean): Promise<number>;
}

/** Who asks. */
export interface ClientIdentity {
  readonly apiKey?: string;
}

export type KeysPlace = { readonly databaseUrl: string } | { readonly dataDir: string };

export interface KeySpec {
  readonly role: 'read' | 'submit' | 'operate' | 'admin';
  readonly name?: string;
  readonly namespace?: string;
  readonly expires_in_s?: number;
}

export interface KeyView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly namespace: string;
  readonly status: string;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
}

export interface AuditView {
  readonly at: string;
  readonly actor: string;
  readonly address: string;
  readonly action: string;
  readonly target: string | null;
  readonly status: number | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
}

export interface KeysPort {
  createKey(key: KeySpec): Promise<KeyView & { readonly key: string }>;
  listKeys(): Promise<readonly KeyView[]>;
  revokeKey(id: string): Promise<KeyView>;
}

export interface OpenKeysPort extends KeysPort {
  close(): Promise<void>;
}

export type Counts = Readonly<Record<TaskStatus, number>>;

export interface TaskSpec {
  readonly id?: string;
  readonly type: string;
  readonly duration_ms?: number;
  readonly dependencies?: readonly string[];
  readonly priority?: number;
}

export interface WorkflowSpec {
  readonly id?: string;
  readonly name?: string;
  readonly priority?: number;
  readonly tasks: readonly TaskSpec[];
}

export interface TaskLine {
  readonly id: string;
  readonly status: TaskStatus;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly node: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

export interface TaskView extends TaskLine {
  readonly dependencies: readonly string[];
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface WorkflowView {
  readonly id: string;
  readonly name: string;
  readonly status: 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';
  readonly counts: Counts;
  readonly created_at: string;
  readonly finished_at: string | null;
}

export interface NodeView {
  readonly name: string;
  readonly pid: number;
  readonly state: string;
  readonly is_leader: boolean;
  readonly http_url: string;
  readonly grpc_address: string;
  readonly slots: number;
  readonly running: number;
  readonly version: string;
}

export interface ClusterView {
  readonly term: number;
  readonly leader: string | null;
  readonly nodes: readonly NodeView[];
  readonly counts: Counts;
}

export interface AttemptView {
  readonly attempt: number;
  readonly outcome: string;
  readonly node: string | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface EventView {
  readonly at: string;
  readonly kind: string;
  readonly node: string | null;
  readonly term: number | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface TypeView {
  readonly type: string;
  readonly paused: boolean;
  readonly max_running: number | null;
  readonly handled: boolean;
  readonly nodes: readonly string[];
}

export interface ScheduleView {
  readonly id: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly every_ms?: number;
  readonly paused: boolean;
  readonly next_fires: readonly string[];
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
}

export interface LogLineView {
  readonly at: string;
  readonly attempt: number;
  readonly level: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly stale?: boolean;
}

export interface ListFilter {
  readonly status?: TaskStatus;
  readonly type?: string;
  readonly workflow?: string;
  readonly tag?: string;
  readonly pageSize?: number;
}

/** Of tasks that are to be cancelled or retried. */
export interface BulkFilter {
  readonly status?: TaskStatus;
  readonly type?: string;
  readonly workflow?: string;
  readonly tag?: string;
  readonly all?: boolean;
  readonly dry_run?: boolean;
}

/** A submit that is repeated under a key is carried out once. */
export interface OnceFlags {
  readonly idempotencyKey?: string;
}

export interface Answered {
  readonly id: string;
  readonly status: string;
}

/** Its failures are of the shape of `ClientFailure`. */
export interface ClientPort extends KeysPort {
  submitTask(task: TaskSpec, once?: OnceFlags): Promise<Answered>;
  submitBatch(
    tasks: readonly TaskSpec[],
    once?: OnceFlags,
  ): Promise<{ count: number; ids: readonly string[] }>;
  submitNdjson(lines: AsyncIterable<string>, once?: OnceFlags): Promise<{ count: number }>;
  submitWorkflow(
    workflow: WorkflowSpec,
    once?: OnceFlags,
  ): Promise<Answered & { name: string; count: number }>;
  getTask(id: string, options?: { waitMs?: number }): Promise<TaskView>;
  logs(id: string, options: { attempt?: number; follow?: boolean }): AsyncIterable<LogLineView>;
  listTasks(filter: ListFilter): AsyncIterable<TaskLine>;
  getWorkflow(id: string): Promise<WorkflowView>;
  cancelTask(id: string): Promise<Answered>;
  cancelWorkflow(id: string): Promise<Answered>;
  retryTask(id: string): Promise<Answered>;
  retryWorkflow(id: string): Promise<Answered>;
  cancelTasks(filter: BulkFilter): Promise<{ readonly count: number }>;
  retryTasks(filter: BulkFilter): Promise<{ readonly count: number }>;
  explainTask(id: string): Promise<{ readonly sentence: string }>;
  cluster(): Promise<ClusterView>;
  getNode(name: string): Promise<NodeView>;
  drainNode(name: string, isOn: boolean): Promise<NodeView>;
  putSchedule(id: string, schedule: object): Promise<ScheduleView>;
  getSchedule(id: string): Promise<ScheduleView>;
  listSchedules(): AsyncIterable<ScheduleView>;
  deleteSchedule(id: string): Promise<object>;
  pauseSchedule(id: string, isPaused: boolean): Promise<ScheduleView>;
  runSchedule(id: string, at?: string): Promise<Answered>;
  getAttempts(id: string): Promise<readonly AttemptView[]>;
  listDependents(id: string): AsyncIterable<TaskLine>;
  listWorkflows(): AsyncIterable<WorkflowView>;
  listEvents(): AsyncIterable<EventView>;
  patchTask(
    id: string,
    patch: {
      readonly priority?: number;
      readonly payload?: unknown;
      readonly run_at?: string | null;
    },
  ): Promise<TaskView>;
  listAudit(filter: {
    readonly actor?: string;
    readonly action?: string;
    readonly target?: string;
  }): AsyncIterable<AuditView>;
  listTypes(): AsyncIterable<TypeView>;
  patchType(
    type: string,
    gate: { readonly paused?: boolean; readonly max_running?: number | null },
  ): Promise<TypeView>;
}

export interface ClientFailure extends Error {
  /** 0 where no node answered. */
  readonly status: number;
  readonly code: string;
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  /** Another try, now or later, may succeed. */
  readonly isTransient: boolean;
}

/** The one thing that is told by name: a class of another face cannot be asked for. */
export function isClientFailure(thrown: unknown): thrown is ClientFailure {
  return thrown instanceof Error && thrown.name === 'ClientError' && 'isTransient' in thrown;
}
