import { z } from 'zod';
import { gateSchema } from '../types.ts';
import * as bodies from './bodies.ts';
import { answer, JSON_TYPE, jsonContent, pageOf } from './operation.ts';
import type { Operation } from './operation.ts';
import { cursor, limit } from './task-operations.ts';

/** The routes of types, of the cluster, and of what describes all of them. */
const TYPES: readonly Operation[] = [
  {
    route: 'GET /types',
    id: 'listTypes',
    tag: 'types',
    summary: 'Every type that was heard of',
    query: { limit, cursor },
    answers: { 200: pageOf('A page of types.', z.array(bodies.type)) },
  },
  {
    route: 'GET /types/:type',
    id: 'getType',
    tag: 'types',
    summary: 'Read a type',
    answers: { 200: answer('The type.', bodies.type) },
  },
  {
    route: 'PATCH /types/:type',
    id: 'patchType',
    tag: 'types',
    summary: 'Pause, resume or limit a type',
    description: 'Also one that nobody has heard of yet.',
    body: jsonContent(gateSchema, { two: { max_running: 2 }, unlimited: { max_running: null } }),
    answers: { 200: answer('The type as it is now.', bodies.type) },
  },
  {
    route: 'POST /types/:type/pause',
    id: 'pauseType',
    tag: 'types',
    summary: 'Let its tasks wait',
    answers: { 200: answer('The type as it is now.', bodies.type) },
  },
  {
    route: 'POST /types/:type/resume',
    id: 'resumeType',
    tag: 'types',
    summary: 'Let its tasks run again',
    answers: { 200: answer('The type as it is now.', bodies.type) },
  },
];

const NODE = {
  id: 3,
  name: 'node-1',
  pid: 24924,
  state: 'alive',
  is_leader: true,
  http_url: 'http://127.0.0.1:8080',
  grpc_address: '127.0.0.1:9090',
  slots: 3,
  running: 0,
  types: ['http', 'noop', 'sleep'],
  labels: {},
  version: '0.1.0',
  started_at: '2026-11-21T03:04:39.000Z',
  last_heartbeat_at: '2026-11-21T03:04:41.000Z',
};

const CLUSTER: readonly Operation[] = [
  {
    route: 'GET /cluster',
    id: 'getCluster',
    tag: 'cluster',
    summary: 'Leader, nodes and counts of tasks',
    answers: { 200: answer('The cluster.', bodies.cluster) },
  },
  {
    route: 'GET /nodes',
    id: 'listNodes',
    tag: 'cluster',
    summary: 'The nodes; those that have gone for an hour more',
    answers: { 200: answer('The nodes.', z.array(bodies.node), [NODE]) },
  },
  {
    route: 'GET /nodes/:name',
    id: 'getNode',
    tag: 'cluster',
    summary: 'Read a node',
    answers: { 200: answer('The node.', bodies.node, NODE) },
  },
  {
    route: 'POST /nodes/:name/drain',
    id: 'drainNode',
    tag: 'cluster',
    summary: 'Let it take no more work',
    description:
      'What runs there finishes, or is handed back uncharged when its time to drain is up. It goes on to ' +
      'answer, as `drained`, until it is told otherwise or stopped.',
    answers: { 202: answer('The node; it was asked.', bodies.node) },
    problems: { 409: 'It is not there any more.' },
  },
  {
    route: 'POST /nodes/:name/undrain',
    id: 'undrainNode',
    tag: 'cluster',
    summary: 'Let it take work again',
    answers: { 202: answer('The node; it was asked.', bodies.node) },
    problems: { 409: 'It is not there any more.' },
  },
  {
    route: 'GET /events',
    id: 'listEvents',
    tag: 'cluster',
    summary: 'Elections, joins, losses: the newest first',
    query: { limit, cursor },
    answers: { 200: pageOf('A page of events.', z.array(bodies.event)) },
  },
  {
    route: 'GET /healthz',
    id: 'getHealth',
    tag: 'cluster',
    summary: 'The process lives',
    isLocal: true,
    answers: { 200: answer('It does.', bodies.health, { status: 'ok' }) },
  },
  {
    route: 'GET /readyz',
    id: 'getReadiness',
    tag: 'cluster',
    summary: 'It can accept and run work',
    isLocal: true,
    answers: {
      200: answer('It can.', bodies.readiness, { ready: true, reasons: [] }),
      503: answer('It cannot, for these reasons.', bodies.readiness),
    },
  },
  {
    route: 'GET /leader',
    id: 'getLeadership',
    tag: 'cluster',
    summary: 'Whether this node leads',
    isLocal: true,
    answers: {
      200: answer('It does.', bodies.leadership, { is_leader: true }),
      404: answer('It does not.', bodies.leadership, { is_leader: false }),
    },
  },
  {
    route: 'GET /metrics',
    id: 'getMetrics',
    tag: 'cluster',
    summary: 'Metrics for Prometheus',
    isLocal: true,
    answers: { 200: { description: 'Its text format.', content: { 'text/plain': {} } } },
  },
];

const page = (route: Operation['route'], id: string, summary: string, type: string): Operation => ({
  ...{ route, id, tag: 'documents', summary, isLocal: true },
  answers: {
    200: {
      description: 'The document.',
      content: { [type]: type === JSON_TYPE ? { schema: z.looseObject({}) } : {} },
    },
  },
});

const DOCUMENTS: readonly Operation[] = [
  page('GET /openapi.json', 'getOpenApi', 'This document', JSON_TYPE),
  page('GET /docs', 'getDocs', 'This document as a page', 'text/html'),
  page('GET /docs/:file', 'getDocsFile', 'A file of that page', 'text/javascript'),
  page('GET /', 'getPage', 'The page of the cluster', 'text/html'),
  page('GET /assets/:file', 'getAsset', 'A file of that page', 'text/javascript'),
];

export const clusterOperations: readonly Operation[] = [...TYPES, ...CLUSTER, ...DOCUMENTS];
