import { addRows, adopt } from './arrivals.ts';
import type { LeaseClaim, LiveRows, SchedulerEvent } from './events.ts';
import type { Member } from './members.ts';
import { SettledAs, type Told } from './messages.ts';
import type { SchedulerState } from './scheduler-state.ts';
import { learn } from './durations.ts';
import { NONE, Phase, Seen } from './task-graph.ts';
import { EndCode } from './task.ts';

type EventOf<Kind extends SchedulerEvent['kind']> = Extract<SchedulerEvent, { kind: Kind }>;

/**
 * How leases end. Whoever says so, the database has said it first; a message that is lost or late
 * changes nothing for good, because the lease number tells which of two truths is the newer.
 */
export function applyTold(state: SchedulerState, nodeId: number, told: Told): void {
  const { graph } = state;
  const member = state.members.get(nodeId);
  const hasMoved = told.settledAs.some((settledAs) => settledAs !== SettledAs.RELEASED);
  if (member !== undefined && hasMoved) member.progressMs = state.nowMs;
  for (const [at, seq] of told.seqs.entries()) {
    const leaseSeq = told.leaseSeqs[at] as number;
    const settledAs = told.settledAs[at] as SettledAs;
    const next = {
      leaseSeq: told.nextLeaseSeqs[at] as number,
      attempt: told.attempts[at] as number,
      runAtMs: told.runAtMs[at] as number,
    };
    const row = graph.find(seq);
    if (row === NONE) {
      member?.unloaded.delete(seq);
      state.tombstones.buryTold(seq, leaseSeq, settledAs, next);
      continue;
    }
    if (isOlder(state, row, nodeId, leaseSeq)) continue;
    state.story.add(seq, 'settled', leaseSeq);
    const runMs = told.runMs[at] ?? -1;
    if (runMs >= 0 && graph.losses[row] === 0) {
      learn(state.learnedOf(row), runMs);
      learnOverhead(state, row, member, runMs);
    }
    if (settledAs !== SettledAs.RETRY && settledAs !== SettledAs.RELEASED) {
      graph.leaseSeq[row] = leaseSeq;
      state.end(row, settledAs);
      continue;
    }
    state.tombstones.buryTold(seq, leaseSeq, settledAs, next);
    if (settledAs === SettledAs.RETRY) state.deadlines.delete(seq);
    graph.attempt[row] = next.attempt;
    graph.runAtMs[row] = next.runAtMs;
    graph.seen[row] = graph.at(graph.seen, row) & ~Seen.CANCEL;
    state.requeue(row, next.leaseSeq);
  }
}

/** It changes with the load of the machines, within a second. */
const OVERHEAD_WEIGHT_MIN = 0.1;

/** What waited behind a slot tells nothing of what a slot costs. */
function learnOverhead(
  state: SchedulerState,
  row: number,
  member: Member | undefined,
  runMs: number,
): void {
  const sinceMs = member?.held.get(state.graph.at(state.graph.seq, row));
  if (sinceMs === undefined || state.graph.at(state.graph.aheadMs, row) > 0) return;
  const overheadMs = Math.max(0, state.nowMs - sinceMs - runMs);
  learn(state.overhead, overheadMs, OVERHEAD_WEIGHT_MIN);
}

function isOlder(state: SchedulerState, row: number, nodeId: number, leaseSeq: number): boolean {
  const known = state.graph.at(state.graph.leaseSeq, row);
  if (leaseSeq !== known) return leaseSeq < known;
  const holder = state.graph.at(state.graph.node, row);
  return holder !== nodeId && state.graph.phase[row] !== Phase.SETTLING;
}

export function applyLeases(state: SchedulerState, event: EventOf<'leases-persisted'>): void {
  const { graph } = state;
  for (const [at, seq] of event.seqs.entries()) {
    const row = graph.find(seq);
    if (row === NONE || graph.phase[row] !== Phase.GRANTING) continue;
    const leaseSeq = event.leaseSeqs[at] as number;
    graph.leaseSeq[row] = leaseSeq;
    state.setPhase(row, Phase.LEASED);
    graph.grantStep[row] = state.steps;
    state.story.add(seq, 'leased', leaseSeq);
    state.outbox.grant(
      graph.at(graph.node, row),
      seq,
      leaseSeq,
      graph.at(graph.attempt, row),
      graph.at(graph.losses, row),
    );
  }
  if (event.seqs.length === event.asked.length) return;
  for (const seq of event.asked) {
    const row = graph.find(seq);
    if (row === NONE || graph.phase[row] !== Phase.GRANTING) continue;
    state.story.add(seq, 'refused', graph.at(graph.leaseSeq, row));
    doubt(state, row);
  }
}

