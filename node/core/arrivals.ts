import type { LiveRows } from './events.ts';
import type { SchedulerState } from './scheduler-state.ts';
import { NONE, Phase, Seen } from './task-graph.ts';
import type { EndCode } from './task.ts';

/** Where nobody has said or seen what a type takes, the longest path is the one of most tasks. */
const UNKNOWN_MS = 1;

/**
 * How tasks come into the graph. A load only adds: it never removes a task, never takes a lease away,
 * and a row that is older than what was settled meanwhile is recognised by its lease number.
 */
export function addRows(state: SchedulerState, rows: LiveRows): void {
  const added: number[] = [];
  const addedAt: number[] = [];
  for (let at = 0; at < rows.seqs.length; at++) {
    const seq = rows.seqs[at] as number;
    const known = state.graph.find(seq);
    if (known !== NONE) {
      refresh(state, known, rows, at);
      continue;
    }
    const row = addRow(state, rows, at);
    if (row === NONE) continue;
    added.push(row);
    addedAt.push(at);
  }
  for (const [order, row] of added.entries()) {
    // The dependencies of a leased task have done their part already.
    if (state.graph.at(state.graph.node, row) !== 0) continue;
    linkDependencies(state, row, rows.deps[addedAt[order] as number] ?? []);
  }
  state.path.addBatch(added);
  for (const row of added) {
    if (state.graph.at(state.graph.node, row) === 0) state.place(row);
  }
  if (state.pagedLoads === 0) askAgainForAwaited(state);
}

/** What the database says of dependencies that have no row: ended, or live and still to come. */
export function resolveDependencies(
  state: SchedulerState,
  seqs: readonly number[],
  codes: readonly (EndCode | 0)[],
): void {
  for (const [at, seq] of seqs.entries()) {
    if (!state.unknown.has(seq)) continue;
    const code = codes[at] as EndCode | 0;
    if (code !== 0) {
      state.endUnknown(seq, code);
      continue;
    }
    state.awaited.add(seq);
    if (state.pagedLoads === 0) state.outbox.loads.push(seq);
  }
}

/** After a load: a dependency that was live and did not come with it may have ended meanwhile. */
export function askAgainForAwaited(state: SchedulerState): void {
  for (const seq of state.awaited) state.outbox.unresolved.add(seq);
  state.awaited.clear();
}

/** A row of the database that is not in the graph; NONE where it turns out to be over. */
function addRow(state: SchedulerState, rows: LiveRows, at: number): number {
  const { graph } = state;
  const seq = rows.seqs[at] as number;
  const stone = state.tombstones.over(seq, rows.leaseSeqs[at] as number);
  if (stone !== undefined && stone.code !== 0) {
    state.endUnknown(seq, stone.code);
    return NONE;
  }
  state.forgetChild(seq, rows.deps[at] ?? []);
  const row = graph.add(seq);
  graph.placement[row] = state.placements.enter(
    rows.typeIds[at] as number,
    rows.hasDuration[at] as boolean,
    rows.labels[at] ?? null,
  );
  graph.priority[row] = rows.priorities[at] as number;
  graph.triggerRule[row] = rows.triggerRules[at] as number;
  graph.losses[row] = rows.losses[at] as number;
  graph.expectedMs[row] = expectedMsOf(state, row, rows.expectedMs[at] as number);
  graph.remainingMs[row] = graph.at(graph.expectedMs, row);
  if ((rows.expectedMs[at] as number) > 0) graph.seen[row] = Seen.SAID;
  graph.leaseSeq[row] = stone?.nextLeaseSeq ?? (rows.leaseSeqs[at] as number);
  graph.attempt[row] = stone?.attempt ?? (rows.attempts[at] as number);
  graph.runAtMs[row] = stone?.runAtMs ?? (rows.runAtMs[at] as number);
  state.story.add(seq, 'loaded', graph.at(graph.leaseSeq, row));
  // What went back to the queue as charged has begun.
  const hasBegun = (stone?.attempt ?? 0) > 0;
  state.deadlines.set(seq, hasBegun ? 0 : (rows.expiresAtMs[at] as number));
  if (stone === undefined) {
    if (rows.cancels[at] === true) graph.seen[row] = graph.at(graph.seen, row) | Seen.CANCEL;
    adoptLease(state, row, rows.nodeIds[at] as number);
  }
  state.adoptChildren(row);
  return row;
}

