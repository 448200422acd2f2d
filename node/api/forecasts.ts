import type { Clock } from '../base/clock.ts';
import { remainingMakespanMs } from '../core/forecast.ts';
import type { ForecastTask } from '../core/forecast.ts';
import type { UnfinishedTask } from '../store/workflow-reader.ts';
import type { LeaderPort, WorkflowReaderPort } from './ports.ts';

/**
 * When workflows end. What is left of one is read from PostgreSQL, what its types take and how busy the
 * slots are is asked of the leader, and the rest is a schedule made here, on the node that was asked, so
 * that the leader has no more to do than answer. A forecast takes some milliseconds for a thousand tasks,
 * and pages ask all the time: one is good for ten times as long as it took.
 */
export interface ForecastDeps {
  readonly clock: Clock;
  readonly workflows: WorkflowReaderPort;
  readonly leader: LeaderPort;
}

export interface Forecast {
  readonly etaAt: Date | null;
  readonly remainingMs: number | null;
}

const UNKNOWN: Forecast = { etaAt: null, remainingMs: null };
/** Above that no schedule is made: it would keep the node from other work for too long. */
const TASKS_MAX = 10_000;
const GOOD_FOR = 10;
const GOOD_MS = { min: 100, max: 1000 };
/** Tasks this quick follow each other at a node without a pause. */
const QUICK_MS = 5;
const KEPT_MAX = 200;

export class Forecasts {
  readonly #deps: ForecastDeps;
  readonly #kept = new Map<string, { readonly forecast: Promise<Forecast>; untilMs: number }>();

  constructor(deps: ForecastDeps) {
    this.#deps = deps;
  }

  /** Of a workflow that is RUNNING; unknown without a leader, and while what a type takes is unknown. */
  of(id: string, signal: AbortSignal): Promise<Forecast> {
    const { clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const kept = this.#kept.get(id);
    if (kept !== undefined && startedMs < kept.untilMs) return kept.forecast;
    const entry = { forecast: this.#make(id, signal), untilMs: Number.POSITIVE_INFINITY };
    this.#kept.delete(id);
    this.#kept.set(id, entry);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    entry.forecast.then(
      () => {
        const nowMs = clock.monotonicMs();
        const goodMs = (nowMs - startedMs) * GOOD_FOR;
        entry.untilMs = nowMs + Math.min(GOOD_MS.max, Math.max(GOOD_MS.min, goodMs));
      },
      () => {
        if (this.#kept.get(id) === entry) this.#kept.delete(id);
      },
    );
    return entry.forecast;
  }

  async #make(id: string, signal: AbortSignal): Promise<Forecast> {
    const { workflows, leader } = this.#deps;
    const tasks = await workflows.unfinished(id, TASKS_MAX + 1);
    if (tasks.length === 0 || tasks.length > TASKS_MAX) return UNKNOWN;
    const typeIds = [...new Set(tasks.map(({ typeId }) => typeId))];
    const first = tasks.find(isReady(tasks)) ?? tasks[0];
    const asked = await leader.ask({ seq: first?.seq ?? 0, typeIds }, signal);
    if (asked === undefined || asked.slots === 0) return UNKNOWN;
    const means = new Map(typeIds.map((typeId, at) => [typeId, asked.typeMeansMs[at] ?? -1]));
    const planned = toForecastTasks(tasks, means, Math.max(0, asked.overheadMs));
    if (planned === null) return UNKNOWN;
    const ownRunning = planned.filter(({ leftMs }) => leftMs !== null).length;
    const remainingMs = remainingMakespanMs(planned, asked.slots, {
      busySlots: Math.max(0, asked.held - ownRunning),
      busyMs: asked.held === 0 ? 0 : asked.heldMs / asked.held,
      aheadMs: asked.aheadMs / asked.slots,
    });
    return { etaAt: new Date(asked.atMs + remainingMs), remainingMs };
  }
}

/** The first that waits for nothing of its workflow: what comes before it comes before them all. */
function isReady(tasks: readonly UnfinishedTask[]): (task: UnfinishedTask) => boolean {
  const unfinished = new Set(tasks.map(({ seq }) => seq));
  return ({ deps, runningMs }) => runningMs === null && !deps.some((seq) => unfinished.has(seq));
}

/** Null where nobody knows what one of them takes. */
function toForecastTasks(
  tasks: readonly UnfinishedTask[],
  means: ReadonlyMap<number, number>,
  overheadMs: number,
): readonly ForecastTask[] | null {
  const placeOf = new Map(tasks.map(({ seq }, place) => [seq, place]));
  const planned: ForecastTask[] = [];
  for (const { typeId, expectedMs, deps, runningMs, earlyMs } of tasks) {
    const runMs = expectedMs > 0 ? expectedMs : (means.get(typeId) ?? -1);
    if (runMs < 0) return null;
    const durationMs = runMs <= QUICK_MS ? runMs : runMs + overheadMs;
    planned.push({
      durationMs,
      // What is not here has ended, or belongs to another workflow.
      dependencies: deps.flatMap((seq) => placeOf.get(seq) ?? []),
      leftMs: runningMs === null ? null : Math.max(0, durationMs - runningMs),
      notBeforeMs: earlyMs,
    });
  }
  return planned;
}
