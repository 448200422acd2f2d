import type { Clock } from '../../base/clock.ts';
import { uuidv7 } from '../../base/uuid.ts';
import type { Batch, SingleTask, TaskFields } from '../../core/submission.ts';
import { PRIORITY } from '../../core/task.ts';
import { Faults } from '../faults.ts';
import { taskSchema, toFields, workflowSchema } from '../schemas.ts';
import { TaskSet } from './task-set.ts';

/**
 * Bodies of submits as what the store takes. `pointer` is where a body stands in the request, for its
 * faults; an id that is given goes before that of the body. All of it is read and checked before
 * anything is stored; what is wrong is thrown, every fault at once.
 */
export function readTask(value: unknown, pointer: string, givenId?: string): SingleTask {
  const faults = new Faults();
  const body = faults.mustBe(taskSchema, value, pointer);
  const id = givenId ?? body.id ?? uuidv7();
  const fields = toFields(body, PRIORITY.default, pointer, faults);
  const dependencies = body.dependencies ?? [];
  const self = dependencies.indexOf(id);
  if (self !== -1) {
    const detail = `a task cannot depend on itself: ${id} → ${id}`;
    faults.add(`${pointer}/dependencies/${String(self)}`, detail);
  }
  faults.throwIfAny();
  return { id, fields, dependencies: [...new Set(dependencies)] };
}

export interface ReadWorkflow {
  readonly id: string;
  readonly name: string;
  readonly set: TaskSet;
  readonly batch: Batch;
}

export async function readWorkflow(
  clock: Clock,
  value: unknown,
  pointer: string,
  givenId?: string,
): Promise<ReadWorkflow> {
  const body = new Faults().mustBe(workflowSchema, value, pointer);
  const id = givenId ?? body.id ?? uuidv7();
  const name = body.name ?? id;
  const priority = body.priority ?? PRIORITY.default;
  const idPrefix = `${id}/`;
  const base = `${pointer}/tasks`;
  const set = new TaskSet({ clock, base, idPrefix, defaultPriority: priority });
  const batch = await readBatch(set, body.tasks, idPrefix, { id, name, priority });
  return { id, name, set, batch };
}

/** The tasks of a set, one by one, so that nobody waits for it. */
export async function readBatch(
  set: TaskSet,
  values: readonly unknown[],
  idPrefix: string,
  workflow: Batch['workflow'],
): Promise<Batch> {
  const fields: TaskFields[] = [];
  for (const value of values) {
    const read = set.add(value);
    if (read !== null) fields.push(read);
    if (set.isHopeless) break;
    await set.breather.maybeBreathe();
  }
  const order = await set.check();
  const fieldsOf: Batch['fieldsOf'] = (task) => {
    const found = fields[task];
    if (found === undefined) throw new Error('a task that was checked has no fields');
    return found;
  };
  return {
    graph: set.graph,
    order,
    idPrefix,
    typeNames: set.typeNames,
    workflow,
    fieldsOf,
    sizeOf: (task) => 200 + (fieldsOf(task).payload?.length ?? 0),
  };
}
