import { z } from 'zod';
import {
  BACKOFF,
  DURATION_MS_MAX,
  ID_LENGTH_MAX,
  MAX_ATTEMPTS,
  PAYLOAD_BYTES_MAX,
  PRIORITY,
  TASK_STATUSES,
  TRIGGER_RULE_NAMES,
  TriggerRule,
} from '../core/task.ts';
import { LABEL_KEY, LABEL_VALUE, labelTexts, LABELS_MAX } from '../core/labels.ts';
import type { TaskStatus } from '../core/task.ts';
import type { TaskFields } from '../core/submission.ts';
import type { Faults } from './faults.ts';
import { checkValue } from './json-guard.ts';

/**
 * The bodies that are accepted. Objects are strict: a field that is not known is a fault, because a
 * misspelt `prioritty` that is silently dropped costs its user an evening. Checks that need more than
 * one field, and those of the payload, are in `toFields`: plain code, since a bulk submit runs them a
 * hundred thousand times.
 */
const TAGS_MAX = 64;

/** One space may stand between printable characters; control, format and unpaired surrogates may not. */
const ALL_PRINTABLE = /^[^\p{C}\p{Z}](?:[^\p{C}\p{Z}]| )*$/u;
const PLAIN = /^[\w.:/-]{1,255}$/;

/** `.` and `..` are refused because every client folds them away in a path, however encoded. */
export function isName(text: string): boolean {
  if (text === '.' || text === '..') return false;
  if (PLAIN.test(text)) return true;
  return ALL_PRINTABLE.test(text) && !text.endsWith(' ') && lengthOf(text) <= ID_LENGTH_MAX;
}

/** In characters, not in UTF-16 units. */
export function lengthOf(text: string): number {
  return text.length <= ID_LENGTH_MAX ? text.length : Array.from(text).length;
}

const name = z
  .string()
  .refine(isName, `must be 1–${String(ID_LENGTH_MAX)} printable characters, and not . or ..`)
  .meta({ minLength: 1, maxLength: ID_LENGTH_MAX });
const milliseconds = z.int().min(0).max(DURATION_MS_MAX);
const priority = z.int().min(PRIORITY.most).max(PRIORITY.least);
const labels = z
  .record(
    z.string().regex(LABEL_KEY, 'must be a key of letters, digits, and . _ / -, 63 at most'),
    z.union(
      [z.boolean(), z.number(), z.string().regex(LABEL_VALUE)],
      'must be true, false, a number, or text of letters, digits, and . _ : / -, 63 at most',
    ),
  )
  .refine((given) => Object.keys(given).length <= LABELS_MAX, {
    error: `must be ${String(LABELS_MAX)} labels at most`,
  });
export const instant = z.iso
  .datetime({ offset: true, error: 'must be an ISO 8601 time with a zone' })
  // A text that is no time has its fault already.
  .refine((text) => !(Date.parse(text) < 0), 'must be a time after 1970');

export const taskSchema = z.strictObject({
  id: name.optional(),
  type: name,
  payload: z.unknown().optional(),
  duration_ms: milliseconds.nullish(),
  dependencies: z.array(name).optional(),
  priority: priority.optional(),
  max_attempts: z.int().min(1).max(MAX_ATTEMPTS.max).optional(),
  backoff: z
    .strictObject({
      type: z.enum(['fixed', 'exponential']).optional(),
      base_ms: milliseconds.optional(),
      max_ms: milliseconds.optional(),
    })
    .optional(),
  timeout_ms: z.int().min(1).max(DURATION_MS_MAX).nullish(),
  ttl_ms: z.int().min(1).max(DURATION_MS_MAX).nullish(),
  run_at: instant.nullish(),
  delay_ms: milliseconds.nullish(),
  trigger_rule: z.enum(TRIGGER_RULE_NAMES).optional(),
  tags: z.array(name).max(TAGS_MAX).optional(),
  labels: labels.optional(),
  expected_ms: milliseconds.nullish(),
});
export type TaskBody = z.infer<typeof taskSchema>;

export const patchSchema = z
  .strictObject({
    priority: priority.optional(),
    payload: z.unknown().optional(),
    run_at: instant.nullish(),
  })
  .refine((body) => Object.keys(body).length > 0, 'must name priority, payload or run_at');

/** Ids that one call may name. */
const BULK_IDS_MAX = 10_000;

export const bulkSchema = z.strictObject({
  ids: z.array(name).min(1).max(BULK_IDS_MAX).optional(),
  status: z.enum(TASK_STATUSES as [TaskStatus, ...TaskStatus[]]).optional(),
  type: name.optional(),
  workflow: name.optional(),
  tag: name.optional(),
  all: z.boolean().optional(),
  dry_run: z.boolean().optional(),
});

/** Its tasks are looked at one by one, in slices. */
export const workflowSchema = z.strictObject({
  id: name.optional(),
  name: name.optional(),
  priority: priority.optional(),
  tasks: z.array(z.unknown()).min(1, 'must hold a task'),
});

/** The fields of a body that the schema accepted, with every default; adds what it finds wrong. */
export function toFields(
  body: TaskBody,
  defaultPriority: number,
  pointer: string,
  faults: Faults,
): TaskFields {
  const { backoff } = body;
  const baseMs = backoff?.base_ms ?? Math.min(BACKOFF.baseMs, backoff?.max_ms ?? BACKOFF.baseMs);
  const maxMs = backoff?.max_ms ?? Math.max(BACKOFF.maxMs, baseMs);
  if (baseMs > maxMs) faults.add(`${pointer}/backoff/base_ms`, 'must not exceed max_ms');
  const runAt = body.run_at ?? null;
  const delayMs = body.delay_ms ?? null;
  if (runAt !== null && delayMs !== null) {
    faults.add(`${pointer}/delay_ms`, 'must not stand beside run_at');
  }
  return {
    type: body.type,
    payload: toPayload(body.payload, `${pointer}/payload`, faults),
    priority: body.priority ?? defaultPriority,
    maxAttempts: body.max_attempts ?? MAX_ATTEMPTS.default,
    triggerRule: TriggerRule[body.trigger_rule ?? 'all_success'],
    durationMs: body.duration_ms ?? null,
    expectedMs: body.expected_ms ?? null,
    timeoutMs: body.timeout_ms ?? null,
    ttlMs: body.ttl_ms ?? null,
    backoffFixed: backoff?.type === 'fixed',
    backoffBaseMs: baseMs,
    backoffMaxMs: maxMs,
    runAtMs: runAt === null ? null : Date.parse(runAt),
    delayMs,
    tags: body.tags ?? [],
    labels: body.labels === undefined ? [] : labelTexts(body.labels),
  };
}

/**
 * The JSON text to store; null where there is none. It is written anew from the parsed value, so that
 * unpaired surrogates and zero characters are escapes in it, which a json column takes as they are.
 */
export function toPayload(value: unknown, pointer: string, faults: Faults): string | null {
  if (value === undefined || value === null) return null;
  checkValue(value, pointer, faults);
  const text = JSON.stringify(value);
  if (text.length > PAYLOAD_BYTES_MAX / 3 && Buffer.byteLength(text) > PAYLOAD_BYTES_MAX) {
    faults.addTooLarge(`the payload at ${pointer}`, `${String(PAYLOAD_BYTES_MAX)} bytes (256 KiB)`);
  }
  return text;
}
