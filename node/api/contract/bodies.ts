import { z } from 'zod';
import { TASK_STATUSES, TRIGGER_RULE_NAMES } from '../../core/task.ts';
import type { TaskStatus } from '../../core/task.ts';
import { ROLES } from '../../core/access.ts';
import { CATCH_UPS, OVERLAPS } from '../../core/schedule.ts';

/** The bodies of answers, and the way they are named in the document. */
const id = z.string().meta({ description: 'Of the user’s choice, or a UUID of version 7.' });
const time = z.iso.datetime({ precision: 3 }).meta({ description: 'UTC, with milliseconds.' });
const milliseconds = z.number().min(0);
const priority = z
  .int()
  .min(1)
  .max(100)
  .meta({ description: '1 is the most urgent, 100 the least, 50 the default.' });
export const status = z
  .enum(TASK_STATUSES as [TaskStatus, ...TaskStatus[]])
  .meta({ description: 'QUEUED waits; RUNNING is leased to a node; the others are ends.' });
const workflowStatus = z.enum(['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED']);
const counts = z.object({
  QUEUED: z.int(),
  RUNNING: z.int(),
  COMPLETED: z.int(),
  FAILED: z.int(),
  CANCELLED: z.int(),
  SKIPPED: z.int(),
});
const labels = z.record(z.string(), z.string());
const anyJson = z.unknown();
const taskError = z
  .object({ code: z.string(), message: z.string(), retryable: z.boolean() })
  .nullable();
const attemptError = z
  .object({ code: z.string(), message: z.string(), retryable: z.boolean().optional() })
  .nullable();

const summaryFields = {
  id,
  status,
  type: z.string(),
  priority,
  attempt: z.int().meta({ description: 'Charged tries: the one under way, and those that ended.' }),
  max_attempts: z.int(),
  duration_ms: milliseconds.nullable(),
  workflow: z.string().optional(),
  tags: z.array(z.string()),
  node: z.string().nullable(),
  run_at: time.nullable(),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
};
export const taskSummary = z.object(summaryFields);

export const waitingFor = z
  .object({
    reason: z.enum(['dependencies', 'time', 'paused', 'type', 'labels', 'slot']),
    dependencies: z.array(z.string()).optional(),
    count: z.int().optional(),
    run_at: time.optional(),
    type: z.string().optional(),
    labels: labels.optional(),
    max_running: z.int().optional(),
  })
  .meta({ description: 'Why a QUEUED task is not running.' });

export const task = z.object({
  ...summaryFields,
  dependencies: z.array(z.string()),
  labels: labels.optional(),
  trigger_rule: z.enum(TRIGGER_RULE_NAMES),
  expected_ms: milliseconds.nullable(),
  timeout_ms: milliseconds.nullable(),
  ttl_ms: milliseconds.nullable(),
  backoff: z.object({
    type: z.enum(['fixed', 'exponential']),
    base_ms: milliseconds,
    max_ms: milliseconds,
  }),
  progress: z.object({ fraction: z.number(), note: z.string().nullable(), at: time }).optional(),
  waiting_for: waitingFor.optional(),
  payload: anyJson,
  result: anyJson,
  error: taskError,
  last_error: taskError
    .optional()
    .meta({ description: 'How the latest attempt failed, of a task that is to be tried again.' }),
});

export const attempt = z.object({
  attempt: z.int(),
  outcome: z.string().meta({ description: 'In lower case; `running` for one under way.' }),
  lease_seq: z.int(),
  node: z.string().nullable(),
  started_at: time.nullable(),
  finished_at: time.nullable(),
  error: attemptError,
});

export const logLine = z.object({
  at: time,
  attempt: z.int(),
  lease_seq: z.int(),
  node: z.string().nullable(),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string(),
  fields: z.record(z.string(), z.unknown()).optional(),
  stale: z.literal(true).optional().meta({ description: 'It came when its lease was over.' }),
});

export const explanation = z.object({
  id,
  status,
  sentence: z.string(),
  reasons: z.array(z.looseObject({ reason: z.string() })),
  ahead: z.int().optional().meta({ description: 'Ready tasks that come first.' }),
  ahead_is_exact: z.boolean().optional(),
  estimated_start_at: time.nullish(),
  estimated_end_at: time.nullish(),
});

