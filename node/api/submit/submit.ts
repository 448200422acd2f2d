import type { Clock } from '../../base/clock.ts';
import { errors } from '../../base/errors.ts';
import type { AppError } from '../../base/errors.ts';
import type { AuditEntry, SubmitAudit } from '../../core/audit.ts';
import type { Batch, SingleTask } from '../../core/submission.ts';
import { PRIORITY } from '../../core/task.ts';
import { mediaTypeOf, withJson } from '../body.ts';
import type { BodyBudget } from '../body.ts';
import { json } from '../endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from '../endpoint.ts';
import { Faults, invalid } from '../faults.ts';
import { answerBefore, batchOfOne, keyedBy, onceOf } from './idempotency.ts';
import type { Keyed } from './idempotency.ts';
import { Ndjson } from './ndjson.ts';
import type { LeaderPort, MetricsPort, SubmissionsPort, TaskReaderPort } from '../ports.ts';
import { readBatch, readTask, readWorkflow } from './read-submission.ts';
import { toFields } from '../schemas.ts';
import type { TaskBody } from '../schemas.ts';
import { TaskSet } from './task-set.ts';
import { isSameBody } from '../views.ts';

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

const AUDITED_IDS_MAX = 20;

export function submitEndpoints(deps: SubmitDeps): readonly Endpoint[] {
  return [
    {
      method: 'POST',
      role: 'submit',
      isSubmit: true,
      path: '/tasks',
      handle: (request) => submitTask(deps, request),
    },
    {
      method: 'POST',
      role: 'submit',
      isSubmit: true,
      path: '/tasks/batch',
      handle: (request) => submitBatch(deps, request),
    },
    {
      method: 'POST',
      role: 'submit',
      isSubmit: true,
      path: '/workflows',
      handle: (request) => submitWorkflow(deps, request),
    },
  ];
}

function submitTask(deps: SubmitDeps, { message, entry }: ApiRequest): Promise<ApiResponse> {
  const keyed = keyedBy(message, '/tasks');
  const use = async (value: unknown): Promise<ApiResponse> => {
    const read = readTask(value, '#');
    const audit = { ...entry, target: read.id, detail: { type: read.fields.type } };
    const task = { ...read, audit };
    const location = `/tasks/${encodeURIComponent(task.id)}`;
    const answer = json(201, { id: task.id, status: 'QUEUED' }, { location });
    if (keyed !== null) return submitTaskOnce(deps, keyed, task, value, answer);
    const outcome = await deps.submissions.submitOne(task);
    switch (outcome.kind) {
      case 'stored':
        deps.leader.look(outcome.submitted);
        deps.metrics.tasksSubmitted(1);
        return answer;
      case 'exists':
        throw await alreadyExists(deps, task);
      case 'busy':
        throw errors.overloaded(`the id ${task.id} or a dependency is held by another request`);
      case 'missing':
        throw missingDependencies(value as TaskBody, new Set(outcome.missing));
    }
  };
  return withJson(message, deps.budget, use, keyed?.hash);
}

/** It goes the way of a batch of one: only there a key is written with the tasks. */
async function submitTaskOnce(
  deps: SubmitDeps,
  keyed: Keyed,
  task: SingleTask,
  value: unknown,
  answer: ApiResponse,
): Promise<ApiResponse> {
  const outcome = await deps.submissions.submitOnce(batchOfOne(task), onceOf(keyed, answer));
  switch (outcome.kind) {
    case 'stored':
      told(deps, 1);
      return answer;
    case 'missing':
      throw missingDependencies(value as TaskBody, outcome.missing);
    case 'exist':
    case 'workflow-exists':
      throw await alreadyExists(deps, task);
    default:
      return answerBefore(keyed, outcome);
  }
}

/** Stores a set, under its key where there is one, and tells the leader. */
async function submitSet(
  deps: SubmitDeps,
  keyed: Keyed | null,
  { set, batch, workflowId }: { set: TaskSet; batch: Batch; workflowId: string | null },
  answer: ApiResponse,
): Promise<ApiResponse> {
  const outcome =
    keyed === null
      ? await deps.submissions.submitBatch(batch)
      : await deps.submissions.submitOnce(batch, onceOf(keyed, answer));
  if (outcome.kind === 'replayed' || outcome.kind === 'key-reused') {
    return answerBefore(keyed as Keyed, outcome);
  }
  set.throwIfRefused(outcome, workflowId);
  told(deps, set.graph.count);
  return answer;
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
  const keyed = keyedBy(request.message, '/tasks/batch');
  const use = async (value: unknown): Promise<ApiResponse> => {
    if (!Array.isArray(value))
      throw invalid([{ pointer: '#', detail: 'must be an array of tasks' }]);
    const read = await readBatch(set, value as readonly unknown[], '', null);
    const batch = { ...read, audit: auditOf(request.entry, set) };
    const ids = Array.from({ length: set.graph.count }, (_, task) => set.graph.idOf(task));
    const answer = json(201, { count: ids.length, ids });
    return submitSet(deps, keyed, { set, batch, workflowId: null }, answer);
  };
  return withJson(request.message, deps.budget, use, keyed?.hash);
}

async function submitLines(
  deps: SubmitDeps,
  set: TaskSet,
  { message, entry }: ApiRequest,
): Promise<ApiResponse> {
  const lines = new Ndjson(deps.budget);
  const keyed = keyedBy(message, '/tasks/batch');
  try {
    await lines.readInto(set, message, keyed?.hash);
    const order = await set.check();
    const batch: Batch = {
      graph: set.graph,
      order,
      idPrefix: '',
      typeNames: set.typeNames,
      workflow: null,
      audit: auditOf(entry, set),
      fieldsOf: (task) =>
        toFields(lines.valueOf(task) as TaskBody, PRIORITY.default, '#', new Faults()),
      sizeOf: (task) => lines.sizeOf(task),
    };
    const answer = json(201, { count: set.graph.count });
    return await submitSet(deps, keyed, { set, batch, workflowId: null }, answer);
  } finally {
    await lines.close();
  }
}

function submitWorkflow(deps: SubmitDeps, { message, entry }: ApiRequest): Promise<ApiResponse> {
  const keyed = keyedBy(message, '/workflows');
  const use = async (value: unknown): Promise<ApiResponse> => {
    const { set, id, name, ...read } = await readWorkflow(deps.clock, value, '#');
    const batch = { ...read.batch, audit: { ...auditOf(entry, set), target: id } };
    const count = set.graph.count;
    const ids = Array.from({ length: count }, (_, task) => batch.idPrefix + set.graph.idOf(task));
    const location = `/workflows/${encodeURIComponent(id)}`;
    const answer = json(201, { id, name, status: 'RUNNING', count, ids }, { location });
    return submitSet(deps, keyed, { set, batch, workflowId: id }, answer);
  };
  return withJson(message, deps.budget, use, keyed?.hash);
}

/** One row a call: its first ids say which they are. */
function auditOf(entry: AuditEntry, { graph }: TaskSet): SubmitAudit {
  const { count } = graph;
  const ids = Array.from({ length: Math.min(count, AUDITED_IDS_MAX) }, (_, at) => graph.idOf(at));
  return { ...entry, detail: { count, ids } };
}

function told({ leader, metrics }: SubmitDeps, count: number): void {
  leader.look();
  metrics.tasksSubmitted(count);
}
