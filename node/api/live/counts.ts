import type { News } from '../../core/messages.ts';
import type { TaskStatus } from '../../core/task.ts';

/**
 * How many tasks there are in each status, between two counts of PostgreSQL. The leader knows what is
 * unfinished, and how many have ended since it counts; what had ended before is PostgreSQL's to say:
 *
 *   ended = counted by PostgreSQL once + (ended by the leader's count now - by its count then)
 *
 * "Then" is known exactly in a quiet moment only, because news is late by a fraction of a second: so a
 * count of PostgreSQL replaces the one before only where nothing has changed shortly before it. While the
 * cluster is busy the sum may be off by what ends in a moment, but it never jumps, so that rates are right.
 * Without a leader, and while one still reads its graph, PostgreSQL's counts are all there is.
 */
export type Counts = Readonly<Record<TaskStatus, number>>;

/** Before a count, for it to be taken as one of a quiet moment: more than news is ever late. */
const QUIET_MS = 500;
const SAMPLES_MAX = 500;
const SAMPLES_MS = 5000;
const ENDED = ['COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'] as const;

export class LiveCounts {
  #counted: Counts | null = null;
  #base: { readonly counts: Counts; readonly ended: readonly number[] } | null = null;
  #news: News | null = null;
  #changedMs = Number.NEGATIVE_INFINITY;
  #readyMs: Sample[] = [];
  #runMs: Sample[] = [];

  /** The latest, as far as they are known. */
  get now(): Counts | null {
    const [base, news] = [this.#base, this.#news];
    if (base === null || news?.isWhole !== true) return this.#counted;
    const ended = (at: number): number =>
      base.counts[ENDED[at] ?? 'COMPLETED'] + (news.ended[at] ?? 0) - (base.ended[at] ?? 0);
    return {
      ...{ QUEUED: news.queued, RUNNING: news.held.reduce((sum, each) => sum + each, 0) },
      ...{ COMPLETED: ended(0), FAILED: ended(1), CANCELLED: ended(2), SKIPPED: ended(3) },
    };
  }

  /** What PostgreSQL counted at a time of the monotonic clock. */
  counted(counts: Counts, countedMs: number): void {
    this.#counted = counts;
    if (this.#news?.isWhole !== true) this.#base = null;
    else if (this.#base === null || this.#changedMs < countedMs - QUIET_MS) {
      this.#base = { counts, ended: this.#news.ended };
    }
  }

  heard(news: News, nowMs: number): void {
    this.#news = news;
    this.#changedMs = nowMs;
    this.#readyMs = [...this.#readyMs, ...sampled(news.readyMs, nowMs)].slice(-SAMPLES_MAX);
    this.#runMs = [...this.#runMs, ...sampled(news.runMs, nowMs)].slice(-SAMPLES_MAX);
  }

  /** The leader that counted is no more. */
  forget(): void {
    this.#news = null;
    this.#base = null;
  }

  /** Half of the tasks, and 95 of 100, of the last seconds: ready for, and run for; null for unknown. */
  quantilesMs(nowMs: number): readonly (number | null)[] {
    const [ready, run] = [this.#readyMs, this.#runMs].map((samples) =>
      samples
        .filter(({ atMs }) => nowMs - atMs <= SAMPLES_MS)
        .map(({ ms }) => ms)
        .sort((a, b) => a - b),
    );
    return [...quantiles(ready ?? []), ...quantiles(run ?? [])];
  }
}

interface Sample {
  readonly ms: number;
  readonly atMs: number;
}

function sampled(values: readonly number[], atMs: number): readonly Sample[] {
  return values.map((ms) => ({ ms, atMs }));
}

function quantiles(sorted: readonly number[]): readonly (number | null)[] {
  return [0.5, 0.95].map((share) => {
    const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return ms === undefined ? null : Math.round(ms * 100) / 100;
  });
}
