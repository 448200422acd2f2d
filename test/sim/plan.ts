/** What a simulated task does when it runs; its payload says it, so that every node knows. */
export interface Plan {
  readonly ms: number;
  /** Charged attempts that fail before one completes. */
  readonly failures: number;
  /** In a process of its own it ends that process, each time. */
  readonly kills: boolean;
  /** Tasks that it adds when it begins, each attempt the same. */
  readonly adds: readonly AddedPlan[];
}

export interface AddedPlan extends Plan {
  readonly type: string;
  /** By their places among the added ones, or that of the task that adds them. */
  readonly after: readonly (number | 'parent')[];
}

export function planOf(payload: unknown): Plan {
  return payload as Plan;
}

export function addedId(parentId: string, place: number): string {
  return `${parentId}/${String(place)}`;
}
