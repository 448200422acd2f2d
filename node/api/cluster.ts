import { errors } from '../base/errors.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import type {
  ClusterReaderPort,
  LeaderPort,
  MetricsPort,
  NodeControlPort,
  Readiness,
} from './ports.ts';
import { nextLink, Query } from './query.ts';
import { clusterBody, nodeBody } from './views.ts';

/** The cluster, and what a load balancer or a monitor asks of this one node. */
export interface ClusterDeps {
  readonly cluster: ClusterReaderPort;
  readonly leader: LeaderPort;
  readonly nodes: NodeControlPort;
  readonly metrics: MetricsPort;
  readonly readiness: () => Readiness;
}

export function clusterEndpoints(deps: ClusterDeps): readonly Endpoint[] {
  const { cluster, metrics } = deps;
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/cluster',
      handle: async () => json(200, clusterBody(await cluster.cluster())),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/nodes',
      handle: async () => json(200, (await cluster.nodes()).map(nodeBody)),
    },
    {
      method: 'POST',
      path: '/nodes/:name/drain',
      isForAll: true,
      role: 'operate',
      isBodiless: true,
      handle: (request) => setDrain(deps, request, true),
    },
    {
      method: 'POST',
      path: '/nodes/:name/undrain',
      isForAll: true,
      role: 'operate',
      isBodiless: true,
      handle: (request) => setDrain(deps, request, false),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/nodes/:name',
      handle: (request) => getNode(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/events',
      isForAll: true,
      query: 'own',
      handle: (request) => listEvents(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/metrics',
      isForAll: true,
      query: 'any',
      handle: async () => {
        const { contentType, body } = await metrics.render();
        return { status: 200, headers: { 'content-type': contentType }, text: body };
      },
    },
    ...healthEndpoints(deps),
  ];
}

/** What a load balancer asks of this one node. */
function healthEndpoints({ readiness, leader }: ClusterDeps): readonly Endpoint[] {
  return [
    // The process lives and its event loop turns: nothing else is asked.
    {
      method: 'GET',
      role: 'open',
      path: '/healthz',
      query: 'any',
      handle: () => Promise.resolve(json(200, { status: 'ok' })),
    },
    {
      method: 'GET',
      role: 'open',
      path: '/readyz',
      query: 'any',
      handle: () => {
        const { ready, reasons } = readiness();
        return Promise.resolve(json(ready ? 200 : 503, { ready, reasons }));
      },
    },
    {
      method: 'GET',
      role: 'open',
      path: '/leader',
      query: 'any',
      handle: () => {
        const isLeader = leader.isLeader();
        return Promise.resolve(json(isLeader ? 200 : 404, { is_leader: isLeader }));
      },
    },
  ];
}

async function getNode({ cluster }: ClusterDeps, { params }: ApiRequest): Promise<ApiResponse> {
  const name = params['name'] ?? '';
  const node = (await cluster.nodes()).find((known) => known.name === name);
  if (node === undefined) throw errors.notFound(`the node ${name}`);
  return json(200, nodeBody(node));
}

/** Asked of the node by way of its row and the leader: the answer shows how it stands before that. */
async function setDrain(
  deps: ClusterDeps,
  request: ApiRequest,
  isOn: boolean,
): Promise<ApiResponse> {
  const name = request.params['name'] ?? '';
  const isHere = name.includes('\0') ? null : await deps.nodes.setDrain(name, isOn);
  if (isHere === null) throw errors.notFound(`the node ${name}`);
  if (!isHere) throw errors.conflict(`the node ${name} is not there any more`);
  deps.leader.nodesChanged();
  return { ...(await getNode(deps, request)), status: 202 };
}

async function listEvents({ cluster }: ClusterDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['limit', 'cursor']);
  const limit = query.limit(100);
  const before = query.cursor();
  query.throwIfAny();
  const events = await cluster.events(limit, before);
  const last = events.at(-1);
  const next = events.length === limit && last !== undefined ? last.eventId : null;
  const bodies = events.map(({ eventId, at, kind, node, term, detail }) => ({
    id: eventId,
    at: at.toISOString(),
    kind,
    node,
    term,
    detail: JSON.parse(detail) as unknown,
  }));
  return json(200, bodies, nextLink('/events', request.query, next));
}
