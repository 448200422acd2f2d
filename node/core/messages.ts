import type { Prospect } from './prospect.ts';
import type { EndCode } from './task.ts';

/**
 * What travels on the one stream between a node and the leader. Every batch is a set of columns of
 * equal length, because packed columns cost a tenth of repeated messages. Every message is a hint:
 * whatever is lost is found again in PostgreSQL (the leader re-reads `live`, a node tells again what
 * it settled until a leader of the current term acknowledges it).
 *
 * The shapes are those of proto/skein.proto, with 64-bit numbers as safe integers.
 */

/** How an attempt was settled. The first four are end codes of a task; the others requeue it. */
export const SettledAs = {
  COMPLETED: 1,
  FAILED: 2,
  CANCELLED: 3,
  SKIPPED: 4,
  /** The attempt failed and was charged; another follows at `runAtMs`. */
  RETRY: 5,
  /** Handed back uncharged: an interrupted task, or one that this node cannot run. */
  RELEASED: 6,
} as const satisfies Readonly<Record<keyof typeof EndCode | 'RETRY' | 'RELEASED', number>>;
export type SettledAs = (typeof SettledAs)[keyof typeof SettledAs];

export interface Hello {
  readonly nodeId: number;
  readonly incarnation: string;
  readonly name: string;
  readonly slots: number;
  readonly types: readonly string[];
  readonly simulates: boolean;
  /** `key=value`, each once; from a node that does not say, none. */
  readonly labels?: readonly string[];
  readonly version: string;
  /** The highest term that this node has seen; a leader of a lower one steps down. */
  readonly termSeen: number;
  /**
   * On which server of PostgreSQL this life of the node is, and in which era of it. A leader on another
   * one refuses the stream: numbers mean other things there. Empty where it is not known.
   */
  readonly database?: string;
  /**
   * How long this node takes its lease to be, milliseconds; 0 where it does not say. The leader renews
   * it by its own length: a node that counts on more would stop its tasks after others have them.
   */
  readonly leaseMs?: number;
  /** The protocol that this node speaks, and the oldest that it understands; 0 where it does not say. */
  readonly protocol?: number;
  readonly protocolMin?: number;
}

/**
 * What is added to a message is left out by those who do not know it, and needs no new number. Raised is
 * the first where the meaning of a message changes, and the second one release later: nodes of two
 * releases in a row work together, so that a cluster is upgraded node by node.
 */
export const PROTOCOL = { speaks: 1, understands: 1 } as const;

/** Whether two nodes understand each other; one that does not say speaks the first protocol. */
export function isUnderstood({ protocol = 0, protocolMin = 0 }: Partial<Hello>): boolean {
  const [speaks, understands] = [protocol || 1, protocolMin || 1];
  return speaks >= PROTOCOL.understands && PROTOCOL.speaks >= understands;
}

/** One renewal per node, never per task. */
export interface Heartbeat {
  /** Counts the heartbeats of this stream; the answer echoes it. */
  readonly number: number;
  /** The number of the last message of the leader that is wholly processed (rule 8). */
  readonly processed: number;
  readonly draining: boolean;
  /** Everything leased to this node and not yet told as settled, its queue included. */
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
}

/** Outcomes this node has committed. Told again on each new stream until acknowledged. */
export interface Told {
  readonly number: number;
  readonly seqs: readonly number[];
  /** The lease each was settled under. */
  readonly leaseSeqs: readonly number[];
  readonly settledAs: readonly SettledAs[];
  /** The lease_seq that the live row carries now (RETRY and RELEASED raise it); 0 where it is gone. */
  readonly nextLeaseSeqs: readonly number[];
  /** Charged attempts so far. */
  readonly attempts: readonly number[];
  /** Milliseconds since the epoch by the database's clock, 0 for at once. */
  readonly runAtMs: readonly number[];
  /**
   * Milliseconds from the start of what completed to its end, -1 where it did not; empty from a node
   * that does not say. The leader learns from them what a type takes.
   */
  readonly runMs: readonly number[];
}

/**
 * A task that a node has just committed, as its row in `live` was then. The leader need not read it
 * first: the guards of the lease prove it, and the row in the inbox brings it again. Only for a task that
 * may start at once, whatever else is true.
 */
export interface Submitted {
  readonly seq: number;
  readonly typeId: number;
  readonly priority: number;
  readonly hasDuration: boolean;
  /** Milliseconds; 0 where nothing is said. */
  readonly expectedMs: number;
}

/** What only the leader knows, asked for a person who waits: of a task, and of types; seq 0 for no task. */
export interface Ask {
  /** Counts the questions of a node; the answer echoes it. */
  readonly number: number;
  readonly seq: number;
  readonly typeIds: readonly number[];
}

