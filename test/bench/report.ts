import { cpus, totalmem } from 'node:os';
import { addHeartbeats, countOf, quantileOf } from './heartbeats.ts';
import type { Heartbeats } from './heartbeats.ts';
import { grouped, inUnit, number } from './measure.ts';
import type { Measured, Row } from './measure.ts';
import type { Written } from './rig.ts';

/** What one scenario has shown, or why it has no figure. */
export interface ScenarioReport {
  readonly name: string;
  readonly measured: Measured | undefined;
  readonly fault: string | undefined;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** NaN of nothing. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [low = NaN, high = NaN] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return { median: (low + high) / 2, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

/** Medians over the runs, each a task; undefined where the figure is not one of work. */
export interface CostATask {
  readonly postgresMicros: number;
  readonly leaderMicros: number;
  readonly othersMicros: number;
  readonly clientMicros: number;
  readonly walBytes: number;
  /** Without the pages that are written whole after a checkpoint. */
  readonly walBytesLessPages: number | undefined;
  readonly rowVersions: number | undefined;
  readonly hotUpdates: number | undefined;
  /** Of the largest node, not a task. */
  readonly rssBytes: number;
}

export function costATaskOf({ costs }: Row): CostATask | undefined {
  if (costs.length === 0) return undefined;
  const median = (of: (cost: Row['costs'][number]) => number): number =>
    spreadOf(costs.map((cost) => of(cost) / cost.tasks)).median;
  const areKnown = costs.every(({ written }) => written !== undefined);
  const written = (of: (written: Written, cost: Row['costs'][number]) => number) =>
    areKnown ? median((cost) => (cost.written ? of(cost.written, cost) : NaN)) : undefined;
  return {
    postgresMicros: median(({ cpu }) => cpu.postgres * 1e6),
    leaderMicros: median(({ cpu }) => cpu.leader * 1e6),
    othersMicros: median(({ cpu }) => cpu.others * 1e6),
    clientMicros: median(({ cpu }) => cpu.client * 1e6),
    walBytes: median(({ walBytes }) => walBytes),
    walBytesLessPages: written(({ pageBytes }, { walBytes }) => walBytes - pageBytes),
    rowVersions: written(({ inserted, updated }) => inserted + updated),
    hotUpdates: written(({ hot }) => hot),
    rssBytes: spreadOf(costs.map(({ rss }) => rss)).median,
  };
}

const HEAD = [
  'what',
  'median (min – max)',
  'PostgreSQL, µs CPU a task',
  'leader',
  'other nodes',
  'client',
  'WAL, bytes a task (less full pages)',
  'row versions a task (HOT)',
  'largest node, MiB',
];
const MIB = 1024 * 1024;

/** Rows of Markdown: the figure with its spread, and what it cost. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => [row.what, valueOf(row), ...costCells(costATaskOf(row))]);
  return [HEAD, HEAD.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

function valueOf({ values, unit }: Row): string {
  const { median, min, max } = spreadOf(values);
  if (values.length === 1) return inUnit(median, unit);
  return `${inUnit(median, unit)} (${number(min)} – ${number(max)})`;
}

function costCells(cost: CostATask | undefined): readonly string[] {
  if (cost === undefined) return HEAD.slice(2).map(() => '');
  const { walBytes, walBytesLessPages = NaN, rowVersions = NaN, hotUpdates = NaN } = cost;
  return [
    ...[cost.postgresMicros, cost.leaderMicros, cost.othersMicros, cost.clientMicros].map(number),
    `${number(walBytes)} (${number(walBytesLessPages)})`,
    `${number(rowVersions)} (${number(hotUpdates)})`,
    grouped(cost.rssBytes / MIB),
  ];
}

const SHARE = 0.999;

/** One sentence on all heartbeats, or on those of a scenario. */
export function heartbeatsText(heartbeats: Heartbeats): string {
  const seconds = quantileOf(heartbeats, SHARE);
  if (seconds === undefined) return 'no heartbeat was answered';
  const bound =
    seconds === Infinity ? 'above every bucket' : `at most ${number(seconds * 1000)} ms`;
  return `p99.9 of ${grouped(countOf(heartbeats))} heartbeats: ${bound}`;
}

export function textOf(reports: readonly ScenarioReport[]): string {
  const rows = reports.flatMap(({ measured }) => measured?.rows ?? []);
  const faults = reports.flatMap(({ name, fault }) =>
    fault === undefined ? [] : [`${name}: ${fault}`],
  );
  const all = reports
    .flatMap(({ measured }) => measured?.heartbeats ?? [])
    .filter((heartbeats) => countOf(heartbeats) > 0);
  return [
    `On ${machineText()}.`,
    '',
    ...(rows.length === 0 ? [] : [tableOf(rows), '']),
    ...(all.length === 0
      ? []
      : [`No election but where a leader is killed; ${heartbeatsText(addHeartbeats(all))}.`, '']),
    ...faults,
  ].join('\n');
}

export function jsonOf(reports: readonly ScenarioReport[]) {
  return {
    machine: { cpus: cpus().length, model: modelOf(), memory: totalmem(), node: process.version },
    scenarios: reports.map(({ name, measured, fault }) => ({
      name,
      ...(fault === undefined ? {} : { fault }),
      ...(measured === undefined ? {} : { heartbeats: heartbeatsJson(measured.heartbeats) }),
      rows: (measured?.rows ?? []).map((row) => ({
        ...{ what: row.what, unit: row.unit, values: row.values },
        ...spreadOf(row.values),
        costATask: costATaskOf(row),
      })),
    })),
  };
}

/** The last bucket has no bound, which JSON cannot say. */
function heartbeatsJson(heartbeats: Heartbeats) {
  const seconds = quantileOf(heartbeats, SHARE);
  const p999AtMostSeconds = seconds === Infinity ? null : seconds;
  const buckets = [...heartbeats.counts].filter(([, count]) => count > 0);
  return {
    count: countOf(heartbeats),
    p999AtMostSeconds,
    atMostSeconds: Object.fromEntries(buckets),
  };
}

function machineText(): string {
  const memory = grouped(totalmem() / MIB / 1024);
  return `${String(cpus().length)} cores (${modelOf()}), ${memory} GiB, Node.js ${process.version}`;
}

function modelOf(): string {
  return cpus()[0]?.model.trim() ?? 'of an unknown kind';
}
