import type { TaskStatus } from '../core/task.ts';
import { cutTo, oneLine, plain, widthOf } from './terminal.ts';
import type { Paint } from './terminal.ts';
import { clockTime } from './time.ts';

/** Where a run stands, and the one line that shows it. Pure: time comes in as numbers. */
export interface Progress {
  readonly title: string;
  readonly counts: Readonly<Partial<Record<TaskStatus, number>>>;
  readonly total: number;
  /** Milliseconds since the watching began. */
  readonly elapsedMs: number;
  /** Milliseconds that are left, as far as one can tell; null for no idea. */
  readonly leftMs: number | null;
}

const ENDED = ['COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'] as const;
const BAR = { least: 10, most: 40 };
const TITLE_WIDTH = 32;

export function doneOf({ counts }: Pick<Progress, 'counts'>): number {
  return ENDED.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
}

/**
 * The time left if the rest goes as fast as what was done while we watched; null before anything was.
 */
export function leftMsOf(seen: {
  readonly done: number;
  readonly doneAtFirst: number;
  readonly total: number;
  readonly elapsedMs: number;
}): number | null {
  const gained = seen.done - seen.doneAtFirst;
  if (gained > 0) return ((seen.total - seen.done) * seen.elapsedMs) / gained;
  return seen.done >= seen.total ? 0 : null;
}

/**
 * `montage-0 ━━━━━━━╌╌╌ 812/1738 46% · 48 running · 878 queued · 0:04 · 0:05 left`, on one line of
 * the terminal: what matters least goes first when it is narrow.
 */
export function progressBar(progress: Progress, columns: number, paint: Paint = plain): string {
  const title = cutTo(oneLine(progress.title), TITLE_WIDTH);
  const counts = countParts(progress, paint);
  const numbers = numbersOf(progress);
  const elapsed = part(clockTime(progress.elapsedMs));
  const left = progress.leftMs === null ? [] : [part(`${clockTime(progress.leftMs)} left`)];
  const variants: readonly (readonly Part[])[] = [
    [part(numbers), ...counts, elapsed, ...left],
    [part(numbers), ...counts, ...left],
    [part(numbers), ...counts],
    [part(numbers), ...left],
    [part(numbers)],
  ];
  const head = `${title} `;
  // The last column stays free: some terminals wrap as soon as it is written to.
  const room = columns - 1 - BAR.least - 1;
  for (const parts of variants) {
    const tail = parts.map(({ text }) => text).join(' · ');
    const spare = room - widthOf(head) - widthOf(tail);
    if (spare < 0) continue;
    const bar = barOf(progress, Math.min(BAR.most, BAR.least + spare), paint);
    return `${paint('bold', title)} ${bar} ${parts.map(({ shown }) => shown).join(' · ')}`;
  }
  return cutTo(numbers, Math.max(1, columns - 1));
}

/** The same for a log: no bar, no colours. */
export function progressLine(progress: Progress): string {
  const parts = [numbersOf(progress), ...countParts(progress, plain).map(({ text }) => text)];
  const left = progress.leftMs === null ? [] : [`${clockTime(progress.leftMs)} left`];
  const all = [...parts, clockTime(progress.elapsedMs), ...left];
  return `${oneLine(progress.title)} ${all.join(' · ')}`;
}

interface Part {
  readonly text: string;
  readonly shown: string;
}

function part(text: string, shown = text): Part {
  return { text, shown };
}

function numbersOf(progress: Progress): string {
  const done = doneOf(progress);
  // Rounded down: 100% is said when the last one has ended.
  const percent = progress.total === 0 ? 100 : Math.floor((done * 100) / progress.total);
  return `${String(done)}/${String(progress.total)} ${String(percent)}%`;
}

const SHOWN: readonly (readonly [TaskStatus, Parameters<Paint>[0]])[] = [
  ['RUNNING', 'cyan'],
  ['QUEUED', 'dim'],
  ['FAILED', 'red'],
  ['CANCELLED', 'yellow'],
  ['SKIPPED', 'yellow'],
];

/** What is COMPLETED is the rest of what is done, and is not said twice. */
function countParts({ counts }: Progress, paint: Paint): readonly Part[] {
  return SHOWN.flatMap(([status, format]) => {
    const count = counts[status] ?? 0;
    if (count === 0) return [];
    const text = `${String(count)} ${status.toLowerCase()}`;
    return [part(text, paint(format, text))];
  });
}

function barOf(progress: Progress, width: number, paint: Paint): string {
  const { counts, total } = progress;
  const cells = (count: number): number => (total === 0 ? 0 : Math.floor((count * width) / total));
  const completed = counts.COMPLETED ?? 0;
  const good = total === 0 ? width : cells(completed);
  const bad = cells(doneOf(progress)) - (total === 0 ? 0 : good);
  const rest = width - good - Math.max(0, bad);
  return (
    (good > 0 ? paint('green', '━'.repeat(good)) : '') +
    (bad > 0 ? paint('red', '━'.repeat(bad)) : '') +
    (rest > 0 ? paint('dim', '╌'.repeat(rest)) : '')
  );
}
