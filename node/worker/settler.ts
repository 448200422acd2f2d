import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { SettledAs } from '../core/messages.ts';
import type { Outage } from './outage.ts';
import type { Outcome } from './outcome.ts';
import type {
  FinishedFacts,
  IsDataError,
  LeaseStorePort,
  LogPort,
  Settlement,
  ToldSettlement,
  WorkerMetricsPort,
} from './ports.ts';

/**
 * Commits outcomes in batches, by what is there when a batch has come back: an idle node settles one
 * at once, a busy one hundreds. It needs no leader, and keeps what it has through an outage
 * of the database for as long as that lasts; the number of outcomes kept is bounded by the leases of
 * the node, because no new ones come while the old ones are held.
 *
 * An unknown COMMIT (the answer lost with its connection) is answered by trying again: what the guard
 * refuses then is looked up by its lease number, and is either accepted before, or stale.
 *
 * What it does not promise: that an outcome counts. A lease that was taken back is stale, and its
 * outcome is dropped and counted; somebody else runs the task.
 */
export interface Finished {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly type: string;
  readonly outcome: Outcome;
  /** Monotonic instants of this node; null where the task never started. */
  readonly startedMs: number | null;
  readonly finishedMs: number;
  readonly grantedMs: number;
}

export interface SettlerDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly store: LeaseStorePort;
  readonly isDataError: IsDataError;
  readonly metrics: WorkerMetricsPort;
  /** Batches that may be under way at once: a slot stays taken until its outcome is committed. */
  readonly settleLanes: number;
  readonly outage: Outage;
  /** Each outcome comes back here exactly once: accepted with its settlement, or stale. */
  readonly onSettled: (
    accepted: readonly ToldSettlement[],
    stale: readonly { readonly seq: number; readonly leaseSeq: number }[],
  ) => void;
}

const BATCH_MAX = 1000;
/** Of results in one statement; a batch of the largest would be 256 MiB. */
const BATCH_CHARACTERS_MAX = 4 * 1024 * 1024;
const OUTAGE_BACKOFF = { baseMs: 50, maxMs: 1000 };
const ASIDE_BACKOFF = { baseMs: 1000, maxMs: 30_000 };

/** Stands in for an outcome that the database refuses to store. */
const NOT_STORABLE: Outcome = {
  kind: 'exhausted',
  error: {
    code: 'outcome_not_storable',
    message: 'the database refuses to store the result or error of this task',
    retryable: false,
  },
};

export class Settler {
  private readonly deps: SettlerDeps;
  private readonly queue: Finished[] = [];
  private lanesInUse = 0;
  private readonly stopping = new AbortController();

  constructor(deps: SettlerDeps) {
    this.deps = deps;
  }

  add(finished: Finished): void {
    this.queue.push(finished);
    if (this.lanesInUse >= this.deps.settleLanes) return;
    this.lanesInUse += 1;
    void this.run();
  }

  /** Gives up what could not be settled; its leases will be reclaimed. */
  stop(): void {
    this.stopping.abort(new Error('the settler is stopped'));
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    // Outcomes of one tick travel together.
    await Promise.resolve();
    while (this.queue.length > 0 && !this.stopping.signal.aborted) {
      const batch = this.take();
      const completed = batch.filter((item) => item.outcome.kind === 'completed');
      const others = batch.filter((item) => item.outcome.kind !== 'completed');
      await Promise.all([
        this.settleUntilKnown(completed, (items) => this.complete(items)),
        this.settleUntilKnown(others, (items) => this.settle(items)),
      ]);
    }
    // In the same tick as the last look at the queue: an outcome that comes later starts a new run.
    this.lanesInUse -= 1;
  }

  /** What may travel together; of one task no two leases, whose answers could not be told apart. */
  private take(): readonly Finished[] {
    const seqs = new Set<number>();
    let characters = 0;
    for (const { seq, outcome } of this.queue) {
      if (seqs.size === BATCH_MAX || characters > BATCH_CHARACTERS_MAX || seqs.has(seq)) break;
      seqs.add(seq);
      characters += outcome.kind === 'completed' ? outcome.result.length : 0;
    }
    return this.queue.splice(0, seqs.size);
  }

