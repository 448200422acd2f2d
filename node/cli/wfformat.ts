import { DURATION_MS_MAX } from '../core/task.ts';
import { InputError } from './input-error.ts';
import type { TaskSpec, WorkflowSpec } from './ports.ts';

/**
 * Recorded executions of scientific workflows in WfFormat 1.5 (wfcommons.org), as workflows of Skein:
 * the same graph, each task with its recorded run time as `duration_ms`. Files and machines of the
 * record, and its priorities (those of another scheduler), are left out.
 */
export interface WfOptions {
  /** Recorded seconds are multiplied by it. */
  readonly timeScale: number;
  /** The type of every task, instead of the recorded program's name. */
  readonly type?: string;
}

type Fields = Readonly<Record<string, unknown>>;

export function isWfFormat(value: unknown): boolean {
  const { schemaVersion, workflow } = fieldsOf(value);
  return typeof schemaVersion === 'string' && typeof workflow === 'object' && workflow !== null;
}

/** Throws an InputError that names the task and the field. */
export function workflowOfWfFormat(value: unknown, options: WfOptions): WorkflowSpec {
  const { schemaVersion, name, workflow } = fieldsOf(value);
  const { specification, execution } = fieldsOf(workflow);
  if (specification === undefined) {
    throw new InputError(
      `WfFormat ${String(schemaVersion)} is not read, only 1.5: there is no workflow.specification`,
    );
  }
  const tasks = listOf(fieldsOf(specification)['tasks'], 'workflow.specification.tasks');
  if (execution === undefined) {
    throw new InputError('there is no workflow.execution, and so no run time of any task');
  }
  const recorded = new Map<string, Fields>();
  for (const task of listOf(fieldsOf(execution)['tasks'], 'workflow.execution.tasks')) {
    const fields = fieldsOf(task);
    recorded.set(String(fields['id']), fields);
  }
  return {
    ...(typeof name === 'string' && name !== '' ? { name } : {}),
    tasks: tasks.map((task, place) => taskOf(fieldsOf(task), place, recorded, options)),
  };
}

function taskOf(
  task: Fields,
  place: number,
  recorded: ReadonlyMap<string, Fields>,
  { timeScale, type }: WfOptions,
): TaskSpec {
  const { id, name, parents } = task;
  if (typeof id !== 'string') {
    throw new InputError(`workflow.specification.tasks[${String(place)}].id must be a text`);
  }
  const run = recorded.get(id);
  const seconds = run?.['runtimeInSeconds'];
  if (run === undefined || typeof seconds !== 'number' || !(seconds >= 0)) {
    throw new InputError(`${id}: workflow.execution.tasks has no runtimeInSeconds for it`);
  }
  const durationMs = Math.max(1, Math.round(seconds * 1000 * timeScale));
  if (durationMs > DURATION_MS_MAX) {
    throw new InputError(`${id}: ${String(durationMs)} ms is too long; try a smaller --time-scale`);
  }
  const dependencies = listOf(parents ?? [], `${id}: parents`).map(String);
  return {
    id,
    type: type ?? typeOf(run, typeof name === 'string' ? name : id),
    duration_ms: durationMs,
    ...(dependencies.length === 0 ? {} : { dependencies }),
  };
}

/** The recorded program without its folder, else the task's name without the `_ID0000001` at its end. */
function typeOf(run: Fields, name: string): string {
  const { program } = fieldsOf(run['command']);
  const file = typeof program === 'string' ? program.split(/[\\/]/).at(-1) : undefined;
  return file === undefined || file === '' ? name.replace(/_ID\d+$/, '') : file;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new InputError(`${what} must be a list`);
}
