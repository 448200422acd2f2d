import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { Waker } from '../base/waker.ts';
import { decideFires } from '../core/schedule.ts';
import type { Decision, FireTimes, Period, Timing } from '../core/schedule.ts';
import type {
  DueSchedule,
  Fired,
  Leadership,
  LogPort,
  ScheduleMetricsPort,
  SchedulePort,
} from './ports.ts';
import { orAborted, untilDone } from './until-done.ts';

/**
 * Fires schedules when their time has come. It sleeps until the next fire of all, which one statement
 * tells together with those that are due; so a cluster without schedules is asked once a minute. A
 * change that a user makes comes by the inbox and wakes it.
 *
 * Beside the loop of the leader, and on a connection of its own: a fire is a submit, and what it changes
 * comes to the loop by the inbox, like any other. Its time is the database's: what is due is asked there,
 * and the wait is counted from the answer.
 *
 * Failures: no error of a schedule ends the term, or keeps others from firing. Schedules are fired
 * several at once; where that fails, one by one, and one that fails by itself is put off for a while.
 * With the database gone all wait. A fire that was committed by a leader that died is not due any more;
 * one that was not is the next leader's.
 */
export interface ScheduleDeps {
  readonly schedules: SchedulePort;
  readonly fireTimes: (timing: Timing, period: Period) => FireTimes;
  readonly metrics: ScheduleMetricsPort;
}

export interface TimetableDeps extends ScheduleDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly leadership: Leadership;
  readonly isDeposedError: (error: Error) => boolean;
  readonly onDeposed: (reason: string) => void;
  /** Tasks were submitted: the inbox has something. */
  readonly onSubmitted: () => void;
}

interface Firing {
  readonly schedule: DueSchedule;
  readonly decision: Decision;
}

/** Schedules that are read at once. */
const PORTION = 50;
/** Fires of tasks in one transaction, of one schedule or of several; a workflow has its own. */
const FIRES_AT_ONCE = 100;
/** With no fire ahead it is looked this often, should the word of a change have been lost. */
const BACKSTOP_MS = 60_000;
/** Whether a run has ended for which a fire is held is asked this often. */
const HELD_MS = 1000;
/** Looking for fires that were missed takes time; after so much of it others have their turn. */
const BREATH_MS = 10;
const BACKOFF = { baseMs: 100, maxMs: 5000 };
const PUT_OFF = { baseMs: 2000, maxMs: 60_000 };

export class Timetable {
  private readonly deps: TimetableDeps;
  private readonly waker: Waker;
  private failures = 0;
  /** Those that cannot be fired, by their number: how often that failed, and until when they wait. */
  private readonly putOff = new Map<number, { failures: number; untilMs: number }>();

  constructor(deps: TimetableDeps) {
    this.deps = deps;
    this.waker = new Waker(deps.clock);
  }

  /** A schedule was changed. */
  look(): void {
    this.waker.wake();
  }

  async run(): Promise<void> {
    const { signal } = this.deps.leadership;
    await untilDone(signal, async () => {
      while (!signal.aborted) {
        const waitMs = await this.tryRound();
        if (waitMs > 0) await this.waker.wait(waitMs, signal);
      }
    });
  }

  /** Answers how long to wait for the next round. */
  private async tryRound(): Promise<number> {
    const { clock, rng, log, leadership } = this.deps;
    try {
      const waitMs = await this.round();
      this.failures = 0;
      return waitMs;
    } catch (thrown) {
      leadership.signal.throwIfAborted();
      this.failures += 1;
      const { failures } = this;
      log.warn('Schedules could not be fired; it is tried again.', {
        failures,
        error: this.depose(thrown),
      });
      await clock.sleep(fullJitterMs(BACKOFF, failures, rng), leadership.signal);
      return 0;
    }
  }

  private async round(): Promise<number> {
    const { clock, schedules } = this.deps;
    const due = await this.asked(schedules.due(PORTION, this.waiting()));
    const askedMs = clock.monotonicMs();
    for (const firings of await this.decide(due.schedules, due.nowMs)) await this.fire(firings);
    if (due.schedules.length > 0) return 0;
    const nextMs = due.nextMs === null ? Infinity : due.nextMs - due.nowMs;
    const heldMs = due.hasHeld ? HELD_MS : Infinity;
    const putOffMs = [...this.putOff.values()].map(({ untilMs }) => untilMs - askedMs);
    const waitMs = Math.min(nextMs, heldMs, BACKSTOP_MS, ...putOffMs);
    return Math.max(1, Math.ceil(waitMs - (clock.monotonicMs() - askedMs)));
  }