  private async settleUntilKnown(
    items: readonly Finished[],
    commit: (items: readonly Finished[]) => Promise<readonly Settlement[]>,
  ): Promise<void> {
    if (items.length === 0) return;
    const { clock, rng, log, isDataError } = this.deps;
    for (let failures = 1; !this.stopping.signal.aborted; failures++) {
      let known: ReadonlyMap<number, Settlement>;
      const begunMs = clock.monotonicMs();
      try {
        const settlements = await commit(items);
        const seconds = (clock.monotonicMs() - begunMs) / 1000;
        this.deps.metrics.committed('settle', items.length, seconds);
        known = await this.verify(items, settlements);
        this.deps.outage.answered();
      } catch (thrown) {
        const error = toError(thrown);
        if (isDataError(error)) {
          await this.settleApart(items, commit, error);
          return;
        }
        this.deps.outage.failed(begunMs);
        log.warn('Outcomes could not be committed yet.', { error, count: items.length, failures });
        await clock
          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, rng), this.stopping.signal)
          .catch(() => undefined);
        continue;
      }
      this.report(items, known);
      return;
    }
  }

  /** One bad row fails its statement: halve until it stands alone, then fail that task safely. */
  private async settleApart(
    items: readonly Finished[],
    commit: (items: readonly Finished[]) => Promise<readonly Settlement[]>,
    error: Error,
  ): Promise<void> {
    const [only] = items;
    if (items.length === 1 && only !== undefined) {
      this.deps.log.error('An outcome cannot be stored.', { error, task_seq: only.seq });
      if (only.outcome === NOT_STORABLE) {
        void this.settleAside(only);
        return;
      }
      const safe = { ...only, outcome: NOT_STORABLE };
      await this.settleUntilKnown([safe], (again) => this.settle(again));
      return;
    }
    const half = items.length >> 1;
    await this.settleUntilKnown(items.slice(0, half), commit);
    await this.settleUntilKnown(items.slice(half), commit);
  }

  /**
   * What the database refuses in every form is no fault of its data: somebody must act. It is tried
   * now and then, out of the way of the others. Never rejects.
   */
  private async settleAside(item: Finished): Promise<void> {
    const { clock, rng, log } = this.deps;
    const { signal } = this.stopping;
    for (let failures = 1; !signal.aborted; failures++) {
      const pauseMs = fullJitterMs(ASIDE_BACKOFF, failures, rng);
      const isOver = await clock.sleep(pauseMs, signal).then(
        () => false,
        () => true,
      );
      if (isOver) return;
      let known: ReadonlyMap<number, Settlement>;
      try {
        known = await this.verify([item], await this.settle([item]));
      } catch (thrown) {
        const error = toError(thrown);
        log.error('An outcome still cannot be stored.', { error, task_seq: item.seq, failures });
        continue;
      }
      this.report([item], known);
      return;
    }
  }

  private async complete(items: readonly Finished[]): Promise<readonly Settlement[]> {
    const nowMs = this.deps.clock.monotonicMs();
    const count = items.length;
    const done = {
      seqs: new Array<number>(count),
      leaseSeqs: new Array<number>(count),
      startedAgoMs: new Array<number>(count),
      finishedAgoMs: new Array<number>(count),
      results: new Array<string>(count),
    };
    for (let at = 0; at < count; at++) {
      const { seq, leaseSeq, startedMs, finishedMs, outcome } = items[at] as Finished;
      done.seqs[at] = seq;
      done.leaseSeqs[at] = leaseSeq;
      done.startedAgoMs[at] = nowMs - (startedMs ?? finishedMs);
      done.finishedAgoMs[at] = nowMs - finishedMs;
      done.results[at] = outcome.kind === 'completed' ? outcome.result : 'null';
    }
    const accepted = await this.deps.store.completeMany(done);
    return accepted.map(toCompleted);
  }

  private settle(items: readonly Finished[]): Promise<readonly Settlement[]> {
    const nowMs = this.deps.clock.monotonicMs();
    return this.deps.store.settleMany({
      seqs: items.map((item) => item.seq),
      leaseSeqs: items.map((item) => item.leaseSeq),
      settledAs: items.map((item) => toSettledAs(item.outcome)),
      delayMs: items.map((item) => ('delayMs' in item.outcome ? item.outcome.delayMs : 0)),
      startedAgoMs: items.map((item) => (item.startedMs === null ? null : nowMs - item.startedMs)),
      finishedAgoMs: items.map((item) => nowMs - item.finishedMs),
      errors: items.map((item) => errorOf(item.outcome)),
    });
  }

  /** By task, what has been accepted, now or before; what is not among it is stale. */
  private async verify(
    items: readonly Finished[],
    settlements: readonly Settlement[],
  ): Promise<ReadonlyMap<number, Settlement>> {
    const bySeq = new Map(settlements.map((settlement) => [settlement.seq, settlement]));
    const refused = items.filter((item) => !bySeq.has(item.seq));
    if (refused.length === 0) return bySeq;
    const found = await this.deps.store.verifyMany(
      refused.map((item) => item.seq),
      refused.map((item) => item.leaseSeq),
    );
    const asked = new Map(refused.map((item) => [item.seq, item.outcome.kind]));
    for (const settlement of found) {
      const kind = asked.get(settlement.seq);
      // Another end under this lease was the leader's, who took it back.
      if (kind !== undefined && MAY_BECOME[kind].includes(settlement.settledAs)) {
        bySeq.set(settlement.seq, settlement);
      }
    }
    return bySeq;
  }

  private report(items: readonly Finished[], bySeq: ReadonlyMap<number, Settlement>): void {
    const accepted: ToldSettlement[] = [];
    const stale: Finished[] = [];
    for (const item of items) {
      const settlement = bySeq.get(item.seq);
      if (settlement === undefined) stale.push(item);
      else accepted.push(toTold(item, settlement));
    }
    if (stale.length > 0) {
      this.deps.metrics.staleOutcomes(stale.length);
      this.deps.log.warn('Outcomes came under leases that were over.', { count: stale.length });
    }
    this.deps.metrics.tasksFinished(factsOf(items, bySeq));
    this.deps.onSettled(accepted, stale);
  }
}

