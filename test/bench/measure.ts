import { addHeartbeats, heartbeatsSince, NO_HEARTBEATS } from './heartbeats.ts';
import type { Heartbeats } from './heartbeats.ts';
import { Rig } from './rig.ts';
import type { Cost, RigOptions } from './rig.ts';

/** How the scenarios are run. */
export interface BenchOptions {
  /** The node as a built module. */
  readonly main: string;
  /** Tasks of one drain; everything else is sized by it. */
  readonly tasks: number;
  /** Those that count; one more before them does not. */
  readonly runs: number;
  /** A line of progress. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** One figure of one run. */
export interface Reading {
  readonly what: string;
  readonly unit: Unit;
  readonly value: number;
  /** With the tasks that it was for. */
  readonly cost?: Cost & { readonly tasks: number };
}

export type Unit = 'tasks/s' | 'ms' | 'times' | 'bytes' | 'statements/s' | '% of a core';

/** The same figure over all runs that count. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  readonly values: readonly number[];
  readonly costs: readonly NonNullable<Reading['cost']>[];
}

export interface Measured {
  readonly rows: readonly Row[];
  readonly heartbeats: Heartbeats;
}

export interface Scenario {
  readonly name: string;
  readonly what: string;
  readonly measure: (options: BenchOptions) => Promise<Measured>;
}

/** One run; `round` is 0 for the one that does not count. */
export type Run = (rig: Rig, round: number) => Promise<readonly Reading[]>;

export async function withRig<T>(
  rigOptions: RigOptions,
  use: (rig: Rig) => Promise<T>,
): Promise<T> {
  const rig = await Rig.start(rigOptions);
  try {
    return await use(rig);
  } finally {
    await rig.stop();
  }
}

/** All runs on a rig of their own. */
export async function onRig(
  options: BenchOptions,
  rigOptions: Omit<RigOptions, 'main'>,
  run: Run,
): Promise<Measured> {
  return withRig({ ...rigOptions, main: options.main }, (rig) => runsOn(rig, options, run));
}

/** A run that is not counted, then those that are. Throws where a leader was elected meanwhile. */
export async function runsOn(rig: Rig, options: BenchOptions, run: Run): Promise<Measured> {
  const { runs, say, signal } = options;
  await run(rig, 0);
  const [before, term] = [await rig.heartbeats(), await rig.term()];
  const readings: Reading[] = [];
  for (let round = 1; round <= runs; round++) {
    signal.throwIfAborted();
    const found = await run(rig, round);
    for (const { what, value, unit } of found) say(`  ${what}: ${inUnit(value, unit)}`);
    readings.push(...found);
  }
  const heartbeats = heartbeatsSince(before, await rig.heartbeats());
  refuseElections((await rig.term()) - term);
  return { rows: rowsOf(readings), heartbeats };
}

export function refuseElections(count: number): void {
  if (count !== 0) throw new Error(`no figure: ${String(count)} elections while it was measured`);
}

/** In the order in which the figures came first. */
export function rowsOf(readings: readonly Reading[]): readonly Row[] {
  const names = [...new Set(readings.map(({ what }) => what))];
  return names.map((what) => {
    const same = readings.filter((reading) => reading.what === what);
    return {
      what,
      unit: same[0]?.unit ?? 'times',
      values: same.map(({ value }) => value),
      costs: same.flatMap(({ cost }) => cost ?? []),
    };
  });
}

export function joined(all: readonly Measured[]): Measured {
  return {
    rows: all.flatMap(({ rows }) => rows),
    heartbeats: all.length === 0 ? NO_HEARTBEATS : addHeartbeats(all.map((one) => one.heartbeats)),
  };
}

/** `12,345`, for what is counted. */
export function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** `12,345 tasks/s`, `0.87 ms`. */
export function inUnit(value: number, unit: Unit): string {
  return unit === 'times' ? `${number(value)} ×` : `${number(value)} ${unit}`;
}

/** Three digits that count, and commas. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
