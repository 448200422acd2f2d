import { z } from 'zod';
import { bulkSchema, patchSchema, taskSchema } from '../schemas.ts';
import * as bodies from './bodies.ts';
import { answer, JSON_TYPE, jsonContent, pageOf } from './operation.ts';
import type { Operation, Parameter } from './operation.ts';

/** The routes of tasks: submits, reads, changes. */
export const limit: Parameter = {
  description: 'Rows on a page, which may be shorter.',
  schema: z.int().min(1).max(500),
  example: 100,
};
export const cursor: Parameter = {
  description: 'Where the page begins: out of the `Link` of the page before.',
  schema: z.int().min(1),
};
export const idempotencyKey: Parameter = {
  description: 'What is sent again under it within 24 h is stored once, and answered alike.',
  schema: z.string().meta({ minLength: 1, maxLength: 255 }),
  example: 'order-17',
};
export const keyed = { 'Idempotency-Key': idempotencyKey };
const text = (description: string): Parameter => ({
  description,
  schema: z.string().meta({ minLength: 1, maxLength: 1000 }),
});
const FILTERS = {
  status: { description: 'In this status.', schema: bodies.status },
  type: text('Of this type.'),
  workflow: text('In the workflow with this id.'),
  tag: text('With this tag.'),
};

const TASK = {
  id: 'task-A',
  type: 'data_processing',
  duration_ms: 5000,
  dependencies: [],
  priority: 50,
};
const SUMMARY = {
  id: 'task-A',
  status: 'COMPLETED',
  type: 'data_processing',
  priority: 50,
  attempt: 1,
  max_attempts: 3,
  duration_ms: 5000,
  tags: [],
  node: 'node-2',
  run_at: null,
  created_at: '2026-11-21T03:04:41.259Z',
  started_at: '2026-11-21T03:04:41.264Z',
  finished_at: '2026-11-21T03:04:46.266Z',
};
const FULL = {
  ...SUMMARY,
  dependencies: [],
  trigger_rule: 'all_success',
  expected_ms: null,
  timeout_ms: null,
  ttl_ms: null,
  backoff: { type: 'exponential', base_ms: 1000, max_ms: 600_000 },
  payload: null,
  result: { simulated: true },
  error: null,
};

const SUBMITS: readonly Operation[] = [
  {
    route: 'POST /tasks',
    id: 'submitTask',
    tag: 'tasks',
    summary: 'Submit a task',
    description:
      'Answered when it is committed. Safe to send again under the same id: the 409 then says by ' +
      '`existing.same_body` that what is there is what was sent.',
    headers: keyed,
    body: jsonContent(taskSchema, {
      task: TASK,
      dependent: { type: 'noop', dependencies: ['task-A'], trigger_rule: 'all_done' },
    }),
    answers: {
      201: {
        ...answer('It is stored.', bodies.accepted, { id: 'task-A', status: 'QUEUED' }),
        headers: { Location: 'Where it is.' },
      },
    },
    problems: {
      400: 'A bad field, a dependency that does not exist.',
      409: 'The id exists, or the Idempotency-Key was used for another body.',
    },
  },
  {
    route: 'POST /tasks/batch',
    id: 'submitBatch',
    tag: 'tasks',
    summary: 'Submit many tasks, all or none',
    description: 'They may depend on each other in any order. NDJSON is read as it comes.',
    headers: keyed,
    body: {
      [JSON_TYPE]: {
        schema: z.array(taskSchema).min(1),
        examples: {
          chain: [
            { id: 'a', type: 'noop' },
            { id: 'b', type: 'noop', dependencies: ['a'] },
          ],
        },
      },
      'application/x-ndjson': { examples: { lines: '{"type":"noop"}\n{"type":"noop"}\n' } },
    },
    answers: {
      201: answer('All of them are stored.', bodies.acceptedBatch, { count: 2, ids: ['a', 'b'] }),
    },
    problems: {
      400: 'Bad fields, missing dependencies, a cycle, which is named.',
      409: 'Ids exist already, or are given twice.',
    },
  },
];

