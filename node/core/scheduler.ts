import { addRows, askAgainForAwaited, resolveDependencies } from './arrivals.ts';
import { meansOf, prospectOf } from './explain.ts';
import type { Prospect } from './prospect.ts';
import type { Effect, SchedulerEvent } from './events.ts';
import { ReadySamples } from './ready-samples.ts';
import { SchedulerState } from './scheduler-state.ts';
import {
  applyEnds,
  applyInventory,
  applyLeases,
  applyLeasesEnded,
  applyReread,
  applyTold,
  judgeEarlyInventories,
  rereadHeld,
} from './settlements.ts';
import { NONE, Phase } from './task-graph.ts';
import { unreachable } from '../base/unreachable.ts';
import { faultsIn } from './validate.ts';

/**
 * The scheduler: a pure state machine that decides which task runs where, and does nothing else. It
 * has no clock, no random source and no I/O: `step(now, events)` takes in what happened and answers
 * what to do about it. The leader carries that out, and comes back with what came of it; the simulator
 * does the same in a fake world.
 *
 *   events ──▶ step ──▶ effects ──▶ PostgreSQL, streams ──▶ events …
 *
 * The life of a row, in the phases of task-graph.ts:
 *
 *   tasks-loaded ─▶ WAITING ─▶ READY ─▶ GRANTING ─▶ LEASED ─▶ (row freed)
 *                      │  ▲      ▲         │           │
 *                      ▼  │      │         ▼           │ retry, release, reclaim
 *                   DELAYED ─────┘      SETTLING ◀─────┘
 *
 * What it promises: no lease is asked for a task whose trigger rule does not hold over ends that the
 * database has confirmed; what is ready is leased in the order of priority, then longest remaining
 * path, then age, to the least loaded node that can run it; a class of tasks that cannot run now
 * blocks nobody behind it; no slot of a linked node stays idle while a task that it can run is ready.
 *
 * What it does not promise: that its memory is true. The graph is derived from PostgreSQL and may lag
 * behind it; every decision is therefore proven by the guards of the statement that carries it out,
 * and a row that a statement does not return is read again (`doubt`), never assumed.
 */
export class Scheduler {
  private readonly state = new SchedulerState();

  /** Takes in events in their order; `nowMs` is the database's time since the epoch. */
  step(nowMs: number, events: readonly SchedulerEvent[]): readonly Effect[] {
    const { state } = this;
    state.nowMs = nowMs;
    state.steps += 1;
    for (const event of events) this.take(event);
    state.path.propagate(PATH_STEPS_MAX);
    this.expireDue();
    this.releaseDue();
    this.lease();
    this.recall();
    return state.outbox.flush(state.steps, () => state.tombstones.openLoad());
  }

  /** The number of the last step, from 1. */
  get steps(): number {
    return this.state.steps;
  }

  /** When `step` has something to do without an event: 0 for now, Infinity for never. */
  get nextDueMs(): number {
    if (!this.state.path.isSettled || !this.isCaughtUp) return 0;
    const { graph, members, timers, deadlines } = this.state;
    const next = timers.peek();
    const releaseMs = next === NONE ? Infinity : graph.at(graph.runAtMs, next);
    return Math.min(releaseMs, deadlines.nextMs, members.recallDueMs);
  }

  /** Whether all that was decided has been asked for; a long cascade is asked for in portions. */
  get isCaughtUp(): boolean {
    return this.state.outbox.isEmpty;
  }

  /** The nodes that hold a lease. */
  get holders(): readonly number[] {
    return [...this.state.members.all()].filter((m) => m.held.size > 0).map((m) => m.nodeId);
  }

  get counts(): SchedulerCounts {
    const { state } = this;
    let ready = 0;
    for (const placement of state.placements.all()) ready += placement.ready.size;
    let leased = 0;
    for (const member of state.members.all()) leased += member.held.size;
    const oldestReadyMs = state.readyAges.oldestMs(state.nowMs);
    return { tasks: state.graph.size, ready, leased, oldestReadyMs };
  }

