import { figuresOf } from './failover.ts';
import type { Failover, Figures } from './failover.ts';
import type { LoadCounts } from './load.ts';
import type { Violation, ViolationKind } from './violation.ts';
import { VIOLATION_KINDS } from './violation.ts';

/** What a run has shown. */
export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly nodes: number;
  readonly lease_ms: number;
  /** Whether a node had a network of its own, or why not. */
  readonly link: string;
  readonly faults: Readonly<Record<string, number>>;
  readonly faults_skipped: Readonly<Record<string, number>>;
  readonly load: LoadCounts;
  readonly tasks: {
    readonly stored: number;
    readonly by_status: Readonly<Record<string, number>>;
    readonly leases: number;
    readonly lost_leases: number;
    readonly runs_in_child: number;
    readonly terms: number;
  };
  readonly violations: Readonly<Record<ViolationKind, number>>;
  /** The first of each kind. */
  readonly examples: readonly Violation[];
  /** What no client and no operator should see. */
  readonly oddities: readonly string[];
  readonly failover_ms: Figures;
  readonly failover_ms_by_kind: Readonly<Record<string, Figures>>;
  /** From the end of the faults until all had ended. */
  readonly healed_in_ms: number;
  readonly is_sound: boolean;
  /** Where everything was kept; null where nothing was. */
  readonly kept: string | null;
}

const EXAMPLES_PER_KIND = 5;

export function countViolations(
  violations: readonly Violation[],
): Readonly<Record<ViolationKind, number>> {
  const counts = VIOLATION_KINDS.map(
    (kind) => [kind, violations.filter((violation) => violation.kind === kind).length] as const,
  );
  return Object.fromEntries(counts) as Record<ViolationKind, number>;
}

export function examplesOf(violations: readonly Violation[]): readonly Violation[] {
  return VIOLATION_KINDS.flatMap((kind) =>
    violations.filter((violation) => violation.kind === kind).slice(0, EXAMPLES_PER_KIND),
  );
}

export function figuresByKind(failovers: readonly Failover[]): Readonly<Record<string, Figures>> {
  const kinds = [...new Set(failovers.map(({ kind }) => kind))].toSorted();
  const of = (wanted: string): Figures =>
    figuresOf(failovers.filter(({ kind }) => kind === wanted).map(({ ms }) => ms));
  return Object.fromEntries(kinds.map((kind) => [kind, of(kind)]));
}

const PAD = 28;

/** For people; one fact a line. */
export function textOf(report: Report): string {
  const { load, tasks, violations } = report;
  const line = (name: string, value: string | number): string =>
    `${name.padEnd(PAD)}${String(value)}`;
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .map(([name, count]) => `${name} ${String(count)}`)
      .join(', ');
  const total = Object.values(report.faults).reduce((sum, count) => sum + count, 0);
  return [
    `${String(report.seconds)} s of chaos, seed ${String(report.seed)}, ${String(report.nodes)} nodes`,
    line('lease', `${String(report.lease_ms)} ms`),
    line('link of its own', report.link),
    line('faults', `${String(total)}: ${counts(report.faults)}`),
    ...(Object.keys(report.faults_skipped).length > 0
      ? [line('faults left out', counts(report.faults_skipped))]
      : []),
    line('submits', counts({ ...load })),
    line('tasks', `${String(tasks.stored)}: ${counts(tasks.by_status)}`),
    line('leases', `${String(tasks.leases)}, lost ${String(tasks.lost_leases)}`),
    line('runs in a child', tasks.runs_in_child),
    line('terms', tasks.terms),
    line('acknowledged', load.acknowledged),
    ...VIOLATION_KINDS.map((kind) => line(kind, violations[kind])),
    ...report.examples.map(({ kind, task, what }) => `  ${kind} ${task ?? ''}: ${what}`),
    line('odd', report.oddities.length),
    ...report.oddities.slice(0, 10).map((oddity) => `  ${oddity}`),
    line('failover', figuresText(report.failover_ms)),
    ...Object.entries(report.failover_ms_by_kind).map(([kind, figures]) =>
      line(`  ${kind}`, figuresText(figures)),
    ),
    line('all ended after', `${String(report.healed_in_ms)} ms without faults`),
    ...(report.kept === null ? [] : [line('kept in', report.kept)]),
    report.is_sound ? 'sound' : 'NOT SOUND',
  ].join('\n');
}

function figuresText({ count, p50, p99, max }: Figures): string {
  const ms = (value: number | null): string => (value === null ? '–' : `${String(value)} ms`);
  return `${String(count)} times, p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)}`;
}
