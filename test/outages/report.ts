import { loadavg } from 'node:os';
import { figuresOf } from '../chaos/failover.ts';
import type { Figures } from '../chaos/failover.ts';

/** What one part has shown. */
export interface PartReport {
  readonly what: string;
  /** Milliseconds, by name; the first is what the bound is for. */
  readonly figures: Readonly<Record<string, Figures>>;
  /** Counts and what else is worth a line. */
  readonly facts: Readonly<Record<string, number | string>>;
  /** Each a sentence: a promise that was broken. */
  readonly faults: readonly string[];
  /** And a bound of time that was missed. */
  readonly misses: readonly string[];
  /** Of the machine over the last minute, at the end. */
  readonly load: number;
}

export interface Bound {
  readonly p50?: number;
  readonly max?: number;
}

export function partReport(
  what: string,
  values: Readonly<Record<string, readonly number[]>>,
  facts: PartReport['facts'],
  faults: readonly string[],
  bound: Bound = {},
): PartReport {
  const figures = Object.fromEntries(
    Object.entries(values).map(([name, ms]) => [name, figuresOf(ms)]),
  );
  const [first] = Object.entries(figures);
  const missed = first === undefined ? [] : missesOf(first[0], first[1], bound);
  const load = Math.round((loadavg()[0] ?? 0) * 10) / 10;
  return { what, figures, facts, faults, misses: missed, load };
}

function missesOf(name: string, figures: Figures, bound: Bound): readonly string[] {
  return (['p50', 'max'] as const).flatMap((key) => {
    const [limit, value] = [bound[key], figures[key]];
    if (limit === undefined || (value !== null && value < limit)) return [];
    return [`${name}: ${key} ${String(value)} ms is not below ${String(limit)} ms`];
  });
}

/** A table of Markdown, then what else there is to say. */
export function textOf(reports: readonly PartReport[]): string {
  const ms = (value: number | null): string => (value === null ? '–' : String(value));
  const rows = reports.flatMap(({ what, figures, load }) =>
    Object.entries(figures).map(
      ([name, { count, p50, p99, max }]) =>
        `| ${what}: ${name} | ${String(count)} | ${ms(p50)} | ${ms(p99)} | ${ms(max)} | ${String(load)} |`,
    ),
  );
  const lines = reports.flatMap(({ what, facts, faults, misses }) => [
    `${what}: ${Object.entries(facts)
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(', ')}`,
    ...faults.map((fault) => `${what}: BROKEN: ${fault}`),
    ...misses.map((miss) => `${what}: MISSED: ${miss}`),
  ]);
  return [
    '| what, milliseconds | count | p50 | p99 | max | load of the machine |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    ...lines,
  ].join('\n');
}
