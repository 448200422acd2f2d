import type { Clock } from '../base/clock.ts';
import type { TaskStatus } from '../core/task.ts';
import { isClientFailure } from './ports.ts';
import type { ClientFailure, TextStream } from './ports.ts';
import { doneOf, leftMsOf, progressBar, progressLine } from './progress.ts';
import type { Progress } from './progress.ts';
import type { Paint } from './terminal.ts';

/**
 * Follows a task, a workflow or a batch until it has ended, by asking. A bar on a terminal, a line every
 * few seconds elsewhere, both on stderr: the outcome alone is data. How often it asks follows from how
 * long an answer takes, so that watching is at most a tenth of one connection's work. A cluster that
 * cannot be reached is asked again for a minute, because that is what a restart looks like.
 */
export interface Watched<Body> {
  readonly title: string;
  /** The answer itself waits for something to happen: it is asked for again at once. */
  readonly isLongPoll?: boolean;
  look(): Promise<Look<Body>>;
}

export interface Look<Body> {
  readonly counts: Readonly<Partial<Record<TaskStatus, number>>>;
  readonly total: number;
  readonly hasEnded: boolean;
  /** All of it ended as COMPLETED, or as the trigger rules asked. */
  readonly isSuccess: boolean;
  readonly body: Body;
}

export interface WatchDeps {
  readonly clock: Clock;
  readonly stream: TextStream;
  readonly paint: Paint;
  /** Nothing but the outcome. */
  readonly isQuiet: boolean;
}

const PAUSE = { leastMs: 100, mostMs: 2000, timesAnswer: 10 };
const PATIENCE_MS = 60_000;
const RETRY_MS = 500;
const LINE_EVERY_MS = 2000;
const COLUMNS = 80;

export async function watchUntilEnded<Body>(
  watched: Watched<Body>,
  deps: WatchDeps,
): Promise<Look<Body>> {
  const { clock } = deps;
  const screen = new Screen(deps);
  const startMs = clock.monotonicMs();
  let isFirst = true;
  let doneAtFirst = 0;
  for (;;) {
    const askedMs = clock.monotonicMs();
    const look = await (isFirst ? watched.look() : lookPatiently(watched, clock, screen));
    const nowMs = clock.monotonicMs();
    const done = doneOf(look);
    if (isFirst) doneAtFirst = done;
    isFirst = false;
    const elapsedMs = nowMs - startMs;
    const leftMs = leftMsOf({ done, doneAtFirst, total: look.total, elapsedMs });
    screen.show({ ...look, title: watched.title, elapsedMs, leftMs }, nowMs);
    if (look.hasEnded) {
      screen.end();
      return look;
    }
    if (watched.isLongPoll === true && isAnswerSlow(nowMs - askedMs)) continue;
    const pauseMs = (nowMs - askedMs) * PAUSE.timesAnswer;
    await clock.sleep(Math.min(PAUSE.mostMs, Math.max(PAUSE.leastMs, pauseMs)));
  }
}

/** A long poll that comes back at once did not wait, and must not be repeated without a pause. */
function isAnswerSlow(tookMs: number): boolean {
  return tookMs >= PAUSE.leastMs;
}

async function lookPatiently<Body>(
  watched: Watched<Body>,
  clock: Clock,
  screen: Screen,
): Promise<Look<Body>> {
  const endMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await watched.look();
    } catch (error) {
      if (!isClientFailure(error) || !error.isTransient) throw error;
      if (clock.monotonicMs() > endMs) throw error;
      screen.note(error);
      await clock.sleep(RETRY_MS);
    }
  }
}

/** The one line that is drawn over and over, or the lines of a log. */
class Screen {
  private readonly deps: WatchDeps;
  private shown = '';
  private shownAtMs = Number.NEGATIVE_INFINITY;
  private noted = '';

  constructor(deps: WatchDeps) {
    this.deps = deps;
  }

  show(progress: Progress, nowMs: number): void {
    const { stream, paint, isQuiet } = this.deps;
    if (isQuiet) return;
    this.noted = '';
    if (stream.isTTY === true) {
      const bar = progressBar(progress, stream.columns ?? COLUMNS, paint);
      stream.write(`\r\u001b[2K${bar}`);
      this.shown = bar;
      return;
    }
    const state = JSON.stringify(progress.counts);
    if (state === this.shown || nowMs - this.shownAtMs < LINE_EVERY_MS) return;
    this.shown = state;
    this.shownAtMs = nowMs;
    stream.write(`${progressLine(progress)}\n`);
  }

  /** The same fault is told once, until the cluster answers again. */
  note(error: ClientFailure): void {
    if (this.noted === error.message) return;
    this.end();
    this.noted = error.message;
    this.deps.stream.write(`${error.message}; trying again\n`);
  }

  /** Leaves the last state of the bar on the terminal, and the cursor beneath it. */
  end(): void {
    const { stream, isQuiet } = this.deps;
    if (!isQuiet && stream.isTTY === true && this.shown !== '') stream.write('\n');
    this.shown = '';
  }
}