  /** In portions that one transaction takes. */
  private async decide(
    due: readonly DueSchedule[],
    nowMs: number,
  ): Promise<readonly (readonly Firing[])[]> {
    const { clock, leadership } = this.deps;
    const portions: Firing[][] = [];
    let open: Firing[] = [];
    let fires = 0;
    let breathMs = clock.monotonicMs();
    for (const schedule of due) {
      const isTask = schedule.kind === 'task';
      const decision = this.maybeDecide(schedule, nowMs, isTask ? FIRES_AT_ONCE : 1);
      if (decision === undefined) continue;
      const firing = { schedule, decision };
      if (!isTask) portions.push([firing]);
      else {
        if (fires + decision.fires.length > FIRES_AT_ONCE) [open, fires] = [[], 0];
        if (open.length === 0) portions.push(open);
        open.push(firing);
        fires += decision.fires.length;
      }
      if (clock.monotonicMs() - breathMs < BREATH_MS) continue;
      await clock.sleep(0, leadership.signal);
      breathMs = clock.monotonicMs();
    }
    return portions;
  }

  /** Undefined where this node does not know its times: one of another release may have stored it. */
  private maybeDecide(
    schedule: DueSchedule,
    nowMs: number,
    firesMax: number,
  ): Decision | undefined {
    try {
      const times = this.deps.fireTimes(schedule.timing, schedule.period);
      return decideFires(schedule, times, nowMs, firesMax);
    } catch (thrown) {
      this.delay(schedule, toError(thrown));
      return undefined;
    }
  }

  private async fire(firings: readonly Firing[]): Promise<void> {
    const { schedules, leadership } = this.deps;
    try {
      const fired = await this.asked(schedules.fireMany(leadership.term, firings));
      for (const [at, { schedule, decision }] of firings.entries()) {
        this.putOff.delete(schedule.scheduleSeq);
        this.report(schedule, decision, fired[at] as Fired);
      }
    } catch (thrown) {
      leadership.signal.throwIfAborted();
      const error = this.depose(thrown);
      if (!schedules.isTheirFault(error)) throw error;
      const [only] = firings;
      if (firings.length === 1 && only !== undefined) this.delay(only.schedule, error);
      else for (const firing of firings) await this.fire([firing]);
    }
  }

  private report({ id }: DueSchedule, decision: Decision, fired: Fired): void {
    const { log, metrics, onSubmitted } = this.deps;
    const { hasMoved, runs, tasks, problem } = fired;
    if (!hasMoved) return;
    const { skipped, missed } = decision;
    const refused = problem === null ? 0 : decision.fires.length;
    metrics.schedulesFired({ fired: runs, skipped, missed, refused });
    if (problem !== null) log.warn('A schedule could not be run.', { schedule: id, problem });
    if (missed > 0) log.info('Fires of a schedule were missed.', { schedule: id, missed });
    if (tasks === 0) return;
    metrics.tasksSubmitted(tasks);
    log.debug('A schedule has fired.', { schedule: id, runs, tasks, skipped });
    onSubmitted();
  }

  private delay(schedule: DueSchedule, error: Error): void {
    const { clock, rng, log } = this.deps;
    const failures = (this.putOff.get(schedule.scheduleSeq)?.failures ?? 0) + 1;
    const untilMs = clock.monotonicMs() + fullJitterMs(PUT_OFF, failures, rng);
    this.putOff.set(schedule.scheduleSeq, { failures, untilMs });
    log.warn('A schedule fails, and is put off.', { schedule: schedule.id, failures, error });
  }

  /** The schedules whose time to try again has not come. */
  private waiting(): readonly number[] {
    const nowMs = this.deps.clock.monotonicMs();
    return [...this.putOff].filter(([, { untilMs }]) => untilMs > nowMs).map(([seq]) => seq);
  }

  /** An error that says that the term is over ends it. */
  private depose(thrown: unknown): Error {
    const { isDeposedError, onDeposed } = this.deps;
    const error = toError(thrown);
    if (isDeposedError(error)) onDeposed(error.message);
    return error;
  }

  private asked<T>(answer: Promise<T>): Promise<T> {
    return orAborted(answer, this.deps.leadership.signal);
  }
}
