import { setMaxListeners } from 'node:events';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { toTerm } from '../base/ids.ts';
import type { Term } from '../base/ids.ts';
import { unreachable } from '../base/unreachable.ts';
import type {
  ElectionEffect,
  ElectionEventBody,
  LeaderView,
  Role,
  SessionEvent,
} from '../core/election-events.ts';
import { INITIAL, roleOf, step, trustedUntilMs } from '../core/election.ts';
import type { ElectionState } from '../core/election.ts';
import type { Timings } from '../core/timings.ts';
import type { HeartbeatMetricsPort, LockSession, Log, SelfIdentity } from './ports.ts';

/**
 * The elector of one node: it stands for election, and while it leads it proves again and again
 * that it may. What happens when is decided in core/election.ts; here are the clock, the one timer,
 * the session with PostgreSQL and the callbacks.
 *
 * When leadership ends, things happen in this order: the role changes and the term's signal aborts,
 * then the lock session's socket is destroyed, then `onLost` is called. So nobody who looks at the
 * role, the signal or `isTrusted()` sees a leader whose lock may be gone; and a callback that
 * throws, or calls back into the elector, finds it in its new state.
 *
 * Failures:
 *   * A callback that throws is logged and does not disturb the elector, save `onGained`: a leader
 *     whose work could not begin gives the office back, else nobody would schedule.
 *   * The event loop stalls: the timer that ends the trust window fires late, so `isTrusted()`
 *     looks at the clock itself, and finding the window over it ends the leadership on the spot.
 *
 * What it does not promise: that work begun under a term has ended when `onLost` is called. All
 * that a leader does hangs on the signal of its term, and its writes are fenced by the term row.
 */
export interface ElectorDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Log;
  readonly metrics: HeartbeatMetricsPort;
  readonly timings: Timings;
  readonly self: SelfIdentity;
  /** A session not yet opened; every call gives a new one. */
  openLockSession(): LockSession;
  /** `clock.monotonicMs()` of the scheduler's last progress; asked only while leading. */
  schedulerProgressMs(): number;
  /**
   * Called each time the term row is read and names a leader, this node too. Only the role says
   * whether this node leads: the row may name one that died, or lost the office, since it wrote it.
   */
  onLeaderSeen(view: LeaderView): void;
  onGained(leadership: Leadership): void;
  /** Called once for every `onGained`. */
  onLost(reason: string): void;
}

/** One term of office. Once it is over it never comes back; the next has a value of its own. */
export interface Leadership {
  readonly term: Term;
  /** Aborted at demotion, before anything else. */
  readonly signal: AbortSignal;
  /** Whether the lock is proven at this moment. Ask before each act of the leader. */
  isTrusted(): boolean;
}

/** A closed socket says so within a turn of the event loop; nobody waits longer than this. */
const CLOSE_MS = 1000;

export class Elector {
  readonly #deps: ElectorDeps;
  #state: ElectionState = INITIAL;
  #session: { readonly number: number; readonly connection: LockSession } | null = null;
  /** The office, from `onGained` until it is over. */
  #term: AbortController | null = null;
  /** Between the calls of `onGained` and `onLost`. */
  #isInOffice = false;
  #cancelTimer: (() => void) | null = null;
  #timerAtMs: number | null = null;
  /** Effects yet to be carried out, in order; a callback may add to them, never overtake them. */
  readonly #effects: ElectionEffect[] = [];
  #isPerforming = false;

  constructor(deps: ElectorDeps) {
    this.#deps = deps;
  }

