import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { AbortReason, type Aborts, type Grants, type Recall } from '../core/messages.ts';
import type { Executor } from './executor.ts';
import { Grace } from './grace.ts';
import { Halt, Interruption } from './halt.ts';
import { interrupted, type Outcome } from './outcome.ts';
import type { LeaseStorePort, LogPort, ToldSettlement, Work, WorkerMetricsPort } from './ports.ts';
import { Outage } from './outage.ts';
import { Settler, type SettlerDeps } from './settler.ts';

/**
 * The slots of a node and what they hold.
 *
 *   granted ─▶ fetching ─▶ (waiting for a slot) ─▶ running ─▶ settling ─▶ told
 *
 * A grant enters the inventory in the tick in which it arrives, and leaves it in the tick in which its
 * outcome is known to the database: the inventory that a heartbeat carries is exactly what this node
 * may still settle. User code never runs on this event loop; what runs here are the built-in handlers,
 * which only wait.
 *
 * When the node cannot renew its lease it must stop its tasks before anyone may start them again:
 * `interruptAll('lease_lost')`, and nothing begins before it can renew again. What an interrupted task
 * leaves behind is handed back uncharged under the same guard as every outcome.
 */
export interface WorkerDeps extends Omit<SettlerDeps, 'onSettled' | 'outage'> {
  readonly executor: Executor;
  readonly slots: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly store: LeaseStorePort;
  readonly metrics: WorkerMetricsPort;
  /** Whether the lease of this node was renewed lately: nothing begins without. */
  readonly isLeaseSafe: () => boolean;
  /** What the database has accepted, for the leader. */
  readonly onSettled: (settled: readonly ToldSettlement[]) => void;
}

interface Held {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly attempt: number;
  readonly losses: number;
  readonly grantedMs: number;
  readonly halt: Halt;
  startedMs: number | null;
  isMarkedStarted: boolean;
  work: Work | undefined;
}

const FETCH_MAX = 1000;
const AHEAD_A_SLOT = 32;
const OUTAGE_BACKOFF = { baseMs: 50, maxMs: 1000 };
/** A task that runs longer than this shows `started_at` while it runs. */
const MARK_AFTER_MS = 200;

export class Worker {
  private readonly deps: WorkerDeps;
  private readonly settler: Settler;
  /** All and only the leases that this node may still settle. */
  private readonly held = new Map<number, Held>();
  private readonly fetchQueue = new Set<Held>();
  private readonly slotQueue = new Set<Held>();
  private readonly outage = new Outage();
  private readonly stopping = new AbortController();
  private isFetching = false;
  private isMarking = false;
  private running = 0;
  /** Tasks that hold no slot and wait where they will run. */
  private ahead = 0;
  private isDraining = false;
  private readonly grace: Grace;

  constructor(deps: WorkerDeps) {
    this.deps = deps;
    this.grace = new Grace(deps.clock);
    this.settler = new Settler({
      ...deps,
      outage: this.outage,
      onSettled: (accepted, stale) => {
        for (const item of accepted) this.forget(item.seq, item.leaseSeq);
        for (const item of stale) this.forget(item.seq, item.leaseSeq);
        if (accepted.length > 0) deps.onSettled(accepted);
        if (this.held.size === 0) this.grace.end();
      },
    });
    deps.metrics.setSlots(deps.slots, 0);
  }

  get inventory(): { readonly seqs: readonly number[]; readonly leaseSeqs: readonly number[] } {
    const leases = [...this.held.values()];
    return {
      seqs: leases.map((lease) => lease.seq),
      leaseSeqs: leases.map((lease) => lease.leaseSeq),
    };
  }

  /** Since when the database has answered nothing that this worker asked, on its monotonic clock. */
  get outageSinceMs(): number | undefined {
    return this.outage.sinceMs;
  }

  /** Takes leases that are committed; a lease of a lower number than one held is old news. */
  accept(grants: Grants): void {
    const nowMs = this.deps.clock.monotonicMs();
    for (const [at, seq] of grants.seqs.entries()) {
      const leaseSeq = grants.leaseSeqs[at] as number;
      const known = this.held.get(seq);
      if (known !== undefined && known.leaseSeq >= leaseSeq) continue;
      if (known !== undefined) this.interrupt(known, 'lease_lost');
      const lease: Held = {
        seq,
        leaseSeq,
        attempt: (grants.attempts[at] as number) + 1,
        losses: grants.losses[at] as number,
        grantedMs: nowMs,
        halt: new Halt(),
        startedMs: null,
        isMarkedStarted: false,
        work: undefined,
      };
      this.held.set(seq, lease);
      if (this.isDraining) this.handBack(lease, 'draining');
      else this.fetchQueue.add(lease);
    }
    if (this.fetchQueue.size === 0 || this.isFetching) return;
    this.isFetching = true;
    void this.fetch();
  }

