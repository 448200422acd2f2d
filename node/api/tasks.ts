import { errors } from '../base/errors.ts';
import type { TaskPatch } from '../store/task-changes.ts';
import type { TaskRecord } from '../store/task-reader.ts';
import { withJson } from './body.ts';
import type { BodyBudget } from './body.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { explain, type ExplainDeps } from './explain.ts';
import { Faults } from './faults.ts';
import type { LeaderPort, TaskChangesPort, TaskReaderPort } from './ports.ts';
import { nextLink, Query } from './query.ts';
import { patchSchema, toPayload } from './schemas.ts';
import { attemptsText, summaryBody, taskText } from './views.ts';
import type { Waiter } from './waiter.ts';

/** Tasks that are stored: reading them, waiting for them, changing them. */
export interface TaskDeps extends ExplainDeps {
  readonly tasks: TaskReaderPort;
  readonly changes: TaskChangesPort;
  readonly leader: LeaderPort;
  readonly waiter: Waiter;
  readonly budget: BodyBudget;
}

export function taskEndpoints(deps: TaskDeps): readonly Endpoint[] {
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/tasks',
      query: 'own',
      handle: (request) => listTasks(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/tasks/:id',
      query: 'own',
      handle: (request) => getTask(deps, request),
    },
    {
      method: 'PATCH',
      role: 'operate',
      path: '/tasks/:id',
      handle: (request) => patchTask(deps, request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/tasks/:id/cancel',
      isBodiless: true,
      handle: (request) => cancelTask(deps, request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/tasks/:id/retry',
      isBodiless: true,
      handle: (request) => retryTask(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/tasks/:id/explain',
      handle: async (request) => {
        const task = await findOrThrow(deps.tasks, request);
        return json(200, await explain(deps, task, request.signal));
      },
    },
    {
      method: 'GET',
      role: 'read',
      path: '/tasks/:id/attempts',
      handle: (request) => getAttempts(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/tasks/:id/dependents',
      query: 'own',
      handle: (request) => getDependents(deps, request),
    },
  ];
}

const FILTERS = ['status', 'type', 'workflow', 'tag', 'limit', 'cursor'];

async function listTasks({ tasks }: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, FILTERS);
  const asked = {
    status: query.status('status'),
    type: query.text('type'),
    workflow: query.text('workflow'),
    tag: query.text('tag'),
    limit: query.limit(),
    before: query.cursor(),
  };
  query.throwIfAny();
  const page = await tasks.list(asked);
  return json(200, page.tasks.map(summaryBody), nextLink('/tasks', request.query, page.next));
}

async function getTask({ tasks, waiter }: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['wait']);
  const waitMs = query.wait('wait');
  query.throwIfAny();
  const read = (): Promise<TaskRecord> => findOrThrow(tasks, request);
  let task = await read();
  if (waitMs === null) return taskResponse(tasks, 200, task);
  if (!hasEnded(task)) {
    task = await waiter.until(task.seq, waitMs, request.signal, read, hasEnded);
  }
  return taskResponse(tasks, hasEnded(task) ? 200 : 202, task);
}

async function patchTask(deps: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const patch = await withJson(request.message, deps.budget, (value) =>
    Promise.resolve(readPatch(value)),
  );
  // A payload is what whoever submits it says, and no business of the log.
  const { payload, ...shown } = patch;
  request.note({ ...shown, ...(payload === undefined ? {} : { payload: 'changed' }) });
  const { seq, id } = await findOrThrow(deps.tasks, request);
  if (!(await deps.changes.tryPatch(seq, patch))) {
    const { status } = await findOrThrow(deps.tasks, request);
    throw errors.conflict(`the task ${id} is not waiting any more`, { existing: { id, status } });
  }
  deps.leader.look();
  return taskResponse(deps.tasks, 200, await findOrThrow(deps.tasks, request));
}

function readPatch(value: unknown): TaskPatch {
  const faults = new Faults();
  const { priority, payload, run_at: runAt } = faults.mustBe(patchSchema, value, '#');
  const patch = {
    ...(priority === undefined ? {} : { priority }),
    ...(payload === undefined ? {} : { payload: toPayload(payload, '#/payload', faults) }),
    ...(runAt === undefined ? {} : { runAtMs: runAt === null ? null : Date.parse(runAt) }),
  };
  faults.throwIfAny();
  return patch;
}

async function cancelTask(deps: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const { seq, id } = await findOrThrow(deps.tasks, request);
  const accepted = await deps.changes.tryCancel(seq);
  // At once, because somebody runs for nothing until then.
  if (accepted) deps.leader.look();
  // Read afterwards: what the task is now, also where it ended between the two.
  const { status } = await findOrThrow(deps.tasks, request);
  if (!accepted) throw errors.conflict(`the task ${id} has ended`, { existing: { id, status } });
  return json(202, { id, status });
}

async function retryTask(deps: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const { seq, id } = await findOrThrow(deps.tasks, request);
  const accepted = await deps.changes.tryRetry(seq);
  const { status } = await findOrThrow(deps.tasks, request);
  if (!accepted) {
    const detail = `the task ${id} is ${status}; only FAILED, CANCELLED and SKIPPED can be retried`;
    throw errors.conflict(detail, { existing: { id, status } });
  }
  deps.leader.look();
  return json(202, { id, status });
}

async function getAttempts({ tasks }: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const { seq } = await findOrThrow(tasks, request);
  return { status: 200, text: attemptsText(await tasks.attempts(seq)) };
}

async function getDependents({ tasks }: TaskDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['limit', 'cursor']);
  const [limit, after] = [query.limit(), query.cursor()];
  query.throwIfAny();
  const task = await findOrThrow(tasks, request);
  const page = await tasks.dependents(task, limit, after);
  const path = `/tasks/${encodeURIComponent(task.id)}/dependents`;
  return json(200, page.tasks.map(summaryBody), nextLink(path, request.query, page.next));
}

async function findOrThrow(tasks: TaskReaderPort, { params }: ApiRequest): Promise<TaskRecord> {
  const id = params['id'] ?? '';
  // A zero character is in no id, and PostgreSQL refuses to be asked for one.
  const task = id.includes('\0') ? null : await tasks.find(id);
  if (task === null) throw errors.notFound(`the task ${id}`);
  return task;
}

async function taskResponse(
  tasks: TaskReaderPort,
  status: number,
  task: TaskRecord,
): Promise<ApiResponse> {
  const waitingFor = task.status === 'QUEUED' ? await tasks.waitingFor(task.seq) : null;
  return { status, text: taskText(task, waitingFor) };
}

function hasEnded({ status }: TaskRecord): boolean {
  return status !== 'QUEUED' && status !== 'RUNNING';
}
