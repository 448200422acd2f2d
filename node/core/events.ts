import type { Grants, Heartbeat, Told } from './messages.ts';
import type { EndCode } from './task.ts';

/** Rows of `live`, in columns of equal length. 0 stands for null in `nodeIds` and in times. */
export interface LiveRows {
  readonly seqs: readonly number[];
  readonly typeIds: readonly number[];
  readonly hasDuration: readonly boolean[];
  readonly priorities: readonly number[];
  readonly triggerRules: readonly number[];
  readonly leaseSeqs: readonly number[];
  readonly nodeIds: readonly number[];
  readonly attempts: readonly number[];
  readonly losses: readonly number[];
  readonly cancels: readonly boolean[];
  /** Milliseconds since the epoch by the database's clock. */
  readonly runAtMs: readonly number[];
  /** What each is said to take; 0 where nothing is said. */
  readonly expectedMs: readonly number[];
  readonly deps: readonly (readonly number[])[];
  /** Until when each must have started, as `runAtMs`; 0 once it has begun. */
  readonly expiresAtMs: readonly number[];
  /** `key=value`, sorted, each once; null for a task that asks for none. */
  readonly labels: readonly (readonly string[] | null)[];
}

/** What holds types back, as the database has it: those that it does not name run freely. */
export interface TypeGates {
  readonly pausedIds: readonly number[];
  readonly limitedIds: readonly number[];
  /** Of each limited type, the leases that it may have at the same time. */
  readonly limits: readonly number[];
}

/** A node that the leader may lease to. */
export interface MemberFacts {
  readonly nodeId: number;
  readonly slots: number;
  /** The types it has a handler for. */
  readonly typeIds: readonly number[];
  /** It runs a type that nobody handles as a sleep of `duration_ms`. */
  readonly simulates: boolean;
  /** `key=value`: it runs tasks that ask for no other. */
  readonly labels: readonly string[];
}

/** What a node says it holds, or the leader thinks it holds, to be compared with the database. */
export interface LeaseClaim {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly nodeId: number;
  /**
   * `node`: a node's inventory names a lease that the leader does not know · `inventory`: a lease the
   * leader knows is missing from the inventory of its node · `memory`: the leader is not sure (a row
   * its own statement did not return, a node whose stream is down) and only wants the truth.
   */
  readonly by: 'node' | 'inventory' | 'memory';
}

/**
 * What happened, in the past tense; every event carries a batch. Reads of the database come in pairs:
 * the scheduler asks by an effect that names a `load` (or is told `load-started`), and what is settled
 * until its answer is remembered, so that an answer from before a settle cannot bring a task back.
 */