  abort(aborts: Aborts): void {
    const code = aborts.reason === AbortReason.CANCELLED ? 'cancelled' : 'lease_lost';
    for (const [at, seq] of aborts.seqs.entries()) {
      const lease = this.held.get(seq);
      if (lease !== undefined && lease.leaseSeq === aborts.leaseSeqs[at]) {
        this.interrupt(lease, code);
      }
    }
  }

  /** Hands back what has not begun; what runs, runs on. */
  recall({ seqs, leaseSeqs }: Recall): void {
    for (const [at, seq] of seqs.entries()) {
      const lease = this.held.get(seq);
      if (lease === undefined || lease.leaseSeq !== leaseSeqs[at]) continue;
      const hasWaited = this.slotQueue.delete(lease) || this.fetchQueue.delete(lease);
      if (hasWaited) this.handBack(lease, 'recalled');
      else lease.halt.onRecall?.();
    }
  }

  interruptAll(code: Interruption['code']): void {
    for (const lease of this.held.values()) this.interrupt(lease, code);
  }

  /** Tasks that have run for a while and whose start is not in the database yet; one call at a time. */
  async markStarted(): Promise<void> {
    if (this.isMarking) return;
    const nowMs = this.deps.clock.monotonicMs();
    const unmarked = [...this.held.values()].filter(
      (lease) =>
        !lease.isMarkedStarted &&
        lease.startedMs !== null &&
        nowMs - lease.startedMs > MARK_AFTER_MS,
    );
    if (unmarked.length === 0) return;
    this.isMarking = true;
    try {
      await this.deps.store.markStarted(
        unmarked.map((lease) => lease.seq),
        unmarked.map((lease) => lease.leaseSeq),
        unmarked.map((lease) => nowMs - (lease.startedMs ?? nowMs)),
      );
      for (const lease of unmarked) lease.isMarkedStarted = true;
    } finally {
      this.isMarking = false;
    }
  }

  /**
   * Takes no more work, hands back what has not begun, lets the rest finish for `graceMs`, interrupts
   * it then, and settles all. The signal ends the grace: what runs is interrupted and handed back at
   * once. Resolves when nothing is held or work is taken again, and at the latest 5 s after the grace, 2 s
   * after the signal: what is not settled by then will be reclaimed.
   */
  async drain(graceMs: number, signal: AbortSignal): Promise<void> {
    const { log } = this.deps;
    this.isDraining = true;
    for (const lease of [...this.fetchQueue, ...this.slotQueue]) this.handBack(lease, 'draining');
    this.fetchQueue.clear();
    this.slotQueue.clear();
    await this.grace.wait({
      ...{ graceMs, signal, isIdle: () => this.held.size === 0 },
      interrupt: () => {
        if (this.isDraining) this.interruptAll('draining');
      },
    });
    const count = this.mayTakeWork() ? 0 : this.held.size;
    if (count > 0) log.warn('Leases were left unsettled.', { count });
  }

  /** Takes work again, and lets what still runs of a drain run on. */
  resume(): void {
    this.isDraining = false;
    this.grace.end();
  }

  /**
   * Ends at once: interrupts everything, and gives up what is not settled. True when nothing runs any
   * more, so that others may run it (rule 7).
   */
  async stop(): Promise<boolean> {
    this.stopping.abort(new Error('the worker is stopped'));
    this.interruptAll('draining');
    this.settler.stop();
    this.grace.end();
    return this.deps.executor.stop();
  }

  private mayTakeWork(): boolean {
    return !this.isDraining;
  }

  private interrupt(lease: Held, code: Interruption['code']): void {
    lease.halt.interrupt(code);
    const hasWaited = this.slotQueue.delete(lease) || this.fetchQueue.delete(lease);
    if (hasWaited) this.handBack(lease, code);
  }

