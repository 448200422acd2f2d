import { endStatusOrThrow } from '../core/task.ts';
import type { TaskStatus } from '../core/task.ts';

/** The columns that decide a status: is there a row in `live`, does a node hold it, how it ended. */
export interface StatusColumns {
  readonly is_live: boolean;
  readonly is_leased: boolean;
  readonly end_code: number | null;
}

export function statusOf(row: StatusColumns): TaskStatus {
  if (row.is_live) return row.is_leased ? 'RUNNING' : 'QUEUED';
  if (row.end_code === null) throw new Error('a task is neither live nor ended');
  return endStatusOrThrow(row.end_code);
}
