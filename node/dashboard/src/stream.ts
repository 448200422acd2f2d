/**
 * What ran on each node over the last minutes, put together from what the node tells: who runs now, and
 * who has ended. Each task lies in the lowest row of its node that was free when it began, so that
 * rows stand for slots.
 */
export interface Run {
  readonly id: string;
  readonly type: string;
  readonly node: string;
  readonly row: number;
  readonly fromMs: number;
  /** Null while it runs. */
  toMs: number | null;
  /** How it ended; null while it runs, or where that was not told. */
  status: string | null;
}

export interface Told {
  readonly id: string;
  readonly node: string | null;
  readonly type: string;
  readonly started_at: string | null;
  readonly finished_at?: string | null;
  readonly status?: string;
}

const KEPT_MS = 10 * 60_000;
const RUNS_MAX = 4000;

export class TaskStream {
  readonly #runs = new Map<string, Run[]>();
  readonly #open = new Map<string, Run>();
  /** Ends that are known, so that a task which is told twice is drawn once. */
  readonly #ended = new Set<string>();

  /** All that runs now: what is not among it any more has ended. */
  takeRunning(running: readonly Told[], nowMs: number): void {
    const seen = new Set<string>();
    for (const task of running) {
      if (task.node === null) continue;
      const key = keyOf(task);
      seen.add(key);
      if (!this.#open.has(key) && !this.#ended.has(key)) this.#begin(key, task, nowMs);
    }
    for (const [key, run] of this.#open) if (!seen.has(key)) this.#end(key, run, nowMs, null);
    this.#forget(nowMs);
  }

  /** Tasks that have ended, as the node knows it: also those too quick to be seen running. */
  takeEnded(ended: readonly Told[], nowMs: number): void {
    for (const task of ended) {
      if (task.node === null) continue;
      const key = keyOf(task);
      if (this.#ended.has(key)) continue;
      const run = this.#open.get(key) ?? this.#begin(key, task, nowMs);
      const toMs = task.finished_at == null ? nowMs : Date.parse(task.finished_at);
      this.#end(key, run, toMs, task.status ?? null);
    }
    this.#forget(nowMs);
  }

  runsOf(node: string): readonly Run[] {
    return this.#runs.get(node) ?? [];
  }

  /** All types that are drawn, the most frequent first. */
  types(): readonly string[] {
    const counts = new Map<string, number>();
    for (const runs of this.#runs.values()) {
      for (const { type } of runs) counts.set(type, (counts.get(type) ?? 0) + 1);
    }
    return [...counts].toSorted((a, b) => b[1] - a[1]).map(([type]) => type);
  }

  #begin(key: string, task: Told, nowMs: number): Run {
    const node = task.node ?? '';
    const runs = this.#runs.get(node) ?? [];
    this.#runs.set(node, runs);
    const fromMs = task.started_at === null ? nowMs : Date.parse(task.started_at);
    const { id, type } = task;
    const run: Run = {
      id,
      type,
      node,
      row: freeRow(runs, fromMs),
      fromMs,
      toMs: null,
      status: null,
    };
    runs.push(run);
    this.#open.set(key, run);
    return run;
  }

  #end(key: string, run: Run, toMs: number, status: string | null): void {
    run.toMs = Math.max(run.fromMs, toMs);
    run.status = status;
    this.#open.delete(key);
    this.#ended.add(key);
  }

  #forget(nowMs: number): void {
    for (const [node, runs] of this.#runs) {
      const kept = runs.filter(({ toMs }) => toMs === null || nowMs - toMs < KEPT_MS);
      this.#runs.set(node, kept.slice(-RUNS_MAX));
    }
    for (const key of this.#ended) {
      if (this.#ended.size <= 4 * RUNS_MAX) break;
      this.#ended.delete(key);
    }
  }
}

function keyOf({ id, started_at: startedAt }: Told): string {
  return `${startedAt ?? ''} ${id}`;
}

/** Looks back no further than what can still be running then. */
function freeRow(runs: readonly Run[], fromMs: number): number {
  const taken = new Set<number>();
  for (const { row, toMs } of runs) if (toMs === null || toMs > fromMs + 1) taken.add(row);
  for (let row = 0; ; row++) if (!taken.has(row)) return row;
}
