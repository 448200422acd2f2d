import { Phase } from './task-graph.ts';

/**
 * What the leader alone knows of a task: how many are ahead of it, what is busy where it could run, and so
 * about when it starts.
 */
export interface Prospect {
  /** Whether the task is in the leader's graph at all. */
  readonly isKnown: boolean;
  readonly phase: Phase;
  /** Ready tasks that come first and compete for the same nodes; 0 for one that is not ready. */
  readonly ahead: number;
  readonly isAheadExact: boolean;
  /** What those take together, milliseconds. */
  readonly aheadMs: number;
  /** Leases at the nodes that can run it, and what is left of them, milliseconds. */
  readonly held: number;
  readonly heldMs: number;
  /** Nodes that can run it now, and their slots. */
  readonly nodes: number;
  readonly slots: number;
  /** Leases of its type, where the type is limited. */
  readonly typeRunning: number;
  /** Milliseconds until it starts; -1 where nothing says when that is. */
  readonly startInMs: number;
  /** What it takes once it runs; -1 where nobody has said and no task of its type has completed. */
  readonly runMs: number;
  /** What a task holds its slot for beyond that, where none waits behind it; -1 for unknown. */
  readonly overheadMs: number;
}

export const UNKNOWN = -1;

export const NO_PROSPECT: Prospect = {
  ...{ isKnown: false, phase: Phase.FREE, ahead: 0, isAheadExact: true, aheadMs: 0, held: 0 },
  ...{ heldMs: 0, nodes: 0, slots: 0, typeRunning: 0, startInMs: UNKNOWN, runMs: UNKNOWN },
  overheadMs: UNKNOWN,
};