  /** How all tasks stand, for people who watch. */
  get standing(): SchedulerStanding {
    const { members, graph, isTakenOver } = this.state;
    const holders = [...members.all()].filter(({ held }) => held.size > 0);
    const held = holders.map((member) => member.held.size);
    const leased = held.reduce((sum, each) => sum + each, 0);
    const holderIds = holders.map(({ nodeId }) => nodeId);
    return { isWhole: isTakenOver, queued: graph.size - leased, holderIds, held };
  }

  /** Whether to measure how long some tasks are ready before they are leased. */
  sampleReadiness(isOn: boolean): void {
    this.state.readySamples = isOn ? new ReadySamples() : undefined;
  }

  /** What was measured since the last call. */
  takeReadyMs(): readonly number[] {
    return this.state.readySamples?.take() ?? [];
  }

  /** What is known of a task beyond what the database says; takes less than a millisecond. */
  prospect(seq: number): Prospect {
    return prospectOf(this.state, seq);
  }

  /** What tasks of these types have taken, milliseconds; -1 for unknown. */
  meansOf(typeIds: readonly number[]): readonly number[] {
    return meansOf(this.state, typeIds);
  }

  /** Classes of tasks that are told apart by where they can run. */
  get placementClasses(): number {
    return [...this.state.placements.all()].length;
  }

  /** What was done to a task lately and how it stands; for people, not for programs. */
  story(seq: number): readonly string[] {
    const { graph } = this.state;
    const row = graph.find(seq);
    const lines = [...this.state.story.of(seq)];
    if (row === NONE) return [...lines, 'not in the graph'];
    const phase = Object.entries(Phase).find(([, value]) => value === graph.phase[row])?.[0] ?? '?';
    return [
      ...lines,
      `now ${phase}, ${String(graph.at(graph.unended, row))} dependencies unended, lease ` +
        `${String(graph.at(graph.leaseSeq, row))} at node ${String(graph.at(graph.node, row))}`,
    ];
  }

  /** Every broken invariant as a sentence; costs a walk over the whole graph, so tests call it. */
  validate(): readonly string[] {
    return faultsIn(this.state);
  }

  private take(event: SchedulerEvent): void {
    const { state } = this;
    switch (event.kind) {
      case 'time-passed':
        return;
      case 'load-started':
        if (event.isPaged) state.pagedLoads += 1;
        state.tombstones.startLoad(event.load);
        return;
      case 'load-ended':
        if (event.isPaged) state.pagedLoads -= 1;
        state.tombstones.endLoad(event.load);
        if (state.pagedLoads === 0 && event.isPaged) {
          state.isTakenOver = true;
          askAgainForAwaited(state);
          judgeEarlyInventories(state);
        }
        return;
      case 'tasks-loaded':
        addRows(state, event.rows);
        return;
      case 'dependencies-resolved':
        resolveDependencies(state, event.seqs, event.codes);
        return;
      case 'leases-persisted':
        applyLeases(state, event);
        return;
      case 'tasks-reread':
        applyReread(state, event);
        return;
      case 'outcomes-settled':
        applyTold(state, event.nodeId, event.told);
        return;
      case 'ends-persisted':
        applyEnds(state, event);
        return;
      case 'leases-ended':
        applyLeasesEnded(state, event);
        return;
      case 'cancels-requested':
        this.cancel(event.seqs);
        return;
      case 'types-handled':
        state.members.handle(event.typeIds);
        return;
      case 'types-gated':
        state.gate(event);
        return;
      case 'node-joined':
        state.members.join(event.member);
        return;
      case 'node-unlinked': {
        const member = state.members.get(event.nodeId);
        if (member?.state === 'linked') member.state = 'unlinked';
        return;
      }
      case 'node-silent':
        rereadHeld(state, event.nodeId);
        return;
      case 'node-lost':
        this.lose(event.nodeId);
        return;
      case 'inventory-received':
        applyInventory(state, event);
        return;
      default:
        unreachable(event);
    }
  }

  private cancel(seqs: readonly number[]): void {
    const { state } = this;
    for (const seq of seqs) {
      const row = state.graph.find(seq);
      const phase = row === NONE ? Phase.FREE : state.graph.phase[row];
      // A queued task is taken out of the queues now, so that this very step does not lease it.
      if (phase === Phase.WAITING || phase === Phase.DELAYED || phase === Phase.READY) {
        state.unplace(row);
      }
      state.outbox.cancels.push(seq);
    }
  }