function toCompleted(seq: number): Settlement {
  return { seq, settledAs: SettledAs.COMPLETED, nextLeaseSeq: 0, attempt: 0, runAtMs: 0 };
}

/** Written out, because a spread costs ten times as much, for each task. */
function toTold(item: Finished, settlement: Settlement): ToldSettlement {
  const { seq, settledAs, nextLeaseSeq, attempt, runAtMs } = settlement;
  const { leaseSeq } = item;
  return { seq, leaseSeq, settledAs, nextLeaseSeq, attempt, runAtMs, runMs: runMsOf(item) };
}

function runMsOf({ outcome, startedMs, finishedMs }: Finished): number {
  return outcome.kind === 'completed' && startedMs !== null ? finishedMs - startedMs : -1;
}

const STATUS_OF = { 1: 'COMPLETED', 2: 'FAILED', 3: 'CANCELLED', 4: 'SKIPPED' } as const;

/** What ended here, for the metrics; a task that goes back to the queue has not finished. */
function factsOf(
  items: readonly Finished[],
  bySeq: ReadonlyMap<number, Settlement>,
): FinishedFacts[] {
  const facts: FinishedFacts[] = [];
  for (const item of items) {
    const settledAs = bySeq.get(item.seq)?.settledAs;
    if (settledAs === undefined) continue;
    if (settledAs === SettledAs.RETRY || settledAs === SettledAs.RELEASED) continue;
    const startedMs = item.startedMs ?? item.finishedMs;
    facts.push({
      type: item.type,
      status: STATUS_OF[settledAs],
      runSeconds: (item.finishedMs - startedMs) / 1000,
      queueSeconds: (startedMs - item.grantedMs) / 1000,
    });
  }
  return facts;
}

/** An outcome accepted before may have met the mark of a cancel, and its task been retried since. */
const MAY_BECOME: Readonly<Record<Outcome['kind'], readonly SettledAs[]>> = {
  completed: [SettledAs.COMPLETED],
  failed: [SettledAs.RETRY, SettledAs.CANCELLED],
  exhausted: [SettledAs.FAILED, SettledAs.CANCELLED, SettledAs.RETRY],
  cancelled: [SettledAs.RELEASED, SettledAs.CANCELLED],
  'given-up': [SettledAs.CANCELLED, SettledAs.RETRY],
  released: [SettledAs.RELEASED, SettledAs.CANCELLED],
};

function toSettledAs(outcome: Outcome): SettledAs {
  switch (outcome.kind) {
    case 'completed':
      return SettledAs.COMPLETED;
    case 'failed':
      return SettledAs.RETRY;
    case 'exhausted':
      return SettledAs.FAILED;
    case 'given-up':
      return SettledAs.CANCELLED;
    // Without the mark in the row nobody cancelled it: the statement turns this into an end.
    case 'cancelled':
    case 'released':
      return SettledAs.RELEASED;
  }
}

function errorOf(outcome: Outcome): string | null {
  return 'error' in outcome ? JSON.stringify(outcome.error) : null;
}
