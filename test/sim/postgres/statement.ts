import type { Data } from './schema.ts';
import type { Steps, Transaction } from './transaction.ts';

/** What a statement runs in. */
export interface Context {
  readonly transaction: Transaction;
  readonly data: Data;
  /** The advisory locks of the server, as the session of this statement sees them. */
  readonly lock: { tryTake(): boolean; readonly isMine: boolean };
  /** `idle_session_timeout` of the session from now on. */
  setIdleTimeout(ms: number): void;
}

export type Row = readonly unknown[];
/** A named statement of node/store, by what it does; rows as arrays in the order of its columns. */
export type Program = (context: Context, values: readonly unknown[]) => Steps<readonly Row[]>;
export type Programs = Readonly<Record<string, Program>>;
