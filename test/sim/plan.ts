/** What a simulated task does when it runs; its payload says it, so that every node knows. */
export interface Plan {
  readonly ms: number;
  /** Charged attempts that fail before one completes. */
  readonly failures: number;
  /** In a process of its own it ends that process, each time. */
  readonly kills: boolean;
}

export function planOf(payload: unknown): Plan {
  return payload as Plan;
}