  get role(): Role {
    return roleOf(this.#state);
  }

  /** Until when this node may act as the leader, on its own clock; null where it does not lead. */
  get leadsUntilMs(): number | null {
    return trustedUntilMs(this.#state);
  }

  /** The highest term seen: by this node's session, or told to `observeTerm`. */
  get termSeen(): Term {
    return this.#state.termSeen;
  }

  start(): void {
    this.#dispatch({ kind: 'started' });
  }

  /** Leaves the office and ends; resolves when the lock session is closed. May be called again. */
  async stop(): Promise<void> {
    const connection = this.#session?.connection;
    this.#dispatch({ kind: 'stopped' });
    await this.#closed(connection);
  }

  /**
   * Frees the lock at once, for a node that is about to drain. It goes on reading who leads, and
   * does not campaign until it was stopped and started again. Resolves when the lock session is
   * closed.
   */
  async resign(): Promise<void> {
    const connection = this.#session?.connection;
    this.#dispatch({ kind: 'resigned' });
    if (this.#state.phase.kind === 'parted') await this.#closed(connection);
  }

  /**
   * With a healthy stream from the leader this node tries the lock every followMs, without one
   * after draws from campaignMinMs to campaignMaxMs.
   */
  setLinkHealthy(healthy: boolean): void {
    this.#dispatch({ kind: 'link-changed', healthy });
  }

  /** Gives the office up because its work failed or a later term was met; campaigns again later. */
  depose(reason: string): void {
    this.#dispatch({ kind: 'duty-failed', reason });
  }

  /** Any term that a peer has shown; a higher one than ours ends our leadership at once. */
  observeTerm(term: number): void {
    this.#dispatch({ kind: 'term-seen', term: toTerm(term) });
  }

  /** The one door to the state: what the new one forbids has ended before anything else happens. */
  #dispatch(body: ElectionEventBody): void {
    const now = { atMs: this.#deps.clock.monotonicMs(), draw: this.#deps.rng.random() };
    const { state, effects } = step(this.#state, { ...now, ...body }, this.#deps.timings);
    this.#state = state;
    if (state.phase.kind !== 'leading') {
      this.#term?.abort(new Error('the leadership is over'));
      this.#term = null;
    }
    this.#effects.push(...effects);
    this.#setTimer();
    this.#performAll();
  }

  #performAll(): void {
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    try {
      for (let effect = this.#effects.shift(); effect; effect = this.#effects.shift()) {
        this.#perform(effect);
      }
    } finally {
      this.#isPerforming = false;
    }
  }

  #perform(effect: ElectionEffect): void {
    switch (effect.kind) {
      case 'open-session':
        this.#openSession(effect.session);
        return;
      case 'close-session':
        this.#closeSession(effect.reason);
        return;
      case 'try-lock':
        this.#ask(effect.session, async (session) => {
          const { taken, view } = await session.tryLock();
          return taken ? { kind: 'lock-taken' } : { kind: 'lock-missed', view };
        });
        return;
      case 'read-term':
        this.#ask(effect.session, async (session) => ({
          kind: 'term-read',
          view: await session.readTerm(),
        }));
        return;
      case 'bump-term':
        this.#ask(effect.session, async (session, sentAtMs) => ({
          kind: 'term-bumped',
          sentAtMs,
          view: await session.bumpTerm(effect.above, this.#deps.self),
        }));
        return;
      case 'send-heartbeat':
        this.#ask(effect.session, async (session, sentAtMs) => {
          const view = await session.readTerm();
          const { clock, metrics } = this.#deps;
          metrics.heartbeatAnswered('lock', (clock.monotonicMs() - sentAtMs) / 1000);
          return { kind: 'heartbeat-answered', sentAtMs, view };
        });
        return;
      case 'announce-gain':
        this.#announceGain(effect.term);
        return;
      case 'announce-loss':
        this.#announceLoss(effect.term, effect.reason);
        return;
      case 'report-leader':
        this.#guarded('onLeaderSeen', () => {
          this.#deps.onLeaderSeen(effect.view);
        });
        return;
      default:
        unreachable(effect);
    }
  }

  #openSession(number: number): void {
    let connection: LockSession;
    try {
      connection = this.#deps.openLockSession();
    } catch (error) {
      this.#onSessionFailed(number, error);
      return;
    }
    this.#session = { number, connection };
    // A session that ends while nothing is asked of it, as when its backend is ended.
    void connection.ended.then((reason) => {
      this.#onSessionFailed(number, reason);
    });
    this.#ask(number, async () => {
      await connection.open();
      return { kind: 'session-opened' };
    });
  }

  /** Asks the session and dispatches its answer, or that it failed. */
  #ask(number: number, ask: Ask): void {
    // A callback may have closed the session between the decision and this effect.
    if (this.#session?.number !== number) return;
    // Taken before the statement is sent, so that the trust window errs on the short side.
    const sentAtMs = this.#deps.clock.monotonicMs();
    ask(this.#session.connection, sentAtMs).then(
      (answer) => {
        this.#dispatch({ ...answer, session: number });
      },
      (error: unknown) => {
        this.#onSessionFailed(number, error);
      },
    );
  }

  #onSessionFailed(number: number, cause: unknown): void {
    this.#dispatch({ kind: 'session-failed', session: number, reason: toError(cause).message });
  }

  #closeSession(reason: string): void {
    this.#session?.connection.destroy();
    this.#session = null;
    // One line where it begins to fail, not one for each of a thousand attempts to open it again.
    const { failures, campaignsFromMs, phase } = this.#state;
    const isWanted = campaignsFromMs === Infinity || phase.kind === 'stopped';
    const level = failures === 1 && !isWanted ? 'warn' : 'debug';
    this.#deps.log[level]('The lock session is closed.', { reason, failures });
  }

  #announceGain(term: Term): void {
    if (this.role !== 'leader') return;
    const controller = new AbortController();
    // Every read under way listens for the end of the term: dozens are no leak.
    setMaxListeners(0, controller.signal);
    this.#term = controller;
    this.#isInOffice = true;
    this.#deps.log.info('Leadership was gained.', { term });
    const begun = this.#guarded('onGained', () => {
      this.#deps.onGained({
        term,
        signal: controller.signal,
        isTrusted: () => this.#isTrusted(controller.signal),
      });
    });
    if (!begun) this.#dispatch({ kind: 'duty-failed', reason: 'the work could not be begun' });
  }

  #announceLoss(term: Term, reason: string): void {
    if (!this.#isInOffice) return;
    this.#isInOffice = false;
    this.#deps.log.info('Leadership was lost.', { term, reason });
    this.#guarded('onLost', () => {
      this.#deps.onLost(reason);
    });
  }

  #isTrusted(signal: AbortSignal): boolean {
    // A signal that has not aborted belongs to the term that the state is in.
    if (signal.aborted) return false;
    const until = trustedUntilMs(this.#state);
    if (until !== null && this.#deps.clock.monotonicMs() < until) return true;
    this.#wake();
    return false;
  }

  #setTimer(): void {
    const wakeAtMs = this.#state.wakeAtMs;
    if (wakeAtMs === this.#timerAtMs) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAtMs = wakeAtMs;
    if (wakeAtMs === null) return;
    const waitMs = Math.max(0, wakeAtMs - this.#deps.clock.monotonicMs());
    this.#cancelTimer = this.#deps.clock.after(waitMs, () => {
      this.#cancelTimer = null;
      this.#timerAtMs = null;
      this.#wake();
    });
  }

  #wake(): void {
    let progressAtMs: number | null = null;
    if (this.role === 'leader') {
      this.#guarded('schedulerProgressMs', () => {
        progressAtMs = this.#deps.schedulerProgressMs();
      });
    }
    this.#dispatch({ kind: 'woke', progressAtMs });
  }

  /** Calls what is not ours; false where it threw. */
  #guarded(callback: string, call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.#deps.log.error('an elector callback failed', { callback, error: toError(error) });
      return false;
    }
  }

  async #closed(connection: LockSession | undefined): Promise<void> {
    if (connection === undefined) return;
    const given = new AbortController();
    const late = this.#deps.clock.sleep(CLOSE_MS, given.signal).catch(() => undefined);
    await Promise.race([connection.ended, late]);
    given.abort();
  }
}

/** What a session answered, still without its number. */
type Answer = SessionEvent extends infer E
  ? E extends unknown
    ? Omit<E, 'session'>
    : never
  : never;
type Ask = (connection: LockSession, sentAtMs: number) => Promise<Answer>;
