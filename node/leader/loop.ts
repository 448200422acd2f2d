import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { Scheduler } from '../core/scheduler.ts';
import { IDLE_MS, type Timings } from '../core/timings.ts';
import { DatabaseClock } from './database-clock.ts';
import { Herald } from './herald.ts';
import { Inbox } from './inbox.ts';
import { Mailbox } from './mailbox.ts';
import { Performer } from './perform.ts';
import type {
  LeaderMetricsPort,
  Leadership,
  LinkHandlers,
  LinkToNode,
  LogPort,
  ProcessesPort,
  ReaderPort,
  RenewerPort,
  WriterPort,
} from './ports.ts';
import { Reaper } from './reaper.ts';
import { Roster } from './roster.ts';
import { takeOver } from './takeover.ts';
import { Retention, type RetentionDeps } from './retention.ts';
import { Timetable, type ScheduleDeps } from './timetable.ts';
import { Unanswered, untilDone } from './until-done.ts';

/**
 * One term of office: what the leader does, from the moment the term is its own until the signal of
 * the term aborts. Start here.
 *
 *   what happened ─▶ mailbox ─▶ scheduler.step ─▶ perform ─▶ what came of it ─▶ mailbox …
 *   (streams, inbox, database, time)   (pure)      (durable, sent, told, read)
 *
 * The loop is serial: one step, then its effects, then the next step. Writes are awaited in it, because
 * nothing may be sent before it is durable; reads run beside it and post what they found. Batches make
 * it fast: whatever arrives while a commit is under way is the next step's batch.
 *
 * Beside the loop run: the takeover (reading the live set, the first act of a term), the inbox (what
 * the API has submitted, edited, cancelled), the timetable (schedules that fire), the removal of what
 * is old, the reaper (renewals, and the leases of the dead), the beat (a word on each stream, so that
 * a silent leader is noticed).
 *
 * Failures: a write that fails is tried again, which its guards make safe; while that lasts the loop
 * makes no progress, `progressMs` stands still, and the elector lets the office go. What is asked beside
 * the loop and not answered for six times as long (a page of a takeover, the renewal of the nodes) ends
 * the term too: another node may have a better way to the database, and a leader that beats but cannot
 * read would keep the office for ever. A write whose fence counts 0 ends the term at once. What the
 * leader forgets with its memory is in PostgreSQL, and the next leader reads it there.
 *
 * What it does not promise: that it is the only one who believes to lead. The fence in each statement
 * sees to it that only one can write.
 */
export interface LeaderDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly metrics: LeaderMetricsPort;
  readonly timings: Timings;
  readonly reader: ReaderPort;
  /** Writes under the fence of this very term. */
  readonly writer: WriterPort;
  readonly renewer: RenewerPort;
  readonly processes: ProcessesPort;
  /** Absent where nothing is scheduled. */
  readonly schedules?: ScheduleDeps | undefined;
  /** Absent where nothing is ever removed. */
  readonly retention?: RetentionDeps | undefined;
  readonly isDeposedError: (error: Error) => boolean;
  /** A later term exists: the office is over. */
  readonly onDeposed: (reason: string) => void;
  /** Rows of the live set that are read at once, where it is not for the jobs to say. */
  readonly pageRows?: number;
}

const HOUSEKEEPING_MS = 1000;
/**
 * A leader that no node reaches, itself included, for so many renewals leaves the office: its lock and
 * its database are well, and nothing would ever run.
 */
const UNREACHED_RENEWALS = 5;
/** Of `progressMs`: above the deadline of a read, so that one lost answer does not cost the office. */
const UNANSWERED_SHARE = 6;

export class LeaderLoop {
  private readonly deps: LeaderDeps;
  private readonly leadership: Leadership;
  private readonly scheduler = new Scheduler();
  private readonly mailbox: Mailbox;
  private readonly unanswered: Unanswered;
  private readonly databaseClock: DatabaseClock;
  private readonly roster: Roster;
  private readonly herald: Herald;
  private readonly performer: Performer;
  private readonly inbox: Inbox;
  private readonly timetable: Timetable | undefined;
  private readonly retention: Retention | undefined;
  private readonly reaper: Reaper;
  private lastProgressMs: number;