  /** Never rejects: what cannot be read is asked for again. */
  private async fetch(): Promise<void> {
    const { store, log, clock, rng } = this.deps;
    for (let failures = 0; this.fetchQueue.size > 0 && !this.stopping.signal.aborted;) {
      const batch = this.nextToFetch();
      let found: readonly Work[];
      const askedMs = clock.monotonicMs();
      try {
        found = await store.work(batch.map((lease) => lease.seq));
        failures = 0;
        this.outage.answered();
      } catch (thrown) {
        failures += 1;
        this.outage.failed(askedMs);
        this.fetchAgain(batch);
        log.warn('Tasks could not be read.', { error: toError(thrown), failures });
        await clock
          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, rng), this.stopping.signal)
          .catch(() => undefined);
        continue;
      }
      const bySeq = new Map(found.map((work) => [work.seq, work]));
      for (const lease of batch) {
        lease.work = bySeq.get(lease.seq);
        this.begin(lease);
      }
    }
    // In the same tick as the last look at the queue: a grant that comes later starts a new fetch.
    this.isFetching = false;
  }

  private nextToFetch(): readonly Held[] {
    const batch: Held[] = [];
    for (const lease of this.fetchQueue) {
      if (batch.length === FETCH_MAX) break;
      batch.push(lease);
      this.fetchQueue.delete(lease);
    }
    return batch;
  }

  private fetchAgain(batch: readonly Held[]): void {
    for (const lease of batch) {
      const { reason } = lease.halt;
      if (reason !== undefined) this.handBack(lease, reason.code);
      else if (this.isDraining) this.handBack(lease, 'draining');
      else this.fetchQueue.add(lease);
    }
  }

  /** From the fetch, and again from the queue for a slot. */
  private begin(lease: Held): void {
    const { reason } = lease.halt;
    if (reason !== undefined) this.handBack(lease, reason.code);
    else if (this.isDraining) this.handBack(lease, 'draining');
    else if (lease.work === undefined || !this.deps.isLeaseSafe()) {
      this.handBack(lease, 'lease_lost');
    } else if (this.running < this.deps.slots) this.run(lease, lease.work);
    else if (this.hasRoomAhead(lease, lease.work)) this.runAhead(lease, lease.work);
    else this.slotQueue.add(lease);
  }

  /**
   * Quick tasks wait where they run, and not for a slot: one by one the way there and back would cost more
   * than they do. What runs at once is bounded there by the slots that are held for it.
   */
  private hasRoomAhead(lease: Held, work: Work): boolean {
    if (this.ahead >= this.deps.slots * AHEAD_A_SLOT) return false;
    return this.deps.executor.mayGoAhead({ ...lease, work });
  }

  private runAhead(lease: Held, work: Work): void {
    this.ahead += 1;
    void Promise.resolve(this.execute(lease, work, 0, true)).then((known) => {
      this.settle(lease, known);
      this.ahead -= 1;
      this.fillSlots();
    });
  }

  private run(lease: Held, work: Work): void {
    const { executor } = this.deps;
    const outcome = executor.mayHaveDied({ ...lease, work })
      ? this.runAgain(lease, work)
      : this.execute(lease, work, 0);
    if (!(outcome instanceof Promise)) {
      this.settle(lease, outcome);
      return;
    }
    this.takeSlots(1);
    void outcome.then((known) => {
      this.settle(lease, known);
      this.takeSlots(-1);
      this.fillSlots();
    });
  }

  private execute(
    lease: Held,
    work: Work,
    deaths: number,
    isAhead = false,
  ): Outcome | Promise<Outcome> {
    lease.startedMs = this.deps.clock.monotonicMs();
    const { attempt, leaseSeq, losses, halt } = lease;
    return this.deps.executor.execute({ work, attempt, leaseSeq, losses, deaths, isAhead, halt });
  }

  /** Never rejects: an outcome is a value, and the settler keeps what it is given. */
  private async runAgain(lease: Held, work: Work): Promise<Outcome> {
    return this.execute(lease, work, await this.deathsOf(lease.seq));
  }

  /** One that is handed back or ends at once takes no slot: the next in the queue may have it. */
  private fillSlots(): void {
    for (const next of this.slotQueue) {
      const isFull = this.running >= this.deps.slots;
      if (isFull && (next.work === undefined || !this.hasRoomAhead(next, next.work))) return;
      this.slotQueue.delete(next);
      this.begin(next);
    }
  }

  private takeSlots(count: 1 | -1): void {
    this.running += count;
    this.deps.metrics.setSlots(this.deps.slots, this.running);
  }

  /** An unreadable count is taken for 0: the quarantine waits for one more death. */
  private async deathsOf(seq: number): Promise<number> {
    try {
      return await this.deps.store.deaths(seq);
    } catch (thrown) {
      this.deps.log.warn('Deaths of a task could not be read.', { error: toError(thrown) });
      return 0;
    }
  }

  private handBack(lease: Held, code: Interruption['code']): void {
    this.settle(lease, interrupted(lease.halt.reason ?? new Interruption(code)));
  }

  private settle(lease: Held, outcome: Outcome): void {
    const finishedMs = this.deps.clock.monotonicMs();
    // What waited ahead of its run did not run meanwhile: the leader learns from this how long a type takes.
    const ranMs = outcome.kind === 'completed' ? outcome.ranMs : undefined;
    this.settler.add({
      seq: lease.seq,
      leaseSeq: lease.leaseSeq,
      type: lease.work?.type ?? '',
      outcome,
      startedMs: ranMs === undefined ? lease.startedMs : finishedMs - ranMs,
      finishedMs,
      grantedMs: lease.grantedMs,
    });
  }

  private forget(seq: number, leaseSeq: number): void {
    if (this.held.get(seq)?.leaseSeq === leaseSeq) this.held.delete(seq);
  }
}
