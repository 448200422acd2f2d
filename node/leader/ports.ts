import type { LiveRows, TypeGates } from '../core/events.ts';
import type { FromLeader, FromNode, Hello } from '../core/messages.ts';
import type { Stored } from '../core/retention.ts';
import type { CatchUp, Decision, Overlap, Period, Timing } from '../core/schedule.ts';
import type { EndCode } from '../core/task.ts';

/** What the leader needs of the world; the store, the wire and node.ts satisfy it by shape. */
export interface WriterPort {
  leaseMany(
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    nodeIds: readonly number[],
  ): Promise<Persisted>;
  skipMany(seqs: readonly number[]): Promise<Persisted>;
  expireMany(seqs: readonly number[]): Promise<Persisted>;
  cancelMany(
    seqs: readonly number[],
  ): Promise<Persisted & { readonly markedSeqs: readonly number[] }>;
  takeBackMany(
    nodeId: number,
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    outcome: 'lost' | 'released',
  ): Promise<{
    readonly seqs: readonly number[];
    readonly nextLeaseSeqs: readonly number[];
    readonly losses: readonly number[];
    readonly cancelledSeqs: readonly number[];
  }>;
  buryNode(nodeId: number, isProvenDead: boolean, guardMs: number): Promise<boolean>;
  reviveMany(seqs: readonly number[]): Promise<readonly number[]>;
  deleteInboxMany(inboxIds: readonly number[]): Promise<void>;
  addEvent(
    kind: string,
    nodeName: string,
    detail: Readonly<Record<string, unknown>>,
  ): Promise<void>;
}

export interface Persisted {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
}

export interface InboxRow {
  readonly inboxId: number;
  readonly kind: 'submitted' | 'patched' | 'cancel' | 'retry' | 'types' | 'schedule';
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly seqs: readonly number[];
  /** It names so many tasks, with others, that it is applied beside the rest. */
  readonly isBulk: boolean;
}

export interface NodeRow {
  readonly nodeId: number;
  readonly name: string;
  readonly state: 'alive' | 'draining' | 'left' | 'dead';
  readonly isExpired: boolean;
  readonly leaseUntilMs: number;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly pidStarted: string;
  readonly processGroups: readonly number[];
  /** Somebody wants it to take no more work. */
  readonly isDrainAsked: boolean;
}

export interface ReaderPort {
  liveAfter(afterSeq: number, lastSeq: number, limit: number): Promise<LiveRows>;
  /**
   * Some of the rows that look ready among the next so many; nothing follows from one that is missing.
   * `lastSeq` is the last that was looked at, 0 where there was none.
   */
  liveReadyAfter(
    afterSeq: number,
    among: number,
    limit: number,
  ): Promise<{ readonly rows: LiveRows; readonly lastSeq: number }>;
  live(seqs: readonly number[]): Promise<LiveRows>;
  resolve(seqs: readonly number[]): Promise<{
    readonly seqs: readonly number[];
    readonly codes: readonly (EndCode | 0)[];
  }>;
  /** How tasks stand, in one snapshot: each is among the live rows or among the ended. */
  reread(seqs: readonly number[]): Promise<{
    readonly rows: LiveRows;
    readonly endedSeqs: readonly number[];
    readonly endedCodes: readonly EndCode[];
    readonly endedLeaseSeqs: readonly number[];
  }>;
  /** What is to be applied at once, and the first row of what is not, without its tasks. */
  inbox(limit: number): Promise<readonly InboxRow[]>;
  bulk(afterId: number, limit: number): Promise<readonly InboxRow[]>;
  clockMs(): Promise<number>;
  nodes(alsoIds: readonly number[]): Promise<readonly NodeRow[]>;
  handledTypes(): Promise<ReadonlyMap<string, number>>;
  gatedTypes(): Promise<TypeGates>;
  firstEndMs(seqs: readonly number[]): Promise<number>;
  skippedBelow(seqs: readonly number[], afterMs: number): Promise<readonly number[]>;
}

