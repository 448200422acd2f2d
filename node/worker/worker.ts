import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { AbortReason, type Aborts, type Grants } from '../core/messages.ts';
import { Interruption, type Executor } from './executor.ts';
import type { LeaseStorePort, LogPort, ToldSettlement, Work, WorkerMetricsPort } from './ports.ts';
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
 * `interruptAll('lease_lost')`. What an interrupted task leaves behind is handed back uncharged under
 * the same guard as every outcome.
 */
export interface WorkerDeps extends Omit<SettlerDeps, 'onSettled'> {
  readonly executor: Executor;
  readonly slots: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly store: LeaseStorePort;
  readonly metrics: WorkerMetricsPort;
  /** What the database has accepted, for the leader. */
  readonly onSettled: (settled: readonly ToldSettlement[]) => void;
}

interface Held {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly attempt: number;
  readonly losses: number;
  readonly grantedMs: number;
  readonly controller: AbortController;
  startedMs: number | null;
  isMarkedStarted: boolean;
  work: Work | undefined;
}

const FETCH_MAX = 1000;
const OUTAGE_BACKOFF = { baseMs: 50, maxMs: 1000 };
/** A task that runs longer than this shows `started_at` while it runs. */
const MARK_AFTER_MS = 200;

export class Worker {
  private readonly deps: WorkerDeps;
  private readonly settler: Settler;
  /** All and only the leases that this node may still settle. */
  private readonly held = new Map<number, Held>();
  private readonly fetchQueue: Held[] = [];
  private readonly slotQueue: Held[] = [];
  private readonly stopping = new AbortController();
  private fetching: Promise<void> | undefined;
  private running = 0;
  private isDraining = false;
  private onIdle: (() => void) | undefined;

