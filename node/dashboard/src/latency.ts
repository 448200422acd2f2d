import { useEffect, useState } from 'preact/hooks';
import { page } from './api.ts';
import type { TaskRow } from './bodies.ts';
import { timeOf } from './format.ts';

/**
 * How long tasks wait and run, over time. Medians of the newest tasks that completed: a look at a hundred
 * of them every few seconds, while the page is seen.
 */
export interface Latency {
  readonly times: readonly number[];
  /** Medians in milliseconds; null where nothing had ended. */
  readonly waits: readonly (number | null)[];
  readonly runs: readonly (number | null)[];
  readonly waitName: string;
  readonly unit: string;
}

type Sample = readonly [number, number | null, number | null];
const LOOK_MS = 3000;
const SAMPLES_MAX = 200;
const PATH = '/tasks?status=COMPLETED&limit=100';

export function useLatency(): Latency {
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  useEffect(() => {
    let timer: number | undefined;
    const state = { isGone: false };
    const look = async (): Promise<void> => {
      if (document.visibilityState === 'visible') {
        // The line's own mark says when the node is away; the next look asks again.
        const found = await page(PATH).catch(() => null);
        if (found !== null && !state.isGone) {
          const sample = sampleOf(found.items as readonly TaskRow[], Date.now());
          setSamples((before) => [...before, sample].slice(-SAMPLES_MAX));
        }
      }
      if (!state.isGone) timer = window.setTimeout(() => void look(), LOOK_MS);
    };
    void look();
    return () => {
      state.isGone = true;
      clearTimeout(timer);
    };
  }, []);
  return {
    times: samples.map(([ms]) => ms / 1000),
    waits: samples.map(([, wait]) => wait),
    runs: samples.map(([, , run]) => run),
    waitName: 'submit to start',
    unit: 'from submit to start, median',
  };
}

export function sampleOf(tasks: readonly TaskRow[], atMs: number): Sample {
  const waits: number[] = [];
  const runs: number[] = [];
  for (const { created_at, started_at, finished_at } of tasks) {
    const [created, started, finished] = [created_at, started_at, finished_at].map(timeOf);
    if (created == null || started == null || finished == null) continue;
    waits.push(Math.max(0, started - created));
    runs.push(Math.max(0, finished - started));
  }
  return [atMs, median(waits), median(runs)];
}

function median(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
}
