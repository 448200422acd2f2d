/**
 * A table with versions and row locks, as PostgreSQL has them under READ COMMITTED: a reader sees the
 * versions that were committed when its statement began, a writer the newest one that it could lock.
 */
export type LockMode = 'key share' | 'share' | 'no key update' | 'update';

/** Table 13.3 of PostgreSQL's documentation, "Conflicting Row-Level Locks". */
const CONFLICTS: Readonly<Record<LockMode, readonly LockMode[]>> = {
  'key share': ['update'],
  share: ['no key update', 'update'],
  'no key update': ['share', 'no key update', 'update'],
  update: ['key share', 'share', 'no key update', 'update'],
};

/** A transaction, as a row sees it. */
export interface Party {
  /** Commits with a number above this are invisible to the statement under way. */
  readonly snapshot: number;
  /** Counts the statements of the transaction. */
  readonly statement: number;
  /** What it waits for at this moment, for the search of deadlocks. */
  readonly waitsFor: readonly Party[];
}

interface Version<Row> {
  readonly commit: number;
  /** Undefined: the row was deleted. */
  readonly row: Row | undefined;
}

/** Versions older than what any statement may still see are dropped beyond this number. */
const VERSIONS_MAX = 24;

export class Slot<Row> {
  private versions: Version<Row>[] = [];
  private written: { readonly by: Party; readonly at: number; row: Row | undefined } | undefined;
  private readonly holders = new Map<Party, LockMode>();
  private waiters: (() => void)[] = [];

  /** What the transaction's statement sees: its snapshot, and what its earlier statements wrote. */
  seenBy(transaction: Party): Row | undefined {
    const { written } = this;
    if (written?.by === transaction && written.at < transaction.statement) return written.row;
    for (let at = this.versions.length - 1; at >= 0; at--) {
      const version = this.versions[at] as Version<Row>;
      if (version.commit <= transaction.snapshot) return version.row;
    }
    return undefined;
  }

  /** The newest version that the transaction can build upon: its own, else what is committed. */
  newestFor(transaction: Party): Row | undefined {
    if (this.written?.by === transaction) return this.written.row;
    return this.versions.at(-1)?.row;
  }

  get committed(): Row | undefined {
    return this.versions.at(-1)?.row;
  }

  /** Whoever else has written the row and not ended yet. */
  otherWriter(transaction: Party): Party | undefined {
    const by = this.written?.by;
    return by === transaction ? undefined : by;
  }

  blockers(transaction: Party, mode: LockMode): readonly Party[] {
    const others: Party[] = [];
    for (const [holder, held] of this.holders) {
      if (holder !== transaction && CONFLICTS[mode].includes(held)) others.push(holder);
    }
    return others;
  }

  hold(transaction: Party, mode: LockMode): void {
    const held = this.holders.get(transaction);
    const isStronger = held === undefined || CONFLICTS[mode].length > CONFLICTS[held].length;
    if (isStronger) this.holders.set(transaction, mode);
  }

  write(transaction: Party, row: Row | undefined): void {
    this.written = { by: transaction, at: transaction.statement, row };
  }

  waitForRelease(wake: () => void): void {
    this.waiters.push(wake);
  }

  /** Ends what the transaction had here; answers the change that became visible, if there is one. */
  end(
    transaction: Party,
    commit: number | undefined,
  ): { readonly before: Row | undefined; readonly after: Row | undefined } | undefined {
    this.holders.delete(transaction);
    let change: { before: Row | undefined; after: Row | undefined } | undefined;
    if (this.written?.by === transaction) {
      if (commit !== undefined) {
        change = { before: this.committed, after: this.written.row };
        this.versions.push({ commit, row: this.written.row });
        if (this.versions.length > VERSIONS_MAX) this.versions.shift();
      }
      this.written = undefined;
    }
    for (const wake of this.waiters.splice(0)) wake();
    return change;
  }
}

export class Table<Key, Row> {
  readonly name: string;
  private readonly slots = new Map<Key, Slot<Row>>();

  constructor(name: string) {
    this.name = name;
  }

  slot(key: Key): Slot<Row> {
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = new Slot();
      this.slots.set(key, slot);
    }
    return slot;
  }

  /** The keys of all rows that any transaction may see. */
  keys(): Iterable<Key> {
    return this.slots.keys();
  }

  get(key: Key): Row | undefined {
    return this.slots.get(key)?.committed;
  }

  /** All committed rows. */
  *rows(): Generator<Row> {
    for (const slot of this.slots.values()) {
      const row = slot.committed;
      if (row !== undefined) yield row;
    }
  }
}