export const accepted = z.object({ id, status });
export const acceptedWorkflow = z.object({
  id,
  name: z.string(),
  status: workflowStatus,
  count: z.int(),
  ids: z.array(z.string()),
});
export const acceptedBatch = z.object({
  count: z.int(),
  ids: z.array(z.string()).optional().meta({ description: 'Absent for NDJSON.' }),
});
export const acceptedRun = z.object({
  id,
  status: z.enum(['QUEUED', 'RUNNING']),
  schedule: z.string(),
});
export const asked = z.object({ id, status: workflowStatus, count: z.int() });
export const bulkCount = z.object({ count: z.int(), dry_run: z.literal(true).optional() });

export const workflow = z.object({
  id,
  name: z.string(),
  status: workflowStatus,
  priority,
  counts,
  created_at: time,
  finished_at: time.nullable(),
  eta: time.nullish().meta({ description: 'About when it ends; null where nobody knows.' }),
  remaining_ms: z.int().nullish(),
});

export const graph = z.object({
  nodes: z.array(
    z.object({
      id,
      name: z.string(),
      type: z.string(),
      status,
      duration_ms: milliseconds.nullable(),
      expected_ms: milliseconds.nullable(),
      started_at: time.nullable(),
      finished_at: time.nullable(),
      priority,
    }),
  ),
  edges: z
    .array(z.array(z.string()).length(2))
    .meta({ description: 'From a dependency to its dependent, by global ids.' }),
});

export const type = z.object({
  type: z.string(),
  paused: z.boolean(),
  max_running: z.int().nullable(),
  handled: z.boolean(),
  nodes: z.array(z.string()).meta({ description: 'The living nodes that handle it.' }),
});

export const schedule = z.object({
  id,
  cron: z.string().optional(),
  timezone: z.string().optional(),
  every_ms: z.int().optional(),
  anchor: time.optional(),
  starts_at: time.nullable(),
  ends_at: time.nullable(),
  catch_up: z.enum(CATCH_UPS),
  overlap: z.enum(OVERLAPS),
  paused: z.boolean(),
  next_fires: z.array(time),
  held_fire_at: time.nullable(),
  last_fire_at: time.nullable(),
  last_run: z.object({ id, status: z.string().nullable() }).nullable(),
  counts: z.object({ fired: z.int(), skipped: z.int(), missed: z.int(), refused: z.int() }),
  problem: z.object({ message: z.string(), at: time }).nullable(),
  created_at: time,
  updated_at: time,
  task: z.record(z.string(), z.unknown()).optional(),
  workflow: z.record(z.string(), z.unknown()).optional(),
});
export const deleted = z.object({ id, deleted: z.literal(true) });

export const node = z.object({
  id: z.int().meta({ description: 'Of this incarnation.' }),
  name: z.string(),
  pid: z.int(),
  state: z.string(),
  is_leader: z.boolean(),
  http_url: z.string(),
  grpc_address: z.string(),
  slots: z.int(),
  running: z.int(),
  types: z.array(z.string()),
  labels,
  version: z.string(),
  started_at: time,
  last_heartbeat_at: time,
});
export const cluster = z.object({
  term: z.int(),
  leader: z.string().nullable(),
  nodes: z.array(node),
  counts,
});
export const event = z.object({
  id: z.int(),
  at: time,
  kind: z.string(),
  node: z.string().nullable(),
  term: z.int().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export const health = z.object({ status: z.literal('ok') });
export const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
export const leadership = z.object({ is_leader: z.boolean() });

/** RFC 9457. */
export const problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().meta({ description: 'What a program should look at; never renamed.' }),
  errors: z
    .array(z.object({ pointer: z.string(), detail: z.string() }))
    .optional()
    .meta({ description: 'Every fault, with its JSON pointer into the body, or `?parameter`.' }),
  existing: z.unknown().meta({ description: 'What is in the way of a 409.' }).optional(),
  request_id: z.string(),
});

const keyFields = {
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  namespace: z.string().meta({ description: 'The one that it is for; `*` for all.' }),
  status: z.enum(['valid', 'expired', 'revoked']),
  created_at: time,
  created_by: z.string(),
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
  last_used_at: time.nullable().meta({ description: 'To the minute.' }),
};
export const key = z.object(keyFields);
export const madeKey = z.object({
  ...keyFields,
  key: z.string().meta({ description: 'Shown this once.' }),
});

export const audit = z.object({
  id: z.int(),
  at: time,
  actor: z.string().meta({ description: 'The name of the key; `local` where none was asked for.' }),
  key_id: z.string().nullable(),
  address: z.string(),
  action: z.string(),
  target: z.string().nullable().meta({ description: 'What the path names, or the id submitted.' }),
  status: z
    .int()
    .nullable()
    .meta({ description: 'Of the answer; null while there is none, or where its node has died.' }),
  detail: z.record(z.string(), z.unknown()).nullable(),
  request_id: z.string(),
});
