import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { WorkflowRecord } from '../store/workflow-reader.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { Forecasts } from './forecasts.ts';
import type { LeaderPort, TaskChangesPort, WorkflowReaderPort } from './ports.ts';
import { nextLink, Query } from './query.ts';
import { graphBody, workflowBody } from './views.ts';

/** Workflows that are stored. */
export interface WorkflowDeps {
  readonly clock: Clock;
  readonly workflows: WorkflowReaderPort;
  readonly changes: TaskChangesPort;
  readonly leader: LeaderPort;
}

/** Tasks of a graph that is sent in one piece. */
const GRAPH_NODES_MAX = 50_000;
/** Counting costs a lookup a task, so a page of workflows is short unless asked otherwise. */
const PAGE = 50;

export function workflowEndpoints(deps: WorkflowDeps): readonly Endpoint[] {
  const forecasts = new Forecasts(deps);
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/workflows',
      query: 'own',
      handle: (request) => list(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/workflows/:id',
      handle: async (request) => {
        const workflow = await findOrThrow(deps, request);
        const isRunning = workflow.status === 'RUNNING';
        const forecast = isRunning ? await forecasts.of(workflow.id, request.signal) : null;
        return json(200, workflowBody(workflow, forecast));
      },
    },
    {
      method: 'GET',
      role: 'read',
      path: '/workflows/:id/graph',
      handle: (request) => graph(deps, request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/workflows/:id/cancel',
      isBodiless: true,
      handle: (request) => cancel(deps, request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/workflows/:id/retry',
      isBodiless: true,
      handle: (request) => retry(deps, request),
    },
  ];
}

async function list({ workflows }: WorkflowDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['limit', 'cursor']);
  const limit = query.limit(PAGE);
  const before = query.cursor();
  query.throwIfAny();
  const page = await workflows.list(limit, before);
  const link = nextLink('/workflows', request.query, page.next);
  return json(
    200,
    page.workflows.map((workflow) => workflowBody(workflow, null)),
    link,
  );
}

async function graph({ workflows }: WorkflowDeps, request: ApiRequest): Promise<ApiResponse> {
  const id = idOf(request);
  const nodes = await workflows.graph(id, GRAPH_NODES_MAX);
  if (nodes === null) throw errors.notFound(`the workflow ${id}`);
  if (nodes === 'too-large') {
    throw errors.tooLarge('the graph', `${String(GRAPH_NODES_MAX)} tasks in one answer`);
  }
  return json(200, graphBody(id, nodes));
}

async function cancel(deps: WorkflowDeps, request: ApiRequest): Promise<ApiResponse> {
  const { id } = await findOrThrow(deps, request);
  const count = await deps.changes.cancelWorkflow(id);
  if (count > 0) deps.leader.look();
  const { status } = await findOrThrow(deps, request);
  if (count === 0)
    throw errors.conflict(`the workflow ${id} has ended`, { existing: { id, status } });
  return json(202, { id, status, count });
}

async function retry(deps: WorkflowDeps, request: ApiRequest): Promise<ApiResponse> {
  const { id } = await findOrThrow(deps, request);
  const count = await deps.changes.retryWorkflow(id);
  const { status } = await findOrThrow(deps, request);
  if (count === 0) {
    const detail = `nothing in the workflow ${id} ended as FAILED, CANCELLED or SKIPPED`;
    throw errors.conflict(detail, { existing: { id, status } });
  }
  deps.leader.look();
  return json(202, { id, status, count });
}

async function findOrThrow(
  { workflows }: WorkflowDeps,
  request: ApiRequest,
): Promise<WorkflowRecord> {
  const id = idOf(request);
  const workflow = await workflows.find(id);
  if (workflow === null) throw errors.notFound(`the workflow ${id}`);
  return workflow;
}

function idOf({ params }: ApiRequest): string {
  const id = params['id'] ?? '';
  if (id.includes('\0')) throw errors.notFound('such a workflow');
  return id;
}