export type SchedulerEvent =
  | { readonly kind: 'time-passed' }
  | { readonly kind: 'load-started'; readonly load: number; readonly isPaged: boolean }
  | { readonly kind: 'load-ended'; readonly load: number; readonly isPaged: boolean }
  | { readonly kind: 'tasks-loaded'; readonly rows: LiveRows }
  | {
      readonly kind: 'dependencies-resolved';
      readonly seqs: readonly number[];
      /** By dependency: 0 where it is live, else how it ended. */
      readonly codes: readonly (EndCode | 0)[];
    }
  | {
      readonly kind: 'leases-persisted';
      readonly asked: readonly number[];
      /** All and only the rows that the statement returned, in columns. */
      readonly seqs: readonly number[];
      readonly leaseSeqs: readonly number[];
    }
  | {
      readonly kind: 'tasks-reread';
      readonly claims: readonly LeaseClaim[];
      readonly rows: LiveRows;
      /** Of the claimed tasks that are gone from `live`. */
      readonly endedSeqs: readonly number[];
      readonly endedCodes: readonly EndCode[];
      readonly endedLeaseSeqs: readonly number[];
    }
  | { readonly kind: 'outcomes-settled'; readonly nodeId: number; readonly told: Told }
  | {
      readonly kind: 'ends-persisted';
      readonly asked: readonly number[];
      readonly seqs: readonly number[];
      readonly codes: readonly EndCode[];
      readonly leaseSeqs: readonly number[];
      /** Leased tasks that now carry the cancel mark: their nodes are to be told. */
      readonly markedSeqs: readonly number[];
    }
  | {
      /** Leases taken back by the leader: reclaimed from a dead node, or released unheld. */
      readonly kind: 'leases-ended';
      readonly asked: readonly number[];
      readonly seqs: readonly number[];
      readonly nextLeaseSeqs: readonly number[];
      readonly losses: readonly number[];
      /** Those that carried the cancel mark and ended by it. */
      readonly cancelledSeqs: readonly number[];
    }
  | { readonly kind: 'cancels-requested'; readonly seqs: readonly number[] }
  | { readonly kind: 'types-handled'; readonly typeIds: readonly number[] }
  | ({ readonly kind: 'types-gated' } & TypeGates)
  | { readonly kind: 'node-joined'; readonly member: MemberFacts }
  | { readonly kind: 'node-unlinked'; readonly nodeId: number }
  | {
      /** Its stream is down or silent: once a second what it holds is read again. */
      readonly kind: 'node-silent';
      readonly nodeId: number;
    }
  | {
      /** Its death is proven, or its lease is over by both clocks, and the database says so. */
      readonly kind: 'node-lost';
      readonly nodeId: number;
    }
  | {
      readonly kind: 'inventory-received';
      readonly nodeId: number;
      readonly heartbeat: Heartbeat;
      /**
       * The last step of the scheduler whose grants this node had all processed when it wrote the
       * inventory: younger leases are not judged by it (rule 8).
       */
      readonly throughStep: number;
    };

/**
 * What to do about it, in the imperative. The leader carries effects out in the order of their kinds
 * here: leases that are durable go out at once, for no node should wait for the next commit to hear of
 * the last; then what must be durable, then what is sent, then what is told, then what is read.
 */
export type Effect =
  | {
      readonly kind: 'send-grants';
      readonly nodeId: number;
      readonly grants: Grants;
      /** The step that wants it sent. */
      readonly step: number;
    }
  | {
      readonly kind: 'persist-reclaims';
      readonly nodeId: number;
      readonly seqs: readonly number[];
      readonly leaseSeqs: readonly number[];
    }
  | {
      readonly kind: 'persist-releases';
      readonly nodeId: number;
      readonly seqs: readonly number[];
      readonly leaseSeqs: readonly number[];
    }
  | { readonly kind: 'persist-cancels'; readonly seqs: readonly number[] }
  /** Tasks that should have started by now: those that nobody holds end as FAILED, `expired`. */
  | { readonly kind: 'persist-expiries'; readonly seqs: readonly number[] }
  | {
      /**
       * Parents stand before their children, so that a crash between chunks leaves no gap. A long
       * cascade comes in portions, one a step.
       */
      readonly kind: 'persist-skips';
      readonly seqs: readonly number[];
    }
  | {
      readonly kind: 'persist-leases';
      readonly seqs: readonly number[];
      /** The numbers known; the statement raises them by one and refuses where they differ. */
      readonly leaseSeqs: readonly number[];
      readonly nodeIds: readonly number[];
    }
  | {
      /** What has not begun there goes back to the queue: another node has a free slot. */
      readonly kind: 'send-recalls';
      readonly nodeId: number;
      readonly seqs: readonly number[];
      readonly leaseSeqs: readonly number[];
    }
  | {
      readonly kind: 'send-aborts';
      readonly nodeId: number;
      readonly seqs: readonly number[];
      readonly leaseSeqs: readonly number[];
      readonly reason: 'cancelled' | 'not-yours';
    }
  | {
      readonly kind: 'tell-ended';
      readonly seqs: readonly number[];
      readonly codes: readonly EndCode[];
    }
  | {
      readonly kind: 'resolve-dependencies';
      readonly load: number;
      readonly seqs: readonly number[];
    }
  | { readonly kind: 'load-tasks'; readonly load: number; readonly seqs: readonly number[] }
  | {
      readonly kind: 'reread-tasks';
      readonly load: number;
      readonly claims: readonly LeaseClaim[];
    };
