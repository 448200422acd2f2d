import type { TaskStatus } from '../core/task.ts';
import type { ClientPort, TaskView, WorkflowView } from './ports.ts';
import type { Look, Watched } from './watch.ts';

/** What can be watched: a workflow by its counts, a task by long polls, a batch by asking for its tasks. */
export function watchedWorkflow(
  client: ClientPort,
  id: string,
  title: string,
): Watched<WorkflowView> {
  return {
    title,
    look: async () => {
      const body = await client.getWorkflow(id);
      const { counts, status } = body;
      return {
        counts,
        total: Object.values(counts).reduce((sum, count) => sum + count, 0),
        hasEnded: status !== 'RUNNING',
        isSuccess: status === 'COMPLETED',
        body,
      };
    },
  };
}

const LONG_POLL_MS = 1000;

export function watchedTask(client: ClientPort, id: string): Watched<TaskView> {
  return {
    title: id,
    isLongPoll: true,
    look: async () => {
      const body = await client.getTask(id, { waitMs: LONG_POLL_MS });
      return {
        counts: { [body.status]: 1 },
        total: 1,
        hasEnded: hasEnded(body.status),
        isSuccess: body.status === 'COMPLETED',
        body,
      };
    },
  };
}

export interface BatchOutcome {
  readonly counts: Readonly<Partial<Record<TaskStatus, number>>>;
  readonly count: number;
}

/** Tasks asked for at the same time. */
const ASKED_AT_ONCE = 16;
/** Tasks asked for in one look: beyond them the bar is drawn in between. */
const LOOK_TASKS_MAX = 256;

/** Goes round over the tasks that have not ended, so that one long task hides none behind it. */
export function watchedBatch(client: ClientPort, ids: readonly string[]): Watched<BatchOutcome> {
  const counts = { COMPLETED: 0, FAILED: 0, CANCELLED: 0, SKIPPED: 0 };
  let pending: readonly string[] = ids;
  const look = async (): Promise<Look<BatchOutcome>> => {
    const asked = pending.slice(0, LOOK_TASKS_MAX);
    const later = pending.slice(LOOK_TASKS_MAX);
    const unended: string[] = [];
    for (let from = 0; from < asked.length; from += ASKED_AT_ONCE) {
      const some = asked.slice(from, from + ASKED_AT_ONCE);
      const tasks = await Promise.all(some.map((id) => client.getTask(id)));
      for (const { id, status } of tasks) {
        if (status === 'QUEUED' || status === 'RUNNING') unended.push(id);
        else counts[status] += 1;
      }
      // What was counted is never asked for again, whatever fails after it.
      pending = [...later, ...asked.slice(from + ASKED_AT_ONCE), ...unended];
    }
    pending = [...later, ...unended];
    const total = ids.length;
    return {
      counts: { ...counts },
      total,
      hasEnded: pending.length === 0,
      isSuccess: counts.COMPLETED === total,
      body: { counts: { ...counts }, count: total },
    };
  };
  return { title: `${String(ids.length)} tasks`, look };
}

export function hasEnded(status: TaskStatus): boolean {
  return status !== 'QUEUED' && status !== 'RUNNING';
}
