import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type {
  Aborts,
  Ask,
  FromLeader,
  FromNode,
  Grants,
  Hello,
  News,
  Prospected,
  Recall,
  Submitted,
} from '../core/messages.ts';
import type { Timings } from '../core/timings.ts';
import type { HeartbeatMetricsPort, Log } from './ports.ts';
import { Questions } from './questions.ts';
import { Teller, type ToldOutcome } from './teller.ts';

/**
 * A node's side of the one stream to the leader, and the keeper of the node's lease.
 *
 * It follows whoever the term row names: dials when a leader of a term not below the highest seen
 * appears, and drops the stream for a newer one. It refuses every frame of a lower term than it has
 * seen, so that a deposed leader cannot even hand out work. On each new stream it says, in this order:
 * who it is, what it has settled and nobody acknowledged, what it holds. The order matters: the leader
 * judges leases by the inventory, and must know of the settled ones first.
 *
 * The lease: one heartbeat a second renews it through the leader. Where no leader has answered for three
 * of them, the node renews it itself (a lease of a node needs no leader's authority). Time counts from
 * the *send* of the last renewal that was accepted; when `abortMs` have passed since, every task is
 * interrupted, because the leader may hand them to others after `leaseMs`. A node that reaches the leader
 * but whose worker has reached no database for `abortMs` says no heartbeat, so that this comes to pass:
 * its outcomes would wait for ever, and the leader would give it more. Where the database holds
 * this incarnation for dead, it is over: `onBuried`, and the node begins anew under another number.
 */
export interface LeaderContactDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: HeartbeatMetricsPort;
  readonly timings: Timings;
  readonly hello: Omit<Hello, 'termSeen'>;
  /** When the node asked to be registered: its first lease counts from there. */
  readonly registeredMs: number;
  dial(options: {
    readonly address: string;
    readonly hello: Hello;
    readonly connectTimeoutMs: number;
    readonly onMessage: (message: FromLeader) => void;
    readonly onClosed: (reason: string) => void;
  }): LeaderStream;
  /** Renews this node's lease in the database; false where it holds the node for dead. */
  renew(): Promise<boolean>;
  readonly worker: WorkerPort;
  setLinkHealthy(isHealthy: boolean): void;
  observeTerm(term: number): void;
  /** A leader said that these tasks ended. */
  readonly onEnded: (seqs: readonly number[], codes: readonly number[]) => void;
  readonly onNews: (news: News) => void;
  /** Somebody wants this node to take no more work, or to take it again. */
  readonly onDrain: (isOn: boolean) => void;
  /** A stream to a leader is up: what was subscribed before is to be subscribed anew. */
  readonly onTerm: () => void;
  onBuried(): void;
}

export interface LeaderStream {
  send(frame: FromNode): void;
  close(): void;
  readonly lastHeardMs: () => number;
}

export interface WorkerPort {
  readonly inventory: { readonly seqs: readonly number[]; readonly leaseSeqs: readonly number[] };
  accept(grants: Grants): void;
  abort(aborts: Aborts): void;
  recall(recall: Recall): void;
  interruptAll(code: 'lease_lost'): void;
  markStarted(): Promise<void>;
  /** Since when the database has answered nothing that the worker asked; undefined while it does. */
  readonly outageSinceMs: number | undefined;
}

interface Stream {
  readonly term: number;
  readonly address: string;
  readonly stream: LeaderStream;
  readonly sentAtMs: Map<number, number>;
  heartbeats: number;
  processed: number;
}

/** How often silence and the lease are looked at. */
const WATCH_MS = 100;
const CONNECT_TIMEOUT_MS = 1000;
/** Heartbeats whose answer would still be heeded; an older one could not renew the lease any more. */
const UNANSWERED_MAX = 60;
/** A stream that was silent for so many linkSilenceMs is given up, and the leader dialled anew. */
const DEAD_SILENCES = 4;
/** A leader that refused or could not be reached is dialled again after this. */
const REDIAL_MS = 50;
/** An outage of the database is tried against ten times a second, and said once in so long. */
const COMPLAIN_MS = 5000;

export class LeaderContact {
  private readonly deps: LeaderContactDeps;
  private readonly teller = new Teller();
  private readonly questions: Questions;
  private readonly stopping = new AbortController();
  private current: Stream | undefined;
  private termSeen = 0;
  private nextDialMs = 0;
  private lastRenewedMs: number;
  private lastBeatMs = -Infinity;
  private lastComplaintMs = -Infinity;
  private lastLedMs: number | undefined;
  private isRenewing = false;
  private isBuried = false;
  private isHealthy = false;
  private isDraining = false;
  private watching: Promise<void> = Promise.resolve();

  constructor(deps: LeaderContactDeps) {
    this.deps = deps;
    this.lastRenewedMs = deps.registeredMs;
    this.questions = new Questions(deps.clock);
  }

