import { ChangedTo, type News } from '../../core/messages.ts';
import { EndCode } from '../../core/task.ts';
import type { TaskSummary } from '../../store/task-list.ts';
import type { LiveTopic } from './topic.ts';
import { summaryBody } from '../views.ts';

/**
 * What news makes of the rows that a view shows. News only moves a task forward, from QUEUED to RUNNING to
 * an end: it may be older than what was read. Whatever else it says, the row is read again anyway.
 */
export interface Hint {
  readonly changedTo: number;
  readonly node: string | null;
  /** When it came, on the monotonic clock. */
  readonly atMs: number;
}

const END_STATUSES: ReadonlyMap<number, string> = new Map(
  Object.entries(EndCode).map(([status, code]) => [code, status]),
);

type Row = Readonly<Record<string, unknown>>;

/** The row after the news; null where it says nothing new. */
function hintedRow(row: Row, { changedTo, node }: Hint): Row | null {
  const { status, attempt } = row;
  if (changedTo === ChangedTo.RUNNING) {
    if (status !== 'QUEUED') return null;
    const where = 'node' in row && node !== null ? { node } : {};
    const tried = typeof attempt === 'number' ? { attempt: attempt + 1 } : {};
    return { ...row, status: 'RUNNING', ...where, ...tried };
  }
  const ended = END_STATUSES.get(changedTo);
  const isOver = status !== 'QUEUED' && status !== 'RUNNING';
  return ended === undefined || isOver ? null : { ...row, status: ended };
}

/** The row as it was read. */
function readRow(topic: LiveTopic, row: Row, task: TaskSummary): Row {
  if (topic.to.view === 'tasks') return { ...summaryBody(task), id: task.id };
  return {
    ...row,
    status: task.status,
    started_at: task.startedAt?.toISOString() ?? null,
    finished_at: task.finishedAt?.toISOString() ?? null,
  };
}

export function applyHints(topic: LiveTopic, hints: ReadonlyMap<number, Hint>): void {
  change(topic, hints, hintedRow);
}

export function applyTasks(topic: LiveTopic, tasks: ReadonlyMap<number, TaskSummary>): void {
  change(topic, tasks, (row, task) => readRow(topic, row, task));
}

/** A task that a filter of the view lets through no more leaves it; the counts of a workflow follow. */
function change<What>(
  topic: LiveTopic,
  changes: ReadonlyMap<number, What>,
  next: (row: Row, what: What) => Row | null,
): void {
  const { to, state, seqs } = topic;
  if (to.view !== 'tasks' && to.view !== 'workflow') return;
  const rows = new Map<string, object>();
  const gone = new Set<string>();
  const counts = to.view === 'workflow' ? (state.field('counts') as Record<string, number>) : {};
  for (const [seq, what] of changes) {
    const id = seqs.get(seq);
    const row = id === undefined ? null : state.row(id);
    const after = row === null ? null : next(row, what);
    if (id === undefined || row === null || after === null) continue;
    if (to.view === 'tasks' && to.status !== undefined && after['status'] !== to.status) {
      gone.add(id);
    } else rows.set(id, after);
    counts[String(row['status'])] = (counts[String(row['status'])] ?? 0) - 1;
    counts[String(after['status'])] = (counts[String(after['status'])] ?? 0) + 1;
  }
  if (rows.size + gone.size === 0) return;
  state.patch({ rows, gone, ...(to.view === 'workflow' ? { fields: { counts } } : {}) });
}

/** What has moved between two pieces of news. */
export interface Movement {
  readonly hasAdded: boolean;
  /** By end code, from COMPLETED. */
  readonly hasEnded: readonly boolean[];
}

export function movementOf(before: News | null, { lastSeq, ended }: News): Movement {
  return {
    hasAdded: before === null || lastSeq > before.lastSeq,
    hasEnded: ended.map((count, at) => count !== before?.ended[at]),
  };
}

/** Whether other tasks may be shown now than those that are: then the view is read again, soon. */
export function mayShowOthers({ to, seqs }: LiveTopic, { hasAdded, hasEnded }: Movement): boolean {
  switch (to.view) {
    case 'tasks': {
      const { status } = to;
      if (status === undefined) return hasAdded;
      if (status === 'QUEUED' || status === 'RUNNING') return true;
      return hasEnded[EndCode[status] - 1] === true;
    }
    case 'workflows':
      return true;
    case 'workflow':
      // One that is too large to be shown whole is followed by its counts.
      return seqs.size === 0;
    case 'overview':
      // Those that failed last are shown there.
      return hasEnded[1] === true;
    default:
      return false;
  }
}

/** By its counts, a workflow has come to its end, or from it: its status is to be read. */
export function hasEnded({ to, state }: LiveTopic): boolean {
  if (to.view !== 'workflow' || !state.hasView) return false;
  const counts = state.field('counts') as Readonly<Record<string, number>>;
  const isOver = (counts['QUEUED'] ?? 0) + (counts['RUNNING'] ?? 0) === 0;
  return isOver === (state.field('status') === 'RUNNING');
}
