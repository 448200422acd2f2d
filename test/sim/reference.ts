import { EndCode } from '../../node/core/task.ts';
import { planOf } from './plan.ts';
import type { TaskRow } from './postgres/schema.ts';
import { ruleSays } from './trigger-rules.ts';

/**
 * How each task must have ended by its plan and its dependencies, worked out with nothing but the graph:
 * whatever died meanwhile, the answer is the same. A task that users cancelled, that has a timeout, that
 * expired, or that ends its own process may end otherwise, and so may all below it.
 */
export function wrongEnds(tasks: readonly TaskRow[]): readonly string[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const expected = new Map<string, EndCode | undefined>();
  const endOf = (task: TaskRow): EndCode | undefined => {
    if (!expected.has(task.id)) {
      const parents = task.dependencies.map((id) => endOf(byId.get(id) as TaskRow));
      expected.set(task.id, expectedEnd(task, parents));
    }
    return expected.get(task.id);
  };
  return tasks.flatMap((task) => {
    const end = endOf(task);
    if (end === undefined || end === task.status) return [];
    return [`${task.id} ended as ${String(task.status)}, and by the graph as ${String(end)}`];
  });
}

function expectedEnd(
  task: TaskRow,
  parents: readonly (EndCode | undefined)[],
): EndCode | undefined {
  if (parents.includes(undefined) || task.status === EndCode.CANCELLED) return undefined;
  // Which comes first, its time or its rule, the graph does not say.
  if (task.error?.includes('"code":"expired"') === true) return undefined;
  const count = (...codes: EndCode[]): number =>
    parents.filter((end) => end !== undefined && codes.includes(end)).length;
  const verdict = ruleSays(task.rule, {
    unended: 0,
    succeeded: count(EndCode.COMPLETED),
    failed: count(EndCode.FAILED, EndCode.CANCELLED),
    skipped: count(EndCode.SKIPPED),
  });
  if (verdict === 'skip') return EndCode.SKIPPED;
  const plan = planOf(JSON.parse(task.payload ?? '{}'));
  if (task.timeoutMs !== null || plan.kills) return undefined;
  const isDone = plan.failures >= 0 && plan.failures < task.maxAttempts;
  return isDone ? EndCode.COMPLETED : EndCode.FAILED;
}
