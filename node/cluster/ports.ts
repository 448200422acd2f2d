import type { NodeId, Term } from '../base/ids.ts';
import type { LeaderView } from '../core/election-events.ts';

/**
 * What the cluster role needs of the world, in its own words. The store and the log satisfy these
 * by shape and know nothing of them; node.ts joins the two.
 */

/** How other nodes find this one; the term row carries it while this node leads. */
export interface SelfIdentity {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly grpcAddress: string;
  readonly httpUrl: string;
}

/**
 * One connection to PostgreSQL that may hold the leader's lock. It is used once: whatever goes
 * wrong on it (an error, an answer that does not come in time) ends it, and with it the lock. One
 * statement at a time; every one of them has a deadline of its own.
 */
export interface LockSession {
  /** Connects and readies the session. */
  open(): Promise<void>;
  /** Tries the lock without waiting; taking it arms the server's dead-man switch. */
  tryLock(): Promise<{ readonly taken: boolean; readonly view: LeaderView | null }>;
  /** Raises the term above `above` and every earlier one, and names `leader` in the row. */
  bumpTerm(above: Term, leader: SelfIdentity): Promise<LeaderView>;
  /** Reads the term row; for the holder of the lock this is the heartbeat. Null: no leader yet. */
  readTerm(): Promise<LeaderView | null>;
  /** Closes the socket at once, which frees the lock. */
  destroy(): void;
  /** Resolves with the reason, soon after the socket closed for whatever cause; never rejects. */
  readonly ended: Promise<string>;
}

export interface HeartbeatMetricsPort {
  /** `lock`: the leader's, on its lock session; `lease`: a node's, which the leader gathers for a second. */
  heartbeatAnswered(kind: 'lock' | 'lease', seconds: number): void;
}

export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
