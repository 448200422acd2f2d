import type { Member } from './members.ts';
import type { PlacementClass } from './placement.ts';
import { NO_PROSPECT, UNKNOWN, type Prospect } from './prospect.ts';
import type { SchedulerState } from './scheduler-state.ts';
import { NONE, Phase, Seen } from './task-graph.ts';

/**
 * The answers to questions of people, who ask often: so that each takes a bounded look. What is more than
 * LOOKS_MAX tasks is estimated from as many (measured: 0.25 ms with a million ready).
 */
const LOOKS_MAX = 2500;
/** Ancestors looked at, for the time until a task is ready. */
const ANCESTORS_MAX = 2000;

export function prospectOf(state: SchedulerState, seq: number): Prospect {
  const { graph } = state;
  const row = graph.find(seq);
  if (row === NONE) return NO_PROSPECT;
  const placement = state.placementOf(row);
  const phase = graph.at(graph.phase, row) as Phase;
  const able = ableNodes(state, placement);
  const held = heldAt(state, able);
  const ahead =
    phase === Phase.READY ? aheadOf(state, row, able) : { ahead: 0, isExact: true, ms: 0 };
  const slots = able.reduce((sum, member) => sum + member.slots, 0);
  return {
    ...{ isKnown: true, phase, ahead: ahead.ahead, isAheadExact: ahead.isExact },
    ...{ aheadMs: ahead.ms, held: held.count, heldMs: held.ms, nodes: able.length, slots },
    typeRunning: placement.type.leases?.size ?? 0,
    startInMs: startInMs(state, row, ahead.ms),
    runMs: knownRunMs(state, row),
    overheadMs: Number.isNaN(state.overhead.meanMs) ? UNKNOWN : state.overhead.meanMs,
  };
}

/** What tasks of each type have taken, milliseconds; -1 where none has completed in this term. */
export function meansOf(state: SchedulerState, typeIds: readonly number[]): readonly number[] {
  return typeIds.map((typeId) => {
    const { meanMs } = state.placements.types.of(typeId).learned;
    return Number.isNaN(meanMs) ? UNKNOWN : meanMs;
  });
}

/** As the task says itself, else as others of its type took; -1 where neither is known. */
function knownRunMs(state: SchedulerState, row: number): number {
  const { graph } = state;
  if ((graph.at(graph.seen, row) & Seen.SAID) !== 0) return graph.at(graph.expectedMs, row);
  const { meanMs } = state.learnedOf(row);
  return Number.isNaN(meanMs) ? UNKNOWN : meanMs;
}

/** The same for sums, in which a task of an unknown type counts as it does in the longest path. */
function runMsOf(state: SchedulerState, row: number): number {
  const knownMs = knownRunMs(state, row);
  return knownMs === UNKNOWN ? state.graph.at(state.graph.expectedMs, row) : knownMs;
}

function ableNodes(state: SchedulerState, placement: PlacementClass): readonly Member[] {
  return [...state.members.all()].filter(
    (member) =>
      member.state === 'linked' && !member.isDraining && state.members.canRun(member, placement),
  );
}

function heldAt(
  state: SchedulerState,
  members: readonly Member[],
): { readonly count: number; readonly ms: number } {
  let [count, looks, ms] = [0, 0, 0];
  for (const { held } of members) {
    count += held.size;
    for (const [seq, sinceMs] of held) {
      const row = looks < LOOKS_MAX ? state.graph.find(seq) : NONE;
      if (row === NONE) continue;
      looks += 1;
      ms += Math.max(0, runMsOf(state, row) - (state.nowMs - sinceMs));
    }
  }
  return { count, ms: looks === 0 ? 0 : (ms * count) / looks };
}

/** Ready tasks of all classes that a node of these can run and that come before this one. */
function aheadOf(
  state: SchedulerState,
  row: number,
  able: readonly Member[],
): { readonly ahead: number; readonly isExact: boolean; readonly ms: number } {
  let [ahead, ms, left] = [0, 0, LOOKS_MAX];
  let isExact = true;
  for (const placement of state.placements.all()) {
    const { ready, type } = placement;
    if (ready.size === 0 || !state.isOpen(type)) continue;
    if (!able.some((member) => state.members.canRun(member, placement))) continue;
    const found = ready.before(row, Math.max(1, left));
    left -= found.rows.length;
    let foundMs = 0;
    for (const before of found.rows) foundMs += runMsOf(state, before);
    const count = found.isAll ? found.rows.length : found.estimate;
    isExact &&= found.isAll;
    ahead += count;
    ms += found.rows.length === 0 ? 0 : (foundMs * count) / found.rows.length;
  }
  return { ahead, isExact, ms };
}

/** By the longest way through what it still waits for; what is ready waits for slots. */
function startInMs(state: SchedulerState, target: number, aheadMs: number): number {
  const { graph } = state;
  const known = new Map<number, number>();
  const queueMs = new Map<PlacementClass, number>();
  const ownStart = (row: number): number => {
    switch (graph.at(graph.phase, row)) {
      case Phase.LEASED:
      case Phase.GRANTING:
        return 0;
      case Phase.DELAYED:
        return Math.max(0, graph.at(graph.runAtMs, row) - state.nowMs);
      case Phase.READY:
        return row === target ? queueWaitMs(state, row, aheadMs) : sharedWait(row);
      default:
        return UNKNOWN;
    }
  };
  // One look for all ready ancestors of a class: which of them is asked for makes no great difference.
  const sharedWait = (row: number): number => {
    const placement = state.placementOf(row);
    const waitMs = queueMs.get(placement) ?? queueWaitMs(state, row);
    queueMs.set(placement, waitMs);
    return waitMs;
  };
  const stack = [target];
  for (let looks = 0; stack.length > 0 && looks < ANCESTORS_MAX; looks++) {
    const row = stack.at(-1) as number;
    if (graph.phase[row] !== Phase.WAITING) {
      known.set(row, ownStart(row));
      stack.pop();
      continue;
    }
    let [ms, parents] = [0, 0];
    const missing: number[] = [];
    graph.forEachParent(row, (parent) => {
      const startMs = known.get(parent);
      parents += 1;
      if (startMs === undefined) missing.push(parent);
      else if (startMs === UNKNOWN || ms === UNKNOWN) ms = UNKNOWN;
      else ms = Math.max(ms, startMs + leftMsOf(state, parent));
    });
    if (missing.length > 0) {
      stack.push(...missing);
      continue;
    }
    known.set(row, parents === 0 ? UNKNOWN : ms);
    stack.pop();
  }
  return known.get(target) ?? UNKNOWN;
}

function leftMsOf(state: SchedulerState, row: number): number {
  const { graph } = state;
  const holder = state.members.get(graph.at(graph.node, row));
  const sinceMs = holder?.held.get(graph.at(graph.seq, row)) ?? state.nowMs;
  return Math.max(0, runMsOf(state, row) - (state.nowMs - sinceMs));
}

function queueWaitMs(state: SchedulerState, row: number, knownMs?: number): number {
  const placement = state.placementOf(row);
  const { type } = placement;
  const able = ableNodes(state, placement);
  const slots = able.reduce((sum, member) => sum + member.slots, 0);
  if (slots === 0 || type.isPaused || type.maxRunning === 0) return UNKNOWN;
  const held = heldAt(state, able);
  const ms = knownMs ?? aheadOf(state, row, able).ms;
  const isFree = held.count < slots && ms === 0 && state.isOpen(type);
  if (isFree) return 0;
  return (held.ms + ms) / Math.min(slots, type.maxRunning);
}