  constructor(deps: WorkerDeps) {
    this.deps = deps;
    this.settler = new Settler({
      ...deps,
      onSettled: (accepted, stale) => {
        for (const item of accepted) this.forget(item.seq, item.leaseSeq);
        for (const item of stale) this.forget(item.seq, item.leaseSeq);
        if (accepted.length > 0) deps.onSettled(accepted);
        if (this.held.size === 0) this.onIdle?.();
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

  /** Takes leases that are committed; a lease of a lower number than one held is old news. */
  accept(grants: Grants): void {
    const nowMs = this.deps.clock.monotonicMs();
    for (const [at, seq] of grants.seqs.entries()) {
      const leaseSeq = grants.leaseSeqs[at] as number;
      const known = this.held.get(seq);
      if (known !== undefined && known.leaseSeq >= leaseSeq) continue;
      known?.controller.abort(new Interruption('lease_lost'));
      const lease: Held = {
        seq,
        leaseSeq,
        attempt: (grants.attempts[at] as number) + 1,
        losses: grants.losses[at] as number,
        grantedMs: nowMs,
        controller: new AbortController(),
        startedMs: null,
        isMarkedStarted: false,
        work: undefined,
      };
      this.held.set(seq, lease);
      if (this.isDraining) this.handBack(lease, 'draining');
      else this.fetchQueue.push(lease);
    }
    if (this.fetchQueue.length > 0) {
      this.fetching ??= this.fetch().finally(() => {
        this.fetching = undefined;
      });
    }
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

  interruptAll(code: Interruption['code']): void {
    for (const lease of this.held.values()) this.interrupt(lease, code);
  }

  /** Tasks that have run for a while and whose start is not in the database yet. */
  async markStarted(): Promise<void> {
    const nowMs = this.deps.clock.monotonicMs();
    const unmarked = [...this.held.values()].filter(
      (lease) =>
        !lease.isMarkedStarted &&
        lease.startedMs !== null &&
        nowMs - lease.startedMs > MARK_AFTER_MS,
    );
    if (unmarked.length === 0) return;
    await this.deps.store.markStarted(
      unmarked.map((lease) => lease.seq),
      unmarked.map((lease) => lease.leaseSeq),
      unmarked.map((lease) => nowMs - (lease.startedMs ?? nowMs)),
    );
    for (const lease of unmarked) lease.isMarkedStarted = true;
  }

  /**
   * Takes no more work, hands back what has not begun, lets the rest finish for `graceMs`, interrupts
   * it then, and settles all. Resolves when nothing is held, or when the signal gives up.
   */
  async drain(graceMs: number, signal: AbortSignal): Promise<void> {
    this.isDraining = true;
    for (const lease of [...this.fetchQueue, ...this.slotQueue]) this.handBack(lease, 'draining');
    this.fetchQueue.length = 0;
    this.slotQueue.length = 0;
    const cancelGrace = this.deps.clock.after(graceMs, () => {
      this.interruptAll('draining');
    });
    await new Promise<void>((resolve) => {
      if (this.held.size === 0 || signal.aborted) {
        resolve();
        return;
      }
      this.onIdle = resolve;
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
    });
    cancelGrace();
  }

  /** Ends at once: interrupts everything, and gives up what is not settled. */
  stop(): void {
    this.stopping.abort(new Error('the worker is stopped'));
    this.interruptAll('draining');
    this.settler.stop();
  }

  private interrupt(lease: Held, code: Interruption['code']): void {
    lease.controller.abort(new Interruption(code));
    const queueAt = this.slotQueue.indexOf(lease);
    if (queueAt >= 0) this.slotQueue.splice(queueAt, 1);
    const fetchAt = this.fetchQueue.indexOf(lease);
    if (fetchAt >= 0) this.fetchQueue.splice(fetchAt, 1);
    if (queueAt >= 0 || fetchAt >= 0) this.handBack(lease, code);
  }

  private async fetch(): Promise<void> {
    for (let failures = 0; this.fetchQueue.length > 0 && !this.stopping.signal.aborted;) {
      const batch = this.fetchQueue.splice(0, FETCH_MAX);
      try {
        const found = await this.deps.store.work(batch.map((lease) => lease.seq));
        failures = 0;
        const bySeq = new Map(found.map((work) => [work.seq, work]));
        for (const lease of batch) this.begin(lease, bySeq.get(lease.seq));
      } catch (thrown) {
        failures += 1;
        this.fetchQueue.unshift(...batch.filter((lease) => !lease.controller.signal.aborted));
        for (const lease of batch) {
          if (lease.controller.signal.aborted) this.handBack(lease, 'lease_lost');
        }
        this.deps.log.warn('Tasks could not be read.', { error: toError(thrown), failures });
        await this.deps.clock
          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, this.deps.rng), this.stopping.signal)
          .catch(() => undefined);
      }
    }
  }

  private begin(lease: Held, work: Work | undefined): void {
    const reason: unknown = lease.controller.signal.reason;
    if (reason instanceof Interruption) this.handBack(lease, reason.code);
    else if (work === undefined || this.isDraining) this.handBack(lease, 'draining');
    else {
      lease.work = work;
      if (this.running < this.deps.slots) void this.run(lease, work);
      else this.slotQueue.push(lease);
    }
  }

  /** Never rejects: an outcome is a value, and the settler keeps what it is given. */
  private async run(lease: Held, work: Work): Promise<void> {
    const { clock, metrics, slots, executor } = this.deps;
    this.running += 1;
    metrics.setSlots(slots, this.running);
    const deaths = lease.losses > 0 ? await this.deathsOf(lease.seq) : 0;
    lease.startedMs = clock.monotonicMs();
    const outcome = await executor.execute({ ...lease, work, deaths });
    this.settler.add({
      seq: lease.seq,
      leaseSeq: lease.leaseSeq,
      type: work.type,
      outcome,
      startedMs: lease.startedMs,
      finishedMs: clock.monotonicMs(),
      grantedMs: lease.grantedMs,
    });
    this.running -= 1;
    metrics.setSlots(slots, this.running);
    const next = this.slotQueue.shift();
    if (next?.work !== undefined) void this.run(next, next.work);
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
    const nowMs = this.deps.clock.monotonicMs();
    const { message } = new Interruption(code);
    this.settler.add({
      seq: lease.seq,
      leaseSeq: lease.leaseSeq,
      type: lease.work?.type ?? '',
      outcome: { kind: 'released', error: { code, message, retryable: true } },
      startedMs: null,
      finishedMs: nowMs,
      grantedMs: lease.grantedMs,
    });
  }

  private forget(seq: number, leaseSeq: number): void {
    if (this.held.get(seq)?.leaseSeq === leaseSeq) this.held.delete(seq);
  }
}
