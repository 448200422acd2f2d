/**
 * What a run may have proven to be wrong.
 *
 *   lost            acknowledged, and not in the database; or neither ended nor live
 *   accepted-twice  a second end, an outcome under a lease that was over, a lease given while held
 *   early           leased before its trigger rule held, skipped though it did not ask for it
 *   stuck           not ended when the time for it was up
 *   old-term        a commit of a leader when a later term had begun
 *   overlap         a task that ran in two processes of its own at the same time
 *   unleased        a handler that began without its lease, or before it was committed
 *   inconsistent    tables that contradict each other, an attempt charged beyond the budget
 */
export const VIOLATION_KINDS = [
  'lost',
  'accepted-twice',
  'early',
  'stuck',
  'old-term',
  'overlap',
  'unleased',
  'inconsistent',
] as const;
export type ViolationKind = (typeof VIOLATION_KINDS)[number];

export interface Violation {
  readonly kind: ViolationKind;
  /** A sentence for whoever looks into it. */
  readonly what: string;
  readonly task: string | null;
}