export function applyEnds(state: SchedulerState, event: EventOf<'ends-persisted'>): void {
  const { graph } = state;
  const returned = new Set(event.markedSeqs);
  for (const [at, seq] of event.seqs.entries()) {
    const code = event.codes[at] as EndCode;
    returned.add(seq);
    const row = graph.find(seq);
    if (row === NONE) {
      state.tombstones.bury(seq, event.leaseSeqs[at] as number, code);
      state.endUnknown(seq, code);
    } else {
      graph.leaseSeq[row] = event.leaseSeqs[at] as number;
      state.end(row, code);
    }
  }
  for (const seq of event.markedSeqs) {
    const row = graph.find(seq);
    if (row === NONE) continue;
    graph.seen[row] = graph.at(graph.seen, row) | Seen.CANCEL;
    if (graph.phase[row] === Phase.LEASED) abortCancelled(state, row);
    else doubt(state, row);
  }
  for (const seq of event.asked) {
    if (returned.has(seq)) continue;
    const row = graph.find(seq);
    if (row !== NONE) doubt(state, row);
  }
}

/** Leases that the leader took back itself, from a dead node or as unheld. */
export function applyLeasesEnded(state: SchedulerState, event: EventOf<'leases-ended'>): void {
  const { graph } = state;
  for (const [at, seq] of event.seqs.entries()) {
    const row = graph.find(seq);
    const next = event.nextLeaseSeqs[at] as number;
    if (row === NONE || next <= graph.at(graph.leaseSeq, row)) continue;
    const losses = event.losses[at] as number;
    if (losses > graph.at(graph.losses, row)) state.deadlines.delete(seq);
    graph.losses[row] = losses;
    state.story.add(seq, 'reclaimed', next);
    state.requeue(row, next);
  }
  for (const seq of event.cancelledSeqs) {
    const row = graph.find(seq);
    if (row !== NONE) state.end(row, EndCode.CANCELLED);
  }
  const returned = new Set([...event.seqs, ...event.cancelledSeqs]);
  for (const seq of event.asked) {
    const row = returned.has(seq) ? NONE : graph.find(seq);
    if (row !== NONE && graph.phase[row] === Phase.LEASED) doubt(state, row);
  }
}

export function applyReread(state: SchedulerState, event: EventOf<'tasks-reread'>): void {
  const { graph } = state;
  for (const [at, seq] of event.endedSeqs.entries()) {
    const code = event.endedCodes[at] as EndCode;
    const leaseSeq = event.endedLeaseSeqs[at] as number;
    const row = graph.find(seq);
    if (row === NONE) {
      state.tombstones.bury(seq, leaseSeq, code);
      state.endUnknown(seq, code);
    } else if (graph.at(graph.leaseSeq, row) <= leaseSeq) {
      graph.leaseSeq[row] = leaseSeq;
      state.end(row, code);
    }
  }
  for (let at = 0; at < event.rows.seqs.length; at++) {
    const row = graph.find(event.rows.seqs[at] as number);
    if (row !== NONE) believe(state, row, event.rows, at);
  }
  addRows(state, event.rows);
  for (const claim of event.claims) judge(state, claim);
}

/** A known task as the database has it, unless memory is newer. */
function believe(state: SchedulerState, row: number, rows: LiveRows, at: number): void {
  const { graph } = state;
  const leaseSeq = rows.leaseSeqs[at] as number;
  const nodeId = rows.nodeIds[at] as number;
  if (leaseSeq < graph.at(graph.leaseSeq, row)) return;
  state.deadlines.set(rows.seqs[at] as number, rows.expiresAtMs[at] as number);
  const phase = graph.at(graph.phase, row);
  if (phase === Phase.GRANTING) return;
  const isHeldBySame = phase === Phase.LEASED && graph.at(graph.node, row) === nodeId;
  const isSame = leaseSeq === graph.at(graph.leaseSeq, row);
  const mustAdopt = nodeId === 0 ? phase === Phase.SETTLING : !isHeldBySame;
  if (!isSame || mustAdopt) adopt(state, row, rows, at);
}