const READS: readonly Operation[] = [
  {
    route: 'GET /tasks',
    id: 'listTasks',
    tag: 'tasks',
    summary: 'List tasks, newest first',
    query: { ...FILTERS, limit, cursor },
    answers: { 200: pageOf('A page of tasks.', z.array(bodies.taskSummary), [SUMMARY]) },
  },
  {
    route: 'GET /tasks/:id',
    id: 'getTask',
    tag: 'tasks',
    summary: 'Read a task, or wait for its end',
    query: {
      wait: {
        description: 'How long to wait for its end, five minutes at most: `500ms`, `30s`, `2m`.',
        schema: z.string().regex(/^\d{1,9}(ms|s|m)?$/),
        example: '30s',
      },
    },
    answers: {
      200: answer('The task.', bodies.task, FULL),
      202: answer('The time is up, and it has not ended.', bodies.task),
    },
  },
  {
    route: 'GET /tasks/:id/explain',
    id: 'explainTask',
    tag: 'tasks',
    summary: 'Why it is not running, or not finished',
    answers: {
      200: answer('A sentence, and the same as data.', bodies.explanation, {
        id: 'train',
        status: 'QUEUED',
        sentence: 'No living node that runs its type has the label gpu=h100.',
        reasons: [
          { reason: 'labels', type: 'noop', labels: { gpu: 'h100' }, missing: { gpu: 'h100' } },
        ],
        estimated_start_at: null,
        estimated_end_at: null,
      }),
    },
  },
  {
    route: 'GET /tasks/:id/attempts',
    id: 'listAttempts',
    tag: 'tasks',
    summary: 'Every try of it, lost leases among them',
    answers: { 200: answer('The latest is the last.', z.array(bodies.attempt)) },
  },
  {
    route: 'GET /tasks/:id/logs',
    id: 'readLogs',
    tag: 'tasks',
    summary: 'What its attempts have said',
    query: {
      attempt: { description: 'Of this one alone.', schema: z.int().min(1).max(32_767) },
      follow: {
        description: 'Goes on until the task has ended.',
        schema: z.enum(['0', '1', 'false', 'true']),
      },
    },
    answers: {
      200: {
        description: 'Lines as they come: NDJSON where `Accept` names JSON, else text.',
        content: {
          'text/plain': {},
          'application/x-ndjson': { schema: bodies.logLine },
        },
      },
    },
  },
  {
    route: 'GET /tasks/:id/dependents',
    id: 'listDependents',
    tag: 'tasks',
    summary: 'Tasks that depend on it',
    query: { limit, cursor },
    answers: { 200: pageOf('A page of tasks.', z.array(bodies.taskSummary)) },
  },
];

const CHANGES: readonly Operation[] = [
  {
    route: 'PATCH /tasks/:id',
    id: 'patchTask',
    tag: 'tasks',
    summary: 'Change priority, payload or time of a task that waits',
    body: jsonContent(patchSchema, { urgent: { priority: 1 } }),
    answers: { 200: answer('The task as it is now.', bodies.task) },
    problems: { 409: 'It is leased, or has ended.' },
  },
  {
    route: 'POST /tasks/:id/cancel',
    id: 'cancelTask',
    tag: 'tasks',
    summary: 'Ask to cancel it',
    answers: { 202: answer('The leader will do it.', bodies.accepted) },
    problems: { 409: 'It has ended.' },
  },
  {
    route: 'POST /tasks/:id/retry',
    id: 'retryTask',
    tag: 'tasks',
    summary: 'Ask to run it again',
    description: 'With it run the descendants that were SKIPPED because of it.',
    answers: { 202: answer('The leader will do it.', bodies.accepted) },
    problems: { 409: 'It did not end as FAILED, CANCELLED or SKIPPED.' },
  },
  {
    route: 'POST /tasks/cancel',
    id: 'cancelTasks',
    tag: 'tasks',
    summary: 'Ask to cancel all that a filter names',
    body: jsonContent(bulkSchema, { nightly: { tag: 'nightly', dry_run: true } }),
    answers: {
      200: answer('A dry run: so many fit.', bodies.bulkCount, { count: 12, dry_run: true }),
      202: answer('The leader will do it.', bodies.bulkCount, { count: 12 }),
    },
  },
  {
    route: 'POST /tasks/retry',
    id: 'retryTasks',
    tag: 'tasks',
    summary: 'Ask to run again all that a filter names',
    body: jsonContent(bulkSchema, { failed: { status: 'FAILED', type: 'noop' } }),
    answers: {
      200: answer('A dry run: so many fit.', bodies.bulkCount, { count: 3, dry_run: true }),
      202: answer('The leader will do it.', bodies.bulkCount, { count: 3 }),
    },
  },
];

export const taskOperations: readonly Operation[] = [...SUBMITS, ...READS, ...CHANGES];