  constructor(deps: LeaderDeps, leadership: Leadership) {
    this.deps = deps;
    this.leadership = leadership;
    this.lastProgressMs = deps.clock.monotonicMs();
    this.mailbox = new Mailbox(deps.clock);
    this.databaseClock = new DatabaseClock(deps.clock);
    this.unanswered = new Unanswered(deps.clock);
    const shared = { ...deps, leadership, mailbox: this.mailbox, unanswered: this.unanswered };
    this.inbox = new Inbox({
      ...shared,
      isCaughtUp: () => this.scheduler.isCaughtUp,
      onSchedules: () => this.timetable?.look(),
    });
    const { schedules, retention } = deps;
    this.retention =
      retention === undefined ? undefined : new Retention({ ...deps, ...retention, leadership });
    const onSubmitted = (): void => {
      this.inbox.look();
    };
    this.timetable =
      schedules === undefined ? undefined : new Timetable({ ...shared, ...schedules, onSubmitted });
    const { scheduler } = this;
    this.herald = new Herald({
      clock: deps.clock,
      send: (nodeId, news) => {
        this.roster.tellNews(nodeId, news);
      },
      standing: () => scheduler.standing,
      takeReadyMs: () => scheduler.takeReadyMs(),
      onIdle: (isIdle) => {
        scheduler.sampleReadiness(!isIdle);
      },
    });
    this.roster = new Roster({
      ...shared,
      onLook: () => {
        this.inbox.look();
      },
      onUnlinked: () => {
        this.reaper.look();
      },
      onNodesChanged: () => {
        this.reaper.look();
      },
      onFollow: (nodeId, follow) => {
        if (follow === null) this.herald.leave(nodeId);
        else this.herald.follow(nodeId, follow);
      },
      prospect: ({ number, seq, typeIds }) => ({
        ...this.scheduler.prospect(seq),
        number,
        atMs: this.databaseClock.nowMs(),
        typeMeansMs: this.scheduler.meansOf(typeIds),
      }),
    });
    this.performer = new Performer({ ...shared, roster: this.roster });
    this.reaper = new Reaper({
      ...shared,
      roster: this.roster,
      databaseClock: this.databaseClock,
      holders: () => this.scheduler.holders,
    });
  }

  /** When the loop last began a round; the elector withholds its heartbeat when this grows old. */
  get progressMs(): number {
    return this.lastProgressMs;
  }

  /** A node has said hello. */
  accept(link: LinkToNode): LinkHandlers | { readonly refused: string } {
    if (link.hello.termSeen > this.leadership.term) {
      this.deps.onDeposed('a node has seen a later term');
      return { refused: 'not the leader' };
    }
    return this.roster.accept(link);
  }

  /** Runs until the term ends; rejects on a bug only, which ends the term. */
  async run(): Promise<void> {
    const { signal, term } = this.leadership;
    const { log } = this.deps;
    const beside = Promise.all([
      takeOver({
        ...this.deps,
        unanswered: this.unanswered,
        leadership: this.leadership,
        mailbox: this.mailbox,
        databaseClock: this.databaseClock,
      }).then(() => this.inbox.run()),
      this.timetable?.run(),
      this.retention?.run(),
      this.reaper.run(),
      this.keepHouse(),
    ]).catch((thrown: unknown) => {
      if (!signal.aborted) this.deps.onDeposed(`a job beside the loop failed: ${String(thrown)}`);
    });
    try {
      while (!signal.aborted) await this.runOnce();
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
      log.debug('The last round of a term was cut short.', { term, error: toError(thrown) });
    } finally {
      this.mailbox.close(new Error('the term is over'));
      this.herald.stop();
      this.roster.closeAll();
      this.deps.metrics.clearLeaderGauges();
    }
    await beside;
  }

  private async runOnce(): Promise<void> {
    const { mailbox, scheduler, databaseClock } = this;
    const waitMs = Math.min(IDLE_MS, Math.max(0, scheduler.nextDueMs - databaseClock.nowMs()));
    await mailbox.wait(waitMs, this.leadership.signal);
    this.lastProgressMs = this.deps.clock.monotonicMs();
    if (this.leadership.signal.aborted) return;
    const { events, done } = mailbox.take();
    const effects = scheduler.step(databaseClock.nowMs(), events);
    await this.performer.perform(effects);
    if (!this.herald.isIdle) this.herald.note(events, effects);
    this.roster.sentThrough = scheduler.steps;
    done();
  }

  /** A word on each stream, the gauges, and whether anybody hears and answers. */
  private async keepHouse(): Promise<void> {
    const { clock, timings, metrics, onDeposed } = this.deps;
    const { signal } = this.leadership;
    let gaugesMs = -Infinity;
    let reachedMs = clock.monotonicMs();
    await untilDone(signal, async () => {
      while (!signal.aborted) {
        this.roster.beat();
        if (!this.roster.isEmpty) reachedMs = clock.monotonicMs();
        else if (clock.monotonicMs() - reachedMs > UNREACHED_RENEWALS * timings.renewMs) {
          onDeposed('no node reaches this leader');
        }
        const stuck = this.unanswered.olderThan(UNANSWERED_SHARE * timings.progressMs);
        if (stuck !== undefined) onDeposed(`the database does not answer: ${stuck}`);
        if (clock.monotonicMs() - gaugesMs >= HOUSEKEEPING_MS) {
          gaugesMs = clock.monotonicMs();
          const { tasks, ready, leased, oldestReadyMs } = this.scheduler.counts;
          metrics.leaderGauges({
            queued: tasks - leased,
            running: leased,
            ended: undefined,
            ready,
            oldestReadySeconds: oldestReadyMs / 1000,
            leases: leased,
            nodes: this.roster.counts,
          });
        }
        await clock.sleep(timings.linkSilenceMs * 0.4, signal);
      }
    });
  }
}
