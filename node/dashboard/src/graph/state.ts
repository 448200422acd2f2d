import type { GraphRow } from '../bodies.ts';
import type { Box, Scene } from './scene.ts';

/** What a drawing of a graph shows beside where things are; both ways of drawing read the same. */
export interface Shown {
  readonly rows: readonly GraphRow[];
  readonly scene: Scene;
  readonly chosen: string | null;
  /** Places of the tasks on the critical path; empty where it is not shown. */
  readonly critical: ReadonlySet<number>;
  /** The name of a task within its workflow. */
  readonly nameOf: (id: string) => string;
}

export interface GroupCounts {
  readonly total: number;
  readonly byStatus: ReadonlyMap<string, number>;
}

export function countsOf(rows: readonly GraphRow[], members: readonly number[]): GroupCounts {
  const byStatus = new Map<string, number>();
  for (const place of members) {
    const status = rows[place]?.status ?? 'QUEUED';
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
  }
  return { total: members.length, byStatus };
}

/** What a group is, as one status: what needs eyes most. */
export function statusOf({ total, byStatus }: GroupCounts): string {
  const count = (status: string): number => byStatus.get(status) ?? 0;
  if (count('FAILED') > 0) return 'FAILED';
  if (count('RUNNING') > 0) return 'RUNNING';
  if (count('COMPLETED') === total) return 'COMPLETED';
  const waiting = count('QUEUED');
  if (waiting === 0) return count('CANCELLED') > 0 ? 'CANCELLED' : 'SKIPPED';
  return waiting < total ? 'RUNNING' : 'QUEUED';
}

export function isCritical({ place, members }: Box, critical: ReadonlySet<number>): boolean {
  if (members === null) return critical.has(place);
  return critical.size > 0 && members.some((member) => critical.has(member));
}

/** What a chosen task depends on, and what depends on it. */
export function neighboursOf(rows: readonly GraphRow[], id: string): readonly [string, string][] {
  const own = rows.find((row) => row.id === id)?.dependencies ?? [];
  const pairs: [string, string][] = own.map((dependency) => [dependency, id]);
  for (const row of rows) if (row.dependencies.includes(id)) pairs.push([id, row.id]);
  return pairs;
}

/** Where a task is drawn: its own box, or that of the closed group it is in. */
export function boxFor({ boxOf, groupOf }: Scene, id: string, place: number): Box | undefined {
  return boxOf.get(id) ?? boxOf.get(groupOf?.[place] ?? '');
}
