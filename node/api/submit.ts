import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { AppError } from '../base/errors.ts';
import type { SingleTask } from '../core/submission.ts';
import { PRIORITY } from '../core/task.ts';
import { mediaTypeOf, withJson } from './body.ts';
import type { BodyBudget } from './body.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { Faults, invalid } from './faults.ts';
import { Ndjson } from './ndjson.ts';
import type { LeaderPort, MetricsPort, SubmissionsPort, TaskReaderPort } from './ports.ts';
import { readBatch, readTask, readWorkflow } from './read-submission.ts';
import { toFields } from './schemas.ts';
import type { TaskBody } from './schemas.ts';
import { TaskSet } from './task-set.ts';
import { isSameBody } from './views.ts';

/**
 * The three ways in: one task, a batch, a workflow. Each reads and checks its body whole, hands it to
 * the store, and answers 201 only when it is committed; then the leader is told to look. That word
 * may be lost, the inbox row that was committed with the tasks cannot.
 */
export interface SubmitDeps {
  readonly clock: Clock;
  readonly submissions: SubmissionsPort;
  readonly tasks: TaskReaderPort;
  readonly leader: LeaderPort;
  readonly metrics: MetricsPort;
  readonly budget: BodyBudget;
}

export function submitEndpoints(deps: SubmitDeps): readonly Endpoint[] {
  return [
    { method: 'POST', path: '/tasks', handle: (request) => submitTask(deps, request) },
    { method: 'POST', path: '/tasks/batch', handle: (request) => submitBatch(deps, request) },
    { method: 'POST', path: '/workflows', handle: (request) => submitWorkflow(deps, request) },
  ];
}

function submitTask(deps: SubmitDeps, { message }: ApiRequest): Promise<ApiResponse> {
  return withJson(message, deps.budget, async (value) => {
    const task = readTask(value, '#');
    const outcome = await deps.submissions.submitOne(task);
    switch (outcome.kind) {
      case 'stored':
        deps.leader.look(outcome.submitted);
        deps.metrics.tasksSubmitted(1);
        return json(
          201,
          { id: task.id, status: 'QUEUED' },
          { location: `/tasks/${encodeURIComponent(task.id)}` },
        );
      case 'exists':
        throw await alreadyExists(deps, task);
      case 'busy':
        throw errors.overloaded(`the id ${task.id} or a dependency is held by another request`);
      case 'missing':
        throw missingDependencies(value as TaskBody, new Set(outcome.missing));
    }
  });
}

async function alreadyExists(deps: SubmitDeps, task: SingleTask): Promise<AppError> {
  const stored = await deps.tasks.find(task.id);
  const existing =
    stored === null
      ? { id: task.id }
      : { id: task.id, status: stored.status, same_body: isSameBody(stored, task) };
  return errors.conflict(`the task ${task.id} exists already`, { existing });
}

function missingDependencies(body: TaskBody, missing: ReadonlySet<string>): AppError {
  const faults = (body.dependencies ?? []).flatMap((id, place) =>
    missing.has(id)
      ? [{ pointer: `#/dependencies/${String(place)}`, detail: `the task ${id} does not exist` }]
      : [],
  );
  return invalid(faults);
}

async function submitBatch(deps: SubmitDeps, request: ApiRequest): Promise<ApiResponse> {
  const set = new TaskSet({
    clock: deps.clock,
    base: '#',
    idPrefix: '',
    defaultPriority: PRIORITY.default,
  });
  if (mediaTypeOf(request.message) === 'application/x-ndjson') {
    return submitLines(deps, set, request);
  }
  return withJson(request.message, deps.budget, async (value) => {
    if (!Array.isArray(value))
      throw invalid([{ pointer: '#', detail: 'must be an array of tasks' }]);
    const batch = await readBatch(set, value as readonly unknown[], '', null);
    set.throwIfRefused(await deps.submissions.submitBatch(batch), null);
    told(deps, set.graph.count);
    const ids = Array.from({ length: set.graph.count }, (_, task) => set.graph.idOf(task));
    return json(201, { count: ids.length, ids });
  });
}

async function submitLines(
  deps: SubmitDeps,
  set: TaskSet,
  { message }: ApiRequest,
): Promise<ApiResponse> {
  const lines = new Ndjson(deps.budget);
  try {
    await lines.readInto(set, message);
    const order = await set.check();
    const outcome = await deps.submissions.submitBatch({
      graph: set.graph,
      order,
      idPrefix: '',
      typeNames: set.typeNames,
      workflow: null,
      fieldsOf: (task) =>
        toFields(lines.valueOf(task) as TaskBody, PRIORITY.default, '#', new Faults()),
      sizeOf: (task) => lines.sizeOf(task),
    });
    set.throwIfRefused(outcome, null);
    told(deps, set.graph.count);
    return json(201, { count: set.graph.count });
  } finally {
    await lines.close();
  }
}

function submitWorkflow(deps: SubmitDeps, { message }: ApiRequest): Promise<ApiResponse> {
  return withJson(message, deps.budget, async (value) => {
    const { set, batch, id, name } = await readWorkflow(deps.clock, value, '#');
    set.throwIfRefused(await deps.submissions.submitBatch(batch), id);
    const count = set.graph.count;
    told(deps, count);
    const ids = Array.from({ length: count }, (_, task) => batch.idPrefix + set.graph.idOf(task));
    return json(
      201,
      { id, name, status: 'RUNNING', count, ids },
      { location: `/workflows/${encodeURIComponent(id)}` },
    );
  });
}

function told({ leader, metrics }: SubmitDeps, count: number): void {
  leader.look();
  metrics.tasksSubmitted(count);
}