  private lose(nodeId: number): void {
    const { state } = this;
    const member = state.members.getOrAdd(nodeId);
    member.state = 'lost';
    for (const seq of member.held.keys()) {
      const row = state.graph.find(seq);
      if (row === NONE || state.graph.phase[row] !== Phase.LEASED) continue;
      state.outbox.reclaim(nodeId, seq, state.graph.at(state.graph.leaseSeq, row));
    }
  }

  /** Tasks that nobody has begun in time; whether it is so the statement says. */
  private expireDue(): void {
    const { graph, deadlines, outbox, nowMs } = this.state;
    for (let count = 0; count < EXPIRIES_PER_STEP_MAX; count++) {
      const seq = deadlines.takeDue(nowMs);
      if (seq === undefined) return;
      const row = graph.find(seq);
      const phase = row === NONE ? Phase.FREE : graph.phase[row];
      if (phase !== Phase.WAITING && phase !== Phase.DELAYED && phase !== Phase.READY) continue;
      this.state.unplace(row);
      outbox.expiries.push(seq);
    }
  }

  private releaseDue(): void {
    const { graph, timers, nowMs } = this.state;
    for (let count = 0; count < RELEASES_PER_STEP_MAX; count++) {
      const row = timers.peek();
      if (row === NONE || graph.at(graph.runAtMs, row) > nowMs) return;
      this.state.unplace(row);
      this.state.place(row);
    }
  }

  /** Gives every free slot to the most urgent ready task that its node can run. */
  private lease(): void {
    const { state } = this;
    const { graph } = state;
    const contest = state.placements.contest();
    for (let count = 0; count < LEASES_PER_STEP_MAX;) {
      const row = contest.first;
      if (row === NONE) return;
      const placement = state.placementOf(row);
      const isQuick = state.quickMs(row) > 0;
      const member = state.isOpen(placement.type)
        ? state.members.choose(placement, isQuick, state.nowMs)
        : undefined;
      if (member === undefined) {
        contest.drop();
        continue;
      }
      count += 1;
      const seq = graph.at(graph.seq, row);
      const leaseSeq = graph.at(graph.leaseSeq, row);
      state.unplace(row);
      state.hold(row, member.nodeId, Phase.GRANTING);
      contest.advance(placement);
      state.outbox.lease(seq, leaseSeq, member.nodeId);
      state.story.add(seq, 'asked', member.nodeId);
    }
  }

  /** Asks back what waits behind slots that do not move, where a node with a free slot can run it. */
  private recall(): void {
    const { state } = this;
    const { graph, members } = state;
    if (members.recallDueMs > state.nowMs) return;
    for (const { nodeId, held } of members.stalled(state.nowMs)) {
      for (const seq of held.keys()) {
        const row = graph.find(seq);
        if (row === NONE || graph.phase[row] !== Phase.LEASED || graph.aheadMs[row] === 0) continue;
        if (!members.isIdleFor(state.placementOf(row))) continue;
        state.outbox.recall(nodeId, seq, graph.at(graph.leaseSeq, row));
      }
    }
  }
}

export interface SchedulerCounts {
  readonly tasks: number;
  readonly ready: number;
  readonly leased: number;
  /** How long the task has been ready that waits longest. */
  readonly oldestReadyMs: number;
}

export interface SchedulerStanding {
  /** The graph was read to its end. */
  readonly isWhole: boolean;
  readonly queued: number;
  /** Nodes that hold leases, and how many each. */
  readonly holderIds: readonly number[];
  readonly held: readonly number[];
}

/** Edges raised per step: about a millisecond of the leader's time. */
const PATH_STEPS_MAX = 20_000;
/** Tasks whose time has come: a million may have the same, and the leader has other work between. */
const RELEASES_PER_STEP_MAX = 5000;
/** Tasks that one statement ends, as of a cancel. */
const EXPIRIES_PER_STEP_MAX = 1000;
/** Leases asked by one statement, which must end well inside the fenced session's 400 ms. */
const LEASES_PER_STEP_MAX = 2000;