function judge(state: SchedulerState, claim: LeaseClaim): void {
  const { graph } = state;
  const row = graph.find(claim.seq);
  const holds =
    row !== NONE &&
    graph.phase[row] === Phase.LEASED &&
    graph.at(graph.node, row) === claim.nodeId &&
    graph.at(graph.leaseSeq, row) === claim.leaseSeq;
  if (claim.by === 'node' && !holds) {
    state.outbox.abort(claim.nodeId, claim.seq, claim.leaseSeq, 'not-yours');
  }
  // Committed, and its node has never heard of it or forgot it: nobody runs it.
  if (claim.by === 'inventory' && holds) {
    state.outbox.release(claim.nodeId, claim.seq, claim.leaseSeq);
  }
}

export function applyInventory(state: SchedulerState, event: EventOf<'inventory-received'>): void {
  const { graph } = state;
  const member = state.members.getOrAdd(event.nodeId);
  member.isDraining = event.heartbeat.draining;
  member.early = state.pagedLoads > 0 ? event : undefined;
  member.unloaded.clear();
  const claimed = new Set<number>();
  for (const [at, seq] of event.heartbeat.seqs.entries()) {
    claimed.add(seq);
    const leaseSeq = event.heartbeat.leaseSeqs[at] as number;
    const row = graph.find(seq);
    if (row === NONE && state.pagedLoads > 0) {
      member.unloaded.add(seq);
      continue;
    }
    const agrees =
      row !== NONE &&
      graph.at(graph.node, row) === event.nodeId &&
      graph.at(graph.leaseSeq, row) === leaseSeq;
    if (!agrees) {
      state.outbox.claims.push({ seq, leaseSeq, nodeId: event.nodeId, by: 'node' });
    } else if ((graph.at(graph.seen, row) & Seen.CANCEL) !== 0) {
      abortCancelled(state, row);
    }
  }
  for (const seq of member.held.keys()) {
    if (claimed.has(seq)) continue;
    const row = graph.find(seq);
    if (row === NONE || graph.at(graph.grantStep, row) > event.throughStep) continue;
    claimHeld(state, event.nodeId, seq, 'inventory');
  }
}

/**
 * The rows of a takeover are there: what a node has said meanwhile is held against them. It is still
 * true of them, because a lease of an earlier term cannot have come to the node since.
 */
export function judgeEarlyInventories(state: SchedulerState): void {
  for (const { early, unloaded } of state.members.all()) {
    unloaded.clear();
    if (early !== undefined) applyInventory(state, early);
  }
}

/** Reads again what a node holds, to learn what it settled and could not tell. */
export function rereadHeld(state: SchedulerState, nodeId: number): void {
  const member = state.members.get(nodeId);
  if (member === undefined) return;
  for (const seq of member.held.keys()) claimHeld(state, nodeId, seq, 'memory');
}

function claimHeld(state: SchedulerState, nodeId: number, seq: number, by: LeaseClaim['by']): void {
  const row = state.graph.find(seq);
  if (row === NONE || state.graph.phase[row] !== Phase.LEASED) return;
  state.outbox.claims.push({
    seq,
    leaseSeq: state.graph.at(state.graph.leaseSeq, row),
    nodeId,
    by,
  });
}

/** The leader is not sure of this task any more: nobody may have it until it is read again. */
function doubt(state: SchedulerState, row: number): void {
  const { graph } = state;
  state.suspend(row);
  state.outbox.claims.push({
    seq: graph.at(graph.seq, row),
    leaseSeq: graph.at(graph.leaseSeq, row),
    nodeId: 0,
    by: 'memory',
  });
}

function abortCancelled(state: SchedulerState, row: number): void {
  const { graph } = state;
  state.outbox.abort(
    graph.at(graph.node, row),
    graph.at(graph.seq, row),
    graph.at(graph.leaseSeq, row),
    'cancelled',
  );
}
