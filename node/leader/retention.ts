import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { pauseAfterMs, tasksOver, type RetentionPolicy } from '../core/retention.ts';
import type {
  Cutoff,
  HistoryMetricsPort,
  HistoryPort,
  Leadership,
  LogPort,
  Walked,
} from './ports.ts';
import { orAborted, untilDone } from './until-done.ts';

/**
 * Removes what is too old, or too much, while the cluster works on: one small portion after the other on
 * a connection of its own, each followed by a pause of nine times as long as it took. So it has a tenth of
 * one session at most, and less where the database is busy.
 *
 * It begins some time after the term, and every ten minutes again, and walks from the oldest task on
 * until it comes to those that are too young. What it must leave, because something refers to it, it
 * finds again the next time.
 *
 * Failures: none of them ends the term; the walk is given up and begun anew the next time. A fence that
 * counts 0 ends the term, as everywhere.
 */
export interface RetentionDeps {
  readonly history: HistoryPort;
  readonly policy: RetentionPolicy;
  readonly metrics: HistoryMetricsPort;
}

export interface RetentionJobDeps extends RetentionDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly leadership: Leadership;
  readonly isDeposedError: (error: Error) => boolean;
  readonly onDeposed: (reason: string) => void;
}

/** A new leader has better things to do. */
const FIRST_MS = 10_000;
const EVERY_MS = 10 * 60_000;
/** What has ended just now is kept, however much there is: somebody may be waiting for it. */
const YOUNGEST_MS = 60_000;

export class Retention {
  private readonly deps: RetentionJobDeps;

  constructor(deps: RetentionJobDeps) {
    this.deps = deps;
  }

  async run(): Promise<void> {
    const { clock, policy, leadership } = this.deps;
    const { signal } = leadership;
    if (policy.ageMs === 0 && policy.bytesMax === 0) return;
    await untilDone(signal, async () => {
      await clock.sleep(FIRST_MS, signal);
      while (!signal.aborted) {
        await this.trySweep();
        await clock.sleep(EVERY_MS, signal);
      }
    });
  }

  private async trySweep(): Promise<void> {
    const { log, leadership, isDeposedError, onDeposed } = this.deps;
    try {
      await this.sweep();
    } catch (thrown) {
      leadership.signal.throwIfAborted();
      const error = toError(thrown);
      if (isDeposedError(error)) onDeposed(error.message);
      log.warn('History could not be removed; it is tried again later.', { error });
    }
  }

  private async sweep(): Promise<void> {
    const { history, policy, leadership, log, metrics } = this.deps;
    const { ageMs, bytesMax } = policy;
    if (ageMs > 0) {
      const { term } = leadership;
      const events = await this.portion(() => history.removeEvents(term, { ageMs }));
      metrics.historyRemoved('event', events);
      const tasks = await this.walk({ ageMs, lastSeq: Number.MAX_SAFE_INTEGER });
      if (tasks > 0) log.info('Tasks that ended long ago were removed.', { tasks });
    }
    if (bytesMax > 0) {
      const { tasks: stored, others } = await this.portion(() => history.sizes());
      const over = tasksOver(stored, others, bytesMax);
      if (over === 0) return;
      const lastSeq = await this.portion(() => history.oldest(over));
      const tasks = await this.walk({ ageMs: YOUNGEST_MS, lastSeq });
      log.info('History above its limit was removed.', { tasks, over });
    }
  }

  /** Workflows first, whose tasks may go after that; answers how many tasks were removed. */
  private async walk(cutoff: Cutoff): Promise<number> {
    const { history, leadership } = this.deps;
    const { term } = leadership;
    await this.each('workflow', (after) => history.removeWorkflows(term, cutoff, after));
    return this.each('task', (after) => history.removeTasks(term, cutoff, after));
  }

  private async each(
    what: 'task' | 'workflow',
    remove: (after: number) => Promise<Walked>,
  ): Promise<number> {
    let removed = 0;
    for (let after = 0; ;) {
      const from = after;
      const walked = await this.portion(() => remove(from));
      this.deps.metrics.historyRemoved(what, walked.removed);
      removed += walked.removed;
      if (walked.last === undefined) return removed;
      after = walked.last;
    }
  }

  private async portion<T>(run: () => Promise<T>): Promise<T> {
    const { clock, leadership } = this.deps;
    const begunMs = clock.monotonicMs();
    const answer = await orAborted(run(), leadership.signal);
    await clock.sleep(pauseAfterMs(clock.monotonicMs() - begunMs), leadership.signal);
    return answer;
  }
}