/** What a task takes, for the length of its path: as it says itself, else as others of its type took. */
function expectedMsOf(state: SchedulerState, row: number, saidMs: number): number {
  const { meanMs } = state.learnedOf(row);
  if (saidMs > 0) return saidMs;
  return meanMs > 0 ? meanMs : UNKNOWN_MS;
}

/** A row that is leased already: to a node that lives, or to one whose leases are taken back. */
export function adoptLease(state: SchedulerState, row: number, nodeId: number): void {
  if (nodeId === 0) return;
  const { graph } = state;
  const seq = graph.at(graph.seq, row);
  state.hold(row, nodeId, Phase.LEASED);
  const member = state.members.getOrAdd(nodeId);
  if (member.state === 'lost') {
    state.outbox.reclaim(nodeId, seq, graph.at(graph.leaseSeq, row));
  } else if ((graph.at(graph.seen, row) & Seen.CANCEL) !== 0) {
    state.outbox.abort(nodeId, seq, graph.at(graph.leaseSeq, row), 'cancelled');
  }
}

function linkDependencies(state: SchedulerState, child: number, deps: readonly number[]): void {
  const { graph } = state;
  for (const dep of deps) {
    graph.unended[child] = graph.at(graph.unended, child) + 1;
    const parent = graph.find(dep);
    if (parent !== NONE) {
      graph.link(parent, child);
      continue;
    }
    const waiting = state.unknown.get(dep);
    if (waiting === undefined) state.unknown.set(dep, new Set([graph.at(graph.seq, child)]));
    else waiting.add(graph.at(graph.seq, child));
    if (!state.awaited.has(dep)) state.outbox.unresolved.add(dep);
  }
}

function relink(state: SchedulerState, row: number, deps: readonly number[]): void {
  const { graph } = state;
  graph.unlinkParents(row);
  state.forgetChild(graph.at(graph.seq, row), deps);
  graph.unended[row] = 0;
  graph.seen[row] = graph.at(graph.seen, row) & Seen.SAID;
  linkDependencies(state, row, deps);
  state.path.addBatch([row]);
}

/**
 * A known task as a load has it. Only a row of a higher lease number is news about the lease: the task
 * went back to the queue and nobody has told yet, or it ended and was revived before its end was told.
 */
export function refresh(state: SchedulerState, row: number, rows: LiveRows, at: number): void {
  const { graph } = state;
  const leaseSeq = rows.leaseSeqs[at] as number;
  const known = graph.at(graph.leaseSeq, row);
  if (leaseSeq < known) return;
  state.deadlines.set(rows.seqs[at] as number, rows.expiresAtMs[at] as number);
  const phase = graph.at(graph.phase, row);
  if (leaseSeq > known && phase !== Phase.GRANTING) {
    adopt(state, row, rows, at);
    return;
  }
  const priority = rows.priorities[at] as number;
  const runAtMs = rows.runAtMs[at] as number;
  if (priority === graph.at(graph.priority, row) && runAtMs === graph.at(graph.runAtMs, row))
    return;
  const isQueued = phase === Phase.WAITING || phase === Phase.DELAYED || phase === Phase.READY;
  if (isQueued) state.unplace(row);
  graph.priority[row] = priority;
  graph.runAtMs[row] = runAtMs;
  if (isQueued) state.place(row);
}

/**
 * Takes a known task over from a row that is newer than memory. Under a higher number it may be a later
 * life of the task, whose dependencies may have been revived with it: they are asked for anew.
 */
export function adopt(state: SchedulerState, row: number, rows: LiveRows, at: number): void {
  const { graph } = state;
  const nodeId = rows.nodeIds[at] as number;
  const leaseSeq = rows.leaseSeqs[at] as number;
  const isNewer = leaseSeq > graph.at(graph.leaseSeq, row);
  state.unplace(row);
  graph.leaseSeq[row] = leaseSeq;
  graph.grantStep[row] = 0;
  graph.runAtMs[row] = rows.runAtMs[at] as number;
  graph.attempt[row] = rows.attempts[at] as number;
  graph.losses[row] = rows.losses[at] as number;
  state.story.add(graph.at(graph.seq, row), 'reread', leaseSeq);
  if (nodeId !== 0) {
    if (rows.cancels[at] === true) graph.seen[row] = graph.at(graph.seen, row) | Seen.CANCEL;
    adoptLease(state, row, nodeId);
    return;
  }
  if (isNewer) relink(state, row, rows.deps[at] ?? []);
  state.place(row);
}
