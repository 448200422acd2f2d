import type { LockMode, Party, Slot, Table } from './table.ts';

/**
 * What a statement of the model does, step by step. It yields wherever another session could do
 * something in between: before each lock, while it waits for one, and wherever it says so itself.
 */
export type Steps<T> = Generator<Stop, T, undefined>;
/** `STEP`: anything may happen now; a slot: until whoever is in the way has ended. */
export type Stop = typeof STEP | Slot<unknown>;
export const STEP = 'step';

/** An error as the driver reports it, with its SQLSTATE. */
export class ServerError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Rules of the model that a test takes away, to see that it would notice. */
export interface Laws {
  /** A row that had to be waited for is looked at again in its newest version. */
  readonly rechecks: boolean;
  /** Locks of rows that conflict make one wait for the other; so unless false. */
  readonly locks?: boolean;
  /** Called for what a run should have met: a wait, a row that changed under a statement. */
  readonly count?: (what: string) => void;
}

export interface Change {
  readonly table: string;
  readonly key: unknown;
  readonly before: unknown;
  readonly after: unknown;
}

export class Transaction implements Party {
  snapshot: number;
  statement = 0;
  /** The term that a fence of this transaction has found. */
  fencedBy: number | undefined;
  /** Whether its commit must reach the disk. */
  hasWritten = false;
  waitsFor: readonly Party[] = [];
  readonly laws: Laws;
  private readonly touched = new Map<
    Slot<unknown>,
    { readonly table: string; readonly key: unknown }
  >();

  constructor(laws: Laws, snapshot: number) {
    this.laws = laws;
    this.snapshot = snapshot;
  }

  beginStatement(snapshot: number): void {
    this.snapshot = snapshot;
    this.statement += 1;
  }

  read<Key, Row>(table: Table<Key, Row>, key: Key): Row | undefined {
    return table.slot(key).seenBy(this);
  }

  /** All rows of the snapshot for which it holds. */
  scan<Key, Row>(table: Table<Key, Row>, holds: (row: Row) => boolean): Row[] {
    const rows: Row[] = [];
    for (const key of table.keys()) {
      const row = this.read(table, key);
      if (row !== undefined && holds(row)) rows.push(row);
    }
    return rows;
  }

  /**
   * `select … for update` and its kin, and the search of every update and delete: rows of the snapshot
   * for which the condition holds are locked one by one, waiting where another transaction is in the
   * way; then the condition is checked again on the newest version. A row that only the newest version
   * would let through is not found.
   */
  *lockWhere<Key, Row>(
    table: Table<Key, Row>,
    keys: readonly Key[],
    holds: (row: Row) => boolean,
    mode: LockMode,
    skipLocked = false,
  ): Steps<Row[]> {
    const locked: Row[] = [];
    for (const key of keys) {
      const seen = this.read(table, key);
      if (seen === undefined || !holds(seen)) continue;
      const slot = table.slot(key);
      yield STEP;
      if (skipLocked && this.inTheWay(slot, mode).length > 0) {
        this.laws.count?.(`a locked row of ${table.name} was skipped`);
        continue;
      }
      yield* this.acquire(table, key, slot, mode);
      const newest = this.laws.rechecks ? slot.newestFor(this) : seen;
      if (newest !== undefined && holds(newest)) locked.push(newest);
      else this.laws.count?.(`a row of ${table.name} had changed under a statement`);
    }
    return locked;
  }

  /** The row as `on conflict do update` finds it: its newest version, whatever the snapshot has. */
  *lockNewest<Key, Row>(table: Table<Key, Row>, key: Key, mode: LockMode): Steps<Row | undefined> {
    const slot = table.slot(key);
    yield* this.acquire(table, key, slot, mode);
    return slot.newestFor(this);
  }

  /** False where the key is taken; waits for whoever is about to take it or to give it up. */
  *tryInsert<Key, Row>(table: Table<Key, Row>, key: Key, row: Row): Steps<boolean> {
    yield* this.awaitWriter(table, key);
    const slot = table.slot(key);
    if (slot.newestFor(this) !== undefined) return false;
    slot.hold(this, 'update');
    this.touched.set(slot, { table: table.name, key });
    this.hasWritten = true;
    slot.write(this, row);
    return true;
  }

  /** Until no other transaction has written the row and not ended; who only locks it is not waited for. */
  *awaitWriter<Key, Row>(table: Table<Key, Row>, key: Key): Steps<void> {
    const slot = table.slot(key);
    yield* this.waitWhile(table, slot, () => {
      const writer = this.laws.locks === false ? undefined : slot.otherWriter(this);
      return writer === undefined ? [] : [writer];
    });
  }

  *insert<Key, Row>(table: Table<Key, Row>, key: Key, row: Row): Steps<void> {
    if (!(yield* this.tryInsert(table, key, row))) {
      throw new ServerError('23505', `duplicate key in ${table.name}: ${String(key)}`);
    }
  }

  /** Writes a row that this transaction has locked; undefined deletes it. */
  put<Key, Row>(table: Table<Key, Row>, key: Key, row: Row | undefined): void {
    this.hasWritten = true;
    table.slot(key).write(this, row);
  }

  /** Frees every lock; with a number, what was written becomes visible under it. */
  end(commit: number | undefined): readonly Change[] {
    const changes: Change[] = [];
    for (const [slot, where] of this.touched) {
      const change = slot.end(this, commit);
      if (change !== undefined) changes.push({ ...where, ...change });
    }
    this.touched.clear();
    return changes;
  }

  /** A row that is gone once its turn has come is not there to be held. */
  private *acquire<Key, Row>(
    table: Table<Key, Row>,
    key: Key,
    slot: Slot<Row>,
    mode: LockMode,
  ): Steps<void> {
    yield* this.waitWhile(table, slot, () => this.inTheWay(slot, mode));
    if (slot.newestFor(this) === undefined) return;
    slot.hold(this, mode);
    this.touched.set(slot, { table: table.name, key });
  }

  private *waitWhile<Key, Row>(
    table: Table<Key, Row>,
    slot: Slot<Row>,
    others: () => readonly Party[],
  ): Steps<void> {
    for (;;) {
      this.waitsFor = others();
      if (this.waitsFor.length === 0) return;
      this.laws.count?.(`a statement waited for a row of ${table.name}`);
      if (this.isInCircle()) throw new ServerError('40P01', `deadlock detected on ${table.name}`);
      yield slot;
    }
  }

  private inTheWay<Row>(slot: Slot<Row>, mode: LockMode): readonly Party[] {
    return this.laws.locks === false ? [] : slot.blockers(this, mode);
  }

  private isInCircle(): boolean {
    const seen = new Set<Party>();
    const open = [...this.waitsFor];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === this) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...next.waitsFor);
    }
    return false;
  }
}