export interface RenewerPort {
  renewMany(
    nodeIds: readonly number[],
    leaseMs: number,
  ): Promise<readonly { readonly nodeId: number; readonly leaseUntilMs: number }[]>;
}

/** Processes of this machine; what is not certain is answered with false. */
export interface ProcessesPort {
  isProvenDead(node: NodeRow): boolean;
  /** Sends SIGKILL to a process group; true when nothing of it is left. */
  killGroup(group: number): boolean;
}

export interface LinkToNode {
  readonly hello: Hello;
  send(frame: Omit<FromLeader, 'number'>): number;
  close(): void;
}

export interface LinkHandlers {
  onMessage(message: FromNode): void;
  onClosed(): void;
}

export interface LogPort {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface LeaderMetricsPort {
  leaderGauges(gauges: {
    readonly queued: number;
    readonly running: number;
    readonly ended: undefined;
    readonly ready: number;
    readonly oldestReadySeconds: number;
    readonly leases: number;
    readonly nodes: { readonly alive: number; readonly draining: number };
  }): void;
  clearLeaderGauges(): void;
  leasesReclaimed(count: number): void;
  committed(statement: string, size: number, seconds: number): void;
}

export interface DueSchedule {
  readonly scheduleSeq: number;
  readonly id: string;
  readonly revision: number;
  readonly timing: Timing;
  readonly period: Period;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly nextMs: number | null;
  readonly heldMs: number | null;
  readonly isRunning: boolean;
  readonly kind: 'task' | 'workflow';
  readonly body: string;
}

/** How the fire of one schedule fared; it moved on, unless it was changed since it was read. */
export interface Fired {
  readonly hasMoved: boolean;
  readonly runs: number;
  readonly tasks: number;
  /** Why nothing was submitted. */
  readonly problem: string | null;
}

/** Schedules, and the one transaction that submits what they fire. */
export interface SchedulePort {
  /** Times are the database's, milliseconds. */
  due(
    limit: number,
    exceptSeqs: readonly number[],
  ): Promise<{
    readonly schedules: readonly DueSchedule[];
    readonly nowMs: number;
    /** The first fire later than now. */
    readonly nextMs: number | null;
    /** Some fire waits for the end of a run. */
    readonly hasHeld: boolean;
  }>;
  /** All or none; under the fence of the term. */
  fireMany(
    term: number,
    firings: readonly { readonly schedule: DueSchedule; readonly decision: Decision }[],
  ): Promise<readonly Fired[]>;
  /** Whether an error is about what was fired, and not about the database as a whole. */
  isTheirFault(error: Error): boolean;
}

/** What ended at least so long ago, and no task behind that number. */
export interface Cutoff {
  readonly ageMs: number;
  readonly lastSeq: number;
}

/** The last that was looked at, undefined at the end. */
export interface Walked {
  readonly last: number | undefined;
  readonly removed: number;
}

/** What has ended; every removal is under the fence of the term. */
export interface HistoryPort {
  removeTasks(term: number, cutoff: Cutoff, after: number): Promise<Walked>;
  removeWorkflows(term: number, cutoff: Cutoff, after: number): Promise<Walked>;
  removeEvents(term: number, cutoff: Pick<Cutoff, 'ageMs'>): Promise<number>;
  sizes(): Promise<{ readonly tasks: Stored; readonly others: readonly Stored[] }>;
  /** The number of the last of so many tasks, the oldest. */
  oldest(count: number): Promise<number>;
}

export interface HistoryMetricsPort {
  historyRemoved(what: 'task' | 'workflow' | 'event', count: number): void;
}

export interface ScheduleMetricsPort {
  tasksSubmitted(count: number): void;
  schedulesFired(fires: {
    readonly fired: number;
    readonly skipped: number;
    readonly missed: number;
    readonly refused: number;
  }): void;
}

/** One term of office; `signal` aborts at its end, before anything else. */
export interface Leadership {
  readonly term: number;
  readonly signal: AbortSignal;
  isTrusted(): boolean;
}
