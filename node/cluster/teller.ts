import type { SettledAs, Told } from '../core/messages.ts';

/** An outcome that the database has accepted. */
export interface ToldOutcome {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly settledAs: SettledAs;
  readonly nextLeaseSeq: number;
  readonly attempt: number;
  readonly runAtMs: number;
  /** Of what completed, from its start to its end; -1 for the rest. */
  readonly runMs: number;
}

/**
 * What this node has settled and no leader has acknowledged. It is told again on each new stream, and
 * with a heartbeat where it has waited since the one before, until a leader of the current term says that
 * it is applied. Bounded by the leases of the node: without a
 * leader there are no new ones.
 */
export class Teller {
  private pending: { readonly number: number; readonly outcomes: readonly ToldOutcome[] }[] = [];
  private lastNumber = 0;
  private oldestAtLastBeat: number | undefined;

  get size(): number {
    return this.pending.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
  }

  tell(outcomes: readonly ToldOutcome[]): Told {
    this.lastNumber += 1;
    this.pending.push({ number: this.lastNumber, outcomes });
    return toColumns(this.lastNumber, outcomes);
  }

  acknowledge(through: number): void {
    this.pending = this.pending.filter(({ number }) => number > through);
  }

  /** Called at each heartbeat: everything pending, where the oldest was so at the last one already. */
  tellOverdue(): Told | undefined {
    const oldest = this.pending[0]?.number;
    const isOverdue = oldest !== undefined && oldest === this.oldestAtLastBeat;
    const told = isOverdue ? this.tellAgain() : undefined;
    this.oldestAtLastBeat = this.pending[0]?.number;
    return told;
  }

  /** Everything pending as one message of a new number, for a new stream; undefined for nothing. */
  tellAgain(): Told | undefined {
    const outcomes = this.pending.flatMap((told) => told.outcomes);
    this.pending = [];
    return outcomes.length === 0 ? undefined : this.tell(outcomes);
  }
}

function toColumns(number: number, outcomes: readonly ToldOutcome[]): Told {
  const column = (): number[] => new Array<number>(outcomes.length);
  const told = {
    number,
    seqs: column(),
    leaseSeqs: column(),
    settledAs: new Array<SettledAs>(outcomes.length),
    nextLeaseSeqs: column(),
    attempts: column(),
    runAtMs: column(),
    runMs: column(),
  };
  for (const [at, outcome] of outcomes.entries()) {
    told.seqs[at] = outcome.seq;
    told.leaseSeqs[at] = outcome.leaseSeq;
    told.settledAs[at] = outcome.settledAs;
    told.nextLeaseSeqs[at] = outcome.nextLeaseSeq;
    told.attempts[at] = outcome.attempt;
    told.runAtMs[at] = outcome.runAtMs;
    told.runMs[at] = outcome.runMs;
  }
  return told;
}
