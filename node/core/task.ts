/**
 * What a task is to the scheduler: its statuses, its trigger rules, and the transitions between them.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> QUEUED
 *   QUEUED --> RUNNING
 *   QUEUED --> FAILED
 *   QUEUED --> CANCELLED
 *   QUEUED --> SKIPPED
 *   RUNNING --> QUEUED
 *   RUNNING --> COMPLETED
 *   RUNNING --> FAILED
 *   RUNNING --> CANCELLED
 *   FAILED --> QUEUED
 *   CANCELLED --> QUEUED
 *   SKIPPED --> QUEUED
 * ```
 *
 * RUNNING means leased. QUEUED → FAILED is a task that nobody has begun within its `ttl_ms`.
 * RUNNING → QUEUED is a failed attempt with budget left, a lost lease, or an interrupted task given back.
 * An ended task other than COMPLETED goes back to QUEUED by a retry only.
 */

/** The four ends, by the code that the database stores. */
export const EndCode = { COMPLETED: 1, FAILED: 2, CANCELLED: 3, SKIPPED: 4 } as const;
export type EndStatus = keyof typeof EndCode;
export type EndCode = (typeof EndCode)[EndStatus];

export type TaskStatus = 'QUEUED' | 'RUNNING' | EndStatus;

const END_STATUSES: readonly EndStatus[] = ['COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'];

/** The status of an end code, as read from the database; throws on a code that is none. */
export function endStatusOrThrow(code: number): EndStatus {
  const status = END_STATUSES[code - 1];
  if (status === undefined) throw new Error(`${String(code)} is not an end code`);
  return status;
}

export const TASK_STATUSES: readonly TaskStatus[] = ['QUEUED', 'RUNNING', ...END_STATUSES];

/** Every transition a task may take; the diagram above is compared with it by a test. */
export const TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  QUEUED: ['RUNNING', 'FAILED', 'CANCELLED', 'SKIPPED'],
  RUNNING: ['QUEUED', 'COMPLETED', 'FAILED', 'CANCELLED'],
  COMPLETED: [],
  FAILED: ['QUEUED'],
  CANCELLED: ['QUEUED'],
  SKIPPED: ['QUEUED'],
};

/** Trigger rules by the code that the database stores. */
export const TriggerRule = {
  all_success: 0,
  all_done: 1,
  one_success: 2,
  one_failed: 3,
  none_failed: 4,
} as const;
export type TriggerRuleName = keyof typeof TriggerRule;
export type TriggerRuleCode = (typeof TriggerRule)[TriggerRuleName];

export const TRIGGER_RULE_NAMES: readonly TriggerRuleName[] = [
  'all_success',
  'all_done',
  'one_success',
  'one_failed',
  'none_failed',
];

/** Counts over the dependencies of one task, the ended by how they ended. */
export interface DependencyCounts {
  readonly unended: number;
  readonly succeeded: number;
  /** FAILED or CANCELLED. */
  readonly failed: number;
  readonly skipped: number;
}

export type TriggerVerdict = 'wait' | 'ready' | 'skip';

/** What a trigger rule says over dependencies as they stand. A task without any is ready. */
export function verdictOf(rule: TriggerRuleCode, counts: DependencyCounts): TriggerVerdict {
  const { unended, succeeded, failed, skipped } = counts;
  if (unended + succeeded + failed + skipped === 0) return 'ready';
  switch (rule) {
    case TriggerRule.all_success:
      if (failed + skipped > 0) return 'skip';
      return unended === 0 ? 'ready' : 'wait';
    case TriggerRule.all_done:
      return unended === 0 ? 'ready' : 'wait';
    case TriggerRule.one_success:
      if (succeeded > 0) return 'ready';
      return unended === 0 ? 'skip' : 'wait';
    case TriggerRule.one_failed:
      if (failed > 0) return 'ready';
      return unended === 0 ? 'skip' : 'wait';
    case TriggerRule.none_failed:
      if (failed > 0) return 'skip';
      return unended === 0 ? 'ready' : 'wait';
  }
}

/** Limits and defaults of the contract. Priority 1 is the most urgent, 100 the least. */
export const PRIORITY = { most: 1, least: 100, default: 50 } as const;
export const MAX_ATTEMPTS = { default: 3, max: 100 } as const;
export const BACKOFF = { baseMs: 1000, maxMs: 600_000 } as const;
/** A duration is stored as a 32-bit integer of milliseconds: 24 days at most. */
export const DURATION_MS_MAX = 2_147_483_647;
export const ID_LENGTH_MAX = 255;
export const PAYLOAD_BYTES_MAX = 256 * 1024;
export const BATCH_TASKS_MAX = 1_000_000;
export const BATCH_DEPENDENCIES_MAX = 5_000_000;
