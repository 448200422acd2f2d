import { SettledAs } from './messages.ts';
import type { EndCode } from './task.ts';

/**
 * What was settled while a read of the database was in flight (rule 5): the answer may be older than
 * the settle, and must not bring an ended task back or show a lease that is over. `lease_seq` serves as
 * the version of a row: an answer is stale when its number is not above the buried one. Each is kept
 * until every load has returned that was in flight when it was buried, so the set is bounded by what
 * settles during one read, also where another read is always in flight.
 */
export interface Tombstone {
  readonly leaseSeq: number;
  /** How the task ended, or 0 where it went back to the queue. */
  readonly code: EndCode | 0;
  readonly nextLeaseSeq: number;
  readonly attempt: number;
  readonly runAtMs: number;
}

export class Tombstones {
  /** In the order in which they were buried. */
  private readonly bySeq = new Map<number, Tombstone & { readonly loadsBegun: number }>();
  /** The loads in flight in the order in which they began, each with how many had begun by then. */
  private readonly loads = new Map<number, number>();
  private loadsBegun = 0;
  private nextLoad = 1;

  get size(): number {
    return this.bySeq.size;
  }

  get loadsInFlight(): number {
    return this.loads.size;
  }

  /** A number for a load that the scheduler itself asks for, in flight from now on. */
  openLoad(): number {
    const load = this.nextLoad++;
    this.startLoad(load);
    return load;
  }

  /** A load that the leader began by itself; its number is negative, so the two never meet. */
  startLoad(load: number): void {
    this.loadsBegun += 1;
    this.loads.set(load, this.loadsBegun);
  }

  endLoad(load: number): void {
    this.loads.delete(load);
    const [oldest = Infinity] = this.loads.values();
    for (const [seq, { loadsBegun }] of this.bySeq) {
      if (loadsBegun >= oldest) return;
      this.bySeq.delete(seq);
    }
  }

  bury(seq: number, leaseSeq: number, code: EndCode): void {
    if (this.loads.size === 0) return;
    this.put(seq, { leaseSeq, code, nextLeaseSeq: 0, attempt: 0, runAtMs: 0 });
  }

  /** Remembers what a node told of a task that is not in the graph. */
  buryTold(
    seq: number,
    leaseSeq: number,
    settledAs: SettledAs,
    next: { readonly leaseSeq: number; readonly attempt: number; readonly runAtMs: number },
  ): void {
    if (this.loads.size === 0) return;
    const isQueuedAgain = settledAs === SettledAs.RETRY || settledAs === SettledAs.RELEASED;
    this.put(seq, {
      leaseSeq,
      code: isQueuedAgain ? 0 : settledAs,
      nextLeaseSeq: next.leaseSeq,
      attempt: next.attempt,
      runAtMs: next.runAtMs,
    });
  }

  /** The tombstone that makes a row of this number stale, if there is one. */
  over(seq: number, leaseSeq: number): Tombstone | undefined {
    const tombstone = this.bySeq.get(seq);
    return tombstone !== undefined && leaseSeq <= tombstone.leaseSeq ? tombstone : undefined;
  }

  private put(seq: number, tombstone: Tombstone): void {
    const older = this.bySeq.get(seq);
    if (older !== undefined && older.leaseSeq > tombstone.leaseSeq) return;
    this.bySeq.delete(seq);
    this.bySeq.set(seq, { ...tombstone, loadsBegun: this.loadsBegun });
  }
}