export interface Prospected extends Prospect {
  readonly number: number;
  /** The database's time, milliseconds since the epoch. */
  readonly atMs: number;
  /** By the asked types, milliseconds; -1 where it is not known. */
  readonly typeMeansMs: readonly number[];
}

/**
 * While people watch at a node, it asks to be told of these tasks, and of how all stand. Said whole on
 * each new stream; a change of it names what is added and what is dropped.
 */
export interface Follow {
  /** False where nobody watches any more. */
  readonly isOn: boolean;
  /** Nothing that was said before counts. */
  readonly isAnew: boolean;
  readonly seqs: readonly number[];
  readonly dropped: readonly number[];
}

/** What a followed task has changed to: one of the end codes, or these. */
export const ChangedTo = {
  /** It went back to the queue, or came to the leader anew: the database says how it stands. */
  OTHER: 0,
  RUNNING: 5,
} as const satisfies Readonly<Record<string, number>>;

/**
 * What the leader has been told since it last said so, a few times a second at most, and only to a node
 * that follows. Bounded, however much happens: what is not said here, the node reads.
 */
export interface News {
  /** Followed tasks that have changed, each once, with the latest. */
  readonly seqs: readonly number[];
  readonly changedTo: readonly number[];
  /** By which node each is run; 0 where none runs it. */
  readonly nodeIds: readonly number[];
  /** More of them have changed than are said. */
  readonly isPartial: boolean;
  /** The highest number of a task that came to the leader. */
  readonly lastSeq: number;
  /** The graph has been read to its end: what is counted below is all there is. */
  readonly isWhole: boolean;
  readonly queued: number;
  /** Nodes that hold leases, and how many each. */
  readonly holderIds: readonly number[];
  readonly held: readonly number[];
  /** How many tasks have ended by end code, from COMPLETED, since this leader first counted. */
  readonly ended: readonly number[];
  /** Some of the tasks that have ended, whoever follows them. */
  readonly endedSeqs: readonly number[];
  /** Of some tasks, how long they were ready before they were leased, and how long they ran. */
  readonly readyMs: readonly number[];
  readonly runMs: readonly number[];
}

export interface FromNode {
  readonly hello?: Hello | undefined;
  readonly heartbeat?: Heartbeat | undefined;
  readonly told?: Told | undefined;
  /** The inbox has something: look now. */
  readonly look?: boolean;
  /** What there is to be found, where it is this alone. */
  readonly submitted?: Submitted | undefined;
  /** Tasks that a client of this node waits for: the leader answers with `ended` as each ends. */
  readonly watch?: readonly number[];
  readonly unwatch?: readonly number[];
  readonly ask?: Ask | undefined;
  readonly follow?: Follow | undefined;
  /** The row of a node was changed by a person: look at the nodes. */
  readonly nodesChanged?: boolean;
}

/** Leases that are committed; a node reads the payloads by a statement that begins after this. */
export interface Grants {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  /** Attempts charged before this one. */
  readonly attempts: readonly number[];
  /** Leases lost before this one: above 0 the task runs alone in a child process (rule 17). */
  readonly losses: readonly number[];
}

/** Leases to stop at once: cancelled by a user, or no longer this node's. */
export interface Aborts {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  readonly reason: AbortReason;
}

/** Leases to hand back where they have not begun: a node with a free slot is to have them. */
export interface Recall {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
}

export const AbortReason = { UNKNOWN: 0, CANCELLED: 1, NOT_YOURS: 2 } as const;
export type AbortReason = (typeof AbortReason)[keyof typeof AbortReason];

export interface HeartbeatAnswer {
  readonly number: number;
  /** False: the database holds this incarnation for dead; it must abort all and register anew. */
  readonly renewed: boolean;
}

export interface Ended {
  readonly seqs: readonly number[];
  readonly codes: readonly number[];
}

export interface FromLeader {
  readonly term: number;
  /** Counts the messages of this stream, from 1. */
  readonly number: number;
  readonly grants?: Grants | undefined;
  readonly aborts?: readonly Aborts[];
  readonly recall?: Recall | undefined;
  readonly answer?: HeartbeatAnswer | undefined;
  /** Everything told up to this number is applied; 0 for nothing new. */
  readonly toldThrough?: number;
  readonly ended?: Ended | undefined;
  readonly prospect?: Prospected | undefined;
  readonly news?: News | undefined;
  /** What somebody has asked of the node, by its row: whether to take no more work. */
  readonly drain?: { readonly isOn: boolean } | undefined;
  /** The leader leaves its office: look for the next one at once. */
  readonly goodbye?: boolean;
}
