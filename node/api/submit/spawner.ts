import type { Clock } from '../../base/clock.ts';
import { errors } from '../../base/errors.ts';
import type { SpawnParent } from '../../core/submission.ts';
import { invalid } from '../faults.ts';
import type { LeaderPort, MetricsPort, SubmissionsPort } from '../ports.ts';
import { readBatch } from './read-submission.ts';
import { TaskSet } from './task-set.ts';

/**
 * Tasks that a task adds while it runs (`ctx.spawn`): bodies as `POST /tasks/batch` takes them, checked
 * the same way, with every fault named. Their ids are local names, and the global one is
 * `<parent>/<name>`, as in a workflow; one without a name has its place among those that the attempt has
 * added so far. So a further attempt that adds the same finds it there.
 */
export interface SpawnerDeps {
  readonly clock: Clock;
  readonly submissions: SubmissionsPort;
  readonly leader: LeaderPort;
  readonly metrics: MetricsPort;
}

/** Tasks of one call: they travel in one piece, and go in by one transaction. */
const TASKS_MAX = 10_000;

export class Spawner {
  readonly #deps: SpawnerDeps;

  constructor(deps: SpawnerDeps) {
    this.#deps = deps;
  }

  /**
   * The ids of the tasks, in their order, also of those that were there. `from` is how many the attempt
   * has added before.
   */
  async spawn(parent: SpawnParent, value: unknown, from: number): Promise<readonly string[]> {
    const { clock, submissions, leader, metrics } = this.#deps;
    if (!Array.isArray(value)) {
      throw invalid([{ pointer: '#', detail: 'must be an array of tasks' }]);
    }
    if (value.length > TASKS_MAX) {
      throw errors.tooLarge('what is added at once', `${String(TASKS_MAX)} tasks`);
    }
    if (value.length === 0) return [];
    const idPrefix = `${parent.id}/`;
    const tasks = value.map((task, at) => named(task, String(from + at)));
    let set: TaskSet | undefined;
    const outcome = await submissions.spawn(parent, (defaultPriority) => {
      set = new TaskSet({ clock, base: '#', idPrefix, defaultPriority });
      return readBatch(set, tasks, idPrefix, null);
    });
    if (set === undefined) throw new Error('a spawn was answered before it was read');
    set.throwIfRefused(outcome, null);
    leader.look();
    const { graph } = set;
    metrics.tasksSubmitted(graph.count);
    return Array.from({ length: graph.count }, (_, task) => idPrefix + graph.idOf(task));
  }
}

function named(task: unknown, name: string): unknown {
  if (typeof task !== 'object' || task === null || Array.isArray(task) || 'id' in task) return task;
  return { id: name, ...task };
}