  start(): void {
    this.watching = this.keepWatch();
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('the node stops'));
    await this.watching;
    this.hangUp('the node stops');
  }

  /** Called for each reading of the term row. */
  follow(leader: { readonly term: number; readonly grpcAddress: string }): void {
    const { clock, log } = this.deps;
    if (this.stopping.signal.aborted || leader.term < this.termSeen) return;
    if (this.current?.term === leader.term && this.current.address === leader.grpcAddress) return;
    if (clock.monotonicMs() < this.nextDialMs) return;
    this.nextDialMs = clock.monotonicMs() + REDIAL_MS;
    this.hangUp('another leader was seen');
    const { grpcAddress: address, term } = leader;
    const stream = this.deps.dial({
      address,
      hello: { ...this.deps.hello, termSeen: this.termSeen },
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      onMessage: (message) => {
        if (this.current === opened) this.onMessage(opened, message);
      },
      onClosed: (reason) => {
        log.debug('The stream to the leader closed.', { term, address, reason });
        if (this.current !== opened) return;
        this.current = undefined;
        this.questions.lost();
        this.setHealthy(false);
      },
    });
    const opened: Stream = {
      term,
      address,
      stream,
      sentAtMs: new Map(),
      heartbeats: 0,
      processed: 0,
    };
    this.current = opened;
    const told = this.teller.tellAgain();
    if (told !== undefined) stream.send({ told });
    this.beat();
  }

  /** Outcomes that the database has accepted. */
  tell(outcomes: readonly ToldOutcome[]): void {
    const told = this.teller.tell(outcomes);
    this.current?.stream.send({ told });
  }

  /** The inbox has something; this task, where it is that alone. */
  look(submitted?: Submitted): void {
    this.current?.stream.send({ look: true, submitted });
  }

  /** What only the leader knows; undefined where there is none, or it does not answer in time. */
  ask(question: Omit<Ask, 'number'>, signal: AbortSignal): Promise<Prospected | undefined> {
    const send = (ask: Ask): boolean => {
      this.current?.stream.send({ ask });
      return this.current !== undefined;
    };
    return this.questions.ask(question, send, signal);
  }

  /** What else there is to say; unheard where no leader is. */
  say(hint: Pick<FromNode, 'watch' | 'unwatch' | 'follow' | 'nodesChanged'>): void {
    this.current?.stream.send(hint);
  }

  /** Whether the leader was heard lately. */
  get isLinked(): boolean {
    return this.isHealthy;
  }

  /** From now on every heartbeat says that this node takes no more work, or that it does. */
  drain(isOn = true): void {
    this.isDraining = isOn;
    this.beat();
  }

  /** Whether this node may run work: it could renew its lease lately, and is not held for dead. */
  get isLeaseSafe(): boolean {
    const sinceMs = this.deps.clock.monotonicMs() - this.lastRenewedMs;
    return !this.isBuried && sinceMs < this.deps.timings.abortMs;
  }

  /** Whether its last renewals got through; a database that is gone shows here in a few seconds. */
  get hasRenewedLately(): boolean {
    const sinceMs = this.deps.clock.monotonicMs() - this.lastRenewedMs;
    return !this.isBuried && sinceMs < 4 * this.deps.timings.renewMs;
  }

  /**
   * Milliseconds until the kill time of the node's lease, by when nothing of its tasks may run; 0 where
   * it is over.
   */
  get leaseLeftMs(): number {
    if (this.isBuried) return 0;
    const sinceMs = this.deps.clock.monotonicMs() - this.lastRenewedMs;
    return Math.max(0, this.deps.timings.killMs - sinceMs);
  }

  /** Since a leader was heard last; undefined where none was in this life. */
  get leaderlessMs(): number | undefined {
    const { lastLedMs } = this;
    return lastLedMs === undefined ? undefined : this.deps.clock.monotonicMs() - lastLedMs;
  }

  /** Whether everything settled has been acknowledged by a leader. */
  get isAllTold(): boolean {
    return this.teller.size === 0;
  }

  private onMessage(from: Stream, message: FromLeader): void {
    const { worker } = this.deps;
    if (message.term < this.termSeen) {
      this.hangUp('a leader of an earlier term spoke');
      return;
    }
    if (message.term > this.termSeen) {
      this.termSeen = message.term;
      this.deps.observeTerm(message.term);
    }
    // A frame that comes twice, or after a later one, has nothing to say: a lease that was settled
    // meanwhile would run again.
    if (message.number <= from.processed) return;
    if (from.processed === 0) this.deps.onTerm();
    this.setHealthy(true);
    this.lastLedMs = this.deps.clock.monotonicMs();
    if (message.grants !== undefined) worker.accept(message.grants);
    for (const aborts of message.aborts ?? []) worker.abort(aborts);
    if (message.recall !== undefined) worker.recall(message.recall);
    if (message.answer !== undefined) this.onAnswer(from, message.answer);
    if (message.toldThrough !== undefined && message.toldThrough > 0) {
      this.teller.acknowledge(message.toldThrough);
    }
    if (message.prospect !== undefined) this.questions.answered(message.prospect);
    const { ended } = message;
    if (ended !== undefined) this.deps.onEnded(ended.seqs, ended.codes);
    if (message.news !== undefined) this.deps.onNews(message.news);
    if (message.drain !== undefined) this.deps.onDrain(message.drain.isOn);
    from.processed = message.number;
    if (message.goodbye === true) this.hangUp('the leader left its office');
  }

  private onAnswer(from: Stream, answer: { number: number; renewed: boolean }): void {
    const sentAtMs = from.sentAtMs.get(answer.number);
    const { clock, metrics } = this.deps;
    for (const [number, atMs] of from.sentAtMs) {
      if (number > answer.number) continue;
      from.sentAtMs.delete(number);
      metrics.heartbeatAnswered('lease', (clock.monotonicMs() - atMs) / 1000);
    }
    if (!answer.renewed) this.bury();
    else if (sentAtMs !== undefined) this.renewedAt(sentAtMs);
  }

  private beat(): void {
    const { current, deps } = this;
    if (current === undefined || this.isWorkerCutOff) return;
    const told = this.teller.tellOverdue();
    if (told !== undefined) current.stream.send({ told });
    this.lastBeatMs = deps.clock.monotonicMs();
    current.heartbeats += 1;
    current.sentAtMs.set(current.heartbeats, this.lastBeatMs);
    current.sentAtMs.delete(current.heartbeats - UNANSWERED_MAX);
    current.stream.send({
      heartbeat: {
        number: current.heartbeats,
        processed: current.processed,
        draining: this.isDraining,
        ...deps.worker.inventory,
      },
    });
  }

  /** Then nothing is renewed before the lease is over and the leader has had time to bury this life. */
  private get isWorkerCutOff(): boolean {
    const { clock, timings, worker } = this.deps;
    const sinceMs = worker.outageSinceMs;
    return sinceMs !== undefined && clock.monotonicMs() - sinceMs >= timings.abortMs;
  }

  private async keepWatch(): Promise<void> {
    const { clock, timings, log, worker } = this.deps;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const nowMs = clock.monotonicMs();
      const heardMs = this.current?.stream.lastHeardMs();
      if (heardMs !== undefined) this.judgeSilence(nowMs - heardMs);
      const sinceRenewalMs = nowMs - this.lastRenewedMs;
      if (sinceRenewalMs >= timings.abortMs) worker.interruptAll('lease_lost');
      if (nowMs - this.lastBeatMs >= timings.renewMs) {
        this.beat();
        this.lastBeatMs = nowMs;
        worker.markStarted().catch((thrown: unknown) => {
          log.warn('Starts of tasks could not be written down.', { error: toError(thrown) });
        });
      }
      const aloneMs = this.isWorkerCutOff
        ? timings.leaseMs + 3 * timings.renewMs
        : 3 * timings.renewMs;
      if (sinceRenewalMs >= aloneMs) void this.renewAlone();
      await clock.sleep(WATCH_MS, signal).catch(() => undefined);
    }
  }

  /** A leader speaks every 0.4 of linkSilenceMs; the ping of HTTP/2 would take 7 s to end the stream. */
  private judgeSilence(silentMs: number): void {
    const { linkSilenceMs } = this.deps.timings;
    if (silentMs > linkSilenceMs) this.setHealthy(false);
    if (silentMs > DEAD_SILENCES * linkSilenceMs) this.hangUp('the leader fell silent');
  }

  /** Never rejects: a failure leaves the lease as it is, and the next round tries again. */
  private async renewAlone(): Promise<void> {
    if (this.isRenewing || this.isBuried) return;
    this.isRenewing = true;
    const sentAtMs = this.deps.clock.monotonicMs();
    try {
      if (await this.deps.renew()) this.renewedAt(sentAtMs);
      else this.bury();
    } catch (thrown) {
      const isNews = sentAtMs - this.lastComplaintMs >= COMPLAIN_MS;
      if (isNews) this.lastComplaintMs = sentAtMs;
      this.deps.log[isNews ? 'warn' : 'debug']('The lease of this node could not be renewed.', {
        error: toError(thrown),
        since_renewal_ms: Math.round(sentAtMs - this.lastRenewedMs),
      });
    } finally {
      this.isRenewing = false;
    }
  }

  private renewedAt(sentAtMs: number): void {
    this.lastRenewedMs = Math.max(this.lastRenewedMs, sentAtMs);
  }

  /** This life is over: nothing of it may run on, and nobody gives it anything. */
  bury(): void {
    if (this.isBuried || this.stopping.signal.aborted) return;
    this.isBuried = true;
    this.deps.worker.interruptAll('lease_lost');
    this.deps.onBuried();
  }

  private hangUp(reason: string): void {
    const { current } = this;
    if (current === undefined) return;
    this.deps.log.debug('Leaving the stream to a leader.', { term: current.term, reason });
    this.current = undefined;
    current.stream.close();
    this.questions.lost();
    this.setHealthy(false);
  }

  private setHealthy(isHealthy: boolean): void {
    if (this.isHealthy === isHealthy) return;
    this.isHealthy = isHealthy;
    this.deps.setLinkHealthy(isHealthy);
  }
}
