/**
 * What of the history is removed, and how fast. The history is what has ended: tasks, and what is kept of
 * them. The oldest goes first, and only what nothing that is not over refers to (rule 15).
 */
export interface RetentionPolicy {
  /** What ended longer ago goes; 0 for no limit. */
  readonly ageMs: number;
  /** Above so many bytes of history the oldest go; 0 for no limit. */
  readonly bytesMax: number;
}

/** How much of one kind is stored, estimated. */
export interface Stored {
  readonly rows: number;
  readonly bytesPerRow: number;
}

/**
 * How many tasks are too many. Rows are counted, not files: what is removed leaves room in a file for what
 * comes, and the file as large as it was.
 */
export function tasksOver(tasks: Stored, others: readonly Stored[], bytesMax: number): number {
  const bytes = [tasks, ...others].reduce((sum, one) => sum + one.rows * one.bytesPerRow, 0);
  if (bytesMax === 0 || bytes <= bytesMax || tasks.rows === 0) return 0;
  return Math.ceil((bytes - bytesMax) / (bytes / tasks.rows));
}

/** Of one connection's time. A busy database takes longer for a portion, and gets longer pauses. */
const SHARE = 0.1;
const PAUSE_MS = { min: 50, max: 10_000 };

export function pauseAfterMs(tookMs: number): number {
  return Math.min(PAUSE_MS.max, Math.max(PAUSE_MS.min, tookMs / SHARE - tookMs));
}

export interface Kept {
  readonly seq: number;
  /** Something that stays refers to it. */
  readonly isReferenced: boolean;
  /** Those of the same portion that refer to it. */
  readonly referredBy: readonly number[];
}

/** What must stay of a portion: what is referred to, and so on for what that refers to in turn. */
export function closureOf(portion: readonly Kept[]): ReadonlySet<number> {
  const kept = new Set(portion.filter(({ isReferenced }) => isReferenced).map(({ seq }) => seq));
  for (let before = -1; before < kept.size;) {
    before = kept.size;
    for (const { seq, referredBy } of portion) {
      if (referredBy.some((one) => kept.has(one))) kept.add(seq);
    }
  }
  return kept;
}
