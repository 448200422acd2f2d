import { CriticalPath } from './critical-path.ts';
import { Deadlines } from './deadlines.ts';
import type { Learned } from './durations.ts';
import { quickMsOf, Members } from './members.ts';
import { Outbox } from './outbox.ts';
import { Placements, type PlacementClass } from './placement.ts';
import { isDueEarlier, RowHeap } from './ready-queue.ts';
import type { TypeGates } from './events.ts';
import { ReadyAges } from './ready-ages.ts';
import type { ReadySamples } from './ready-samples.ts';
import { Story } from './story.ts';
import { NONE, Phase, Seen, TaskGraph } from './task-graph.ts';
import type { TaskType } from './task-types.ts';
import { EndCode, verdictOf, type TriggerRuleCode, type TriggerVerdict } from './task.ts';
import { Tombstones } from './tombstones.ts';

const COUNTED_MIN = 1000;

/**
 * What the parts of the scheduler share, and the only code that moves a task between phases, so that
 * each heap and each count of a node is right by construction. Mutable inside, with one door: the
 * `step` of scheduler.ts.
 */
export class SchedulerState {
  readonly graph = new TaskGraph();
  readonly members = new Members();
  readonly outbox = new Outbox();
  readonly tombstones = new Tombstones();
  readonly story = new Story();
  readonly timers: RowHeap;
  readonly deadlines = new Deadlines();
  /**
   * Of a slot's time, what a task does not run: its lease, the reading of its payload, its settle, the
   * ways between. Learned from those that ran at once; milliseconds.
   */
  readonly overhead: Learned = { meanMs: NaN, samples: 0 };
  readonly path: CriticalPath;
  /** One ready queue per placement class. */
  readonly placements: Placements;
  /**
   * Dependencies that are in no row of the graph, each with the numbers of the tasks that wait for it:
   * unknown, not settled, until a statement sent after the child was added says how they ended. Sets,
   * because a task that ended meanwhile and was revived is there already: it must not be counted twice.
   */
  readonly unknown = new Map<number, Set<number>>();
  /**
   * Ended tasks, COMPLETED ones aside, each with those who counted its end and had to wait on for
   * others: when it is revived before they start, they wait for it again.
   */
  readonly counted = new Map<number, Set<number>>();
  /** Of the unknown, those that the database called live: their row comes with a load. */
  readonly awaited = new Set<number>();
  /** Loads of many pages in progress: an absent task is not loaded yet. */
  pagedLoads = 0;
  /** The live set was read to its end: every lease there is has been seen. */
  isTakenOver = false;
  nowMs = 0;
  readonly readyAges = new ReadyAges();
  /** Only while somebody watches. */
  readySamples: ReadySamples | undefined;
  private countedMax = COUNTED_MIN;
  /** Steps begun so far, the present one included. */
  steps = 0;

  constructor() {
    const { graph } = this;
    this.placements = new Placements(graph);
    this.timers = new RowHeap(graph, (a, b) => isDueEarlier(graph, a, b));
    this.path = new CriticalPath(graph, (row) => {
      if (graph.phase[row] === Phase.READY) this.placementOf(row).ready.reorder(row);
    });
  }

  /** Counts one end among the dependencies of a task, and says what its trigger rule makes of it. */
  countEnd(row: number, code: EndCode): TriggerVerdict {
    const { graph } = this;
    graph.unended[row] = graph.at(graph.unended, row) - 1;
    const bit =
      code === EndCode.COMPLETED
        ? Seen.SUCCESS
        : code === EndCode.SKIPPED
          ? Seen.SKIP
          : Seen.FAILURE;
    graph.seen[row] = graph.at(graph.seen, row) | bit;
    return this.verdict(row);
  }

  verdict(row: number): TriggerVerdict {
    const { graph } = this;
    const seen = graph.at(graph.seen, row);
    return verdictOf(graph.at(graph.triggerRule, row) as TriggerRuleCode, {
      unended: graph.at(graph.unended, row),
      succeeded: seen & Seen.SUCCESS,
      failed: seen & Seen.FAILURE,
      skipped: seen & Seen.SKIP,
    });
  }

  /** Puts an unleased task where its trigger rule and its time say. */
  place(row: number): void {
    const { graph } = this;
    this.deadlines.arm(graph.at(graph.seq, row));
    switch (this.verdict(row)) {
      case 'wait':
        this.setPhase(row, Phase.WAITING);
        return;
      case 'skip':
        this.doom(row);
        return;
      case 'ready':
        if (graph.at(graph.runAtMs, row) > this.nowMs) {
          this.setPhase(row, Phase.DELAYED);
          this.timers.push(row);
        } else {
          this.setPhase(row, Phase.READY);
          this.placementOf(row).ready.push(row);
          this.readyAges.enter(row, this.nowMs);
          this.readySamples?.becameReady(graph.at(graph.seq, row), this.nowMs);
        }
    }
  }

  /** Takes a task out of the heap that holds it, and off the node that holds it. */
  unplace(row: number): void {
    const { graph } = this;
    const phase = graph.at(graph.phase, row);
    this.placementOf(row).type.leases?.delete(graph.at(graph.seq, row));
    if (phase === Phase.READY) {
      this.placementOf(row).ready.delete(row);
      this.readyAges.leave(row);
    } else if (phase === Phase.DELAYED) this.timers.delete(row);
    const nodeId = graph.at(graph.node, row);
    if (nodeId !== 0) {
      graph.node[row] = 0;
      const member = this.members.get(nodeId);
      const wasHeld = member?.held.delete(graph.at(graph.seq, row)) === true;
      const aheadMs = graph.at(graph.aheadMs, row);
      if (wasHeld && aheadMs > 0) {
        member.quickHeld -= 1;
        member.quickMs -= aheadMs;
      }
      graph.aheadMs[row] = 0;
    }
    this.setPhase(row, Phase.SETTLING);
  }

  /** Gives a task to a node: `GRANTING` reserves the slot, `LEASED` is what the database says. */
  hold(row: number, nodeId: number, phase: Phase): void {
    const { graph } = this;
    graph.node[row] = nodeId;
    const member = this.members.getOrAdd(nodeId);
    const seq = graph.at(graph.seq, row);
    if (!member.held.has(seq)) {
      if (member.held.size < member.slots) member.progressMs = this.nowMs;
      const aheadMs = this.quickMs(row);
      if (aheadMs > 0) {
        graph.aheadMs[row] = aheadMs;
        member.quickHeld += 1;
        member.quickMs += graph.at(graph.aheadMs, row);
      }
      member.held.set(seq, this.nowMs);
      this.readySamples?.leased(seq, this.nowMs);
    }
    member.unloaded.delete(seq);
    this.placementOf(row).type.leases?.add(seq);
    this.setPhase(row, phase);
  }

  /**
   * What a task takes that is known to take so little that it may wait behind another; 0 for any other,
   * and for one that runs in a process of its own.
   */
  quickMs(row: number): number {
    const { graph } = this;
    if (graph.at(graph.losses, row) > 0) return 0;
    const { hasDuration, type } = this.placementOf(row);
    const ms = hasDuration ? graph.at(graph.expectedMs, row) : type.learned.meanMs;
    return quickMsOf(ms);
  }

  /** Nobody may have the task until it is read again; it may be leased, and counts as if it were. */
  suspend(row: number): void {
    const { graph } = this;
    this.unplace(row);
    this.placementOf(row).type.leases?.add(graph.at(graph.seq, row));
  }

  /** Which types are paused, and how many leases those that are limited may have: all that there are. */
  gate({ pausedIds, limitedIds, limits }: TypeGates): void {
    const { types } = this.placements;
    for (const type of types.all()) {
      type.isPaused = false;
      type.maxRunning = Infinity;
    }
    for (const typeId of pausedIds) types.of(typeId).isPaused = true;
    for (const [at, typeId] of limitedIds.entries()) {
      const type = types.of(typeId);
      type.maxRunning = limits[at] as number;
      type.leases ??= this.leasesOf(type);
    }
    for (const type of types.all()) if (type.maxRunning === Infinity) type.leases = undefined;
  }

  /** Whether a lease of a type may be asked for, whichever node has room. */
  isOpen(type: TaskType): boolean {
    if (type.isPaused) return false;
    if (type.leases === undefined) return true;
    // Leases of an earlier term count, and some of them may not have been read yet.
    return this.isTakenOver && type.leases.size < type.maxRunning;
  }

  /** A task is ready again, at once or at its time, under a raised lease number. */
  requeue(row: number, leaseSeq: number): void {
    this.unplace(row);
    this.graph.leaseSeq[row] = leaseSeq;
    this.place(row);
  }

  /**
   * Decides that a task is SKIPPED, and with it at once the descendants whose rule asks for nothing but
   * success: a chain of 10,000 ends in ten statements. Others are counted when the skip is durable,
   * because they may start then.
   */
  doom(row: number): void {
    const { graph } = this;
    const doomed = [row];
    for (let at = 0; at < doomed.length; at++) {
      const next = doomed[at] as number;
      this.unplace(next);
      this.outbox.skip(graph.at(graph.seq, next));
      this.story.add(graph.at(graph.seq, next), 'doomed', this.nowMs);
      graph.forEachChild(next, (child) => {
        if (graph.phase[child] !== Phase.WAITING || graph.triggerRule[child] !== 0) return;
        this.setPhase(child, Phase.SETTLING);
        doomed.push(child);
      });
    }
  }

  /** An end that the database holds: the children are released or doomed, the row is freed. */
  end(row: number, code: EndCode): void {
    const { graph } = this;
    const seq = graph.at(graph.seq, row);
    this.unplace(row);
    this.deadlines.delete(seq);
    this.readySamples?.ended(seq);
    this.tombstones.bury(seq, graph.at(graph.leaseSeq, row), code);
    this.outbox.tellEnded(seq, code);
    this.story.add(seq, 'ended', code);
    graph.forEachChild(row, (child) => {
      this.countForChild(child, seq, code);
    });
    this.placements.leave(graph.at(graph.placement, row));
    graph.remove(row);
  }

  /** One dependency of `child` ended. */
  countForChild(child: number, seq: number, code: EndCode): void {
    const { graph } = this;
    const verdict = this.countEnd(child, code);
    if (graph.phase[child] !== Phase.WAITING) return;
    if (verdict !== 'wait') this.place(child);
    else if (code !== EndCode.COMPLETED) this.rememberCounted(seq, graph.at(graph.seq, child));
  }

  /**
   * An earlier life of a task may have waited for these, or counted their ends. The present one says so
   * itself, and must not be linked twice where a dependency comes in the same load.
   */
  forgetChild(seq: number, deps: readonly number[]): void {
    if (this.unknown.size + this.counted.size === 0) return;
    for (const dep of deps) {
      this.unknown.get(dep)?.delete(seq);
      this.counted.get(dep)?.delete(seq);
    }
  }

  /** A row of a task that is back: those who waited for it, and those who had counted its end. */
  adoptChildren(row: number): void {
    const { graph } = this;
    const seq = graph.at(graph.seq, row);
    for (const childSeq of this.unknown.get(seq) ?? []) {
      const child = graph.find(childSeq);
      if (child !== NONE) graph.link(row, child);
    }
    this.unknown.delete(seq);
    this.awaited.delete(seq);
    for (const childSeq of this.counted.get(seq) ?? []) {
      const child = graph.find(childSeq);
      if (child === NONE || graph.phase[child] !== Phase.WAITING) continue;
      graph.unended[child] = graph.at(graph.unended, child) + 1;
      graph.link(row, child);
    }
    this.counted.delete(seq);
  }

  /** A dependency that has no row ended. */
  endUnknown(seq: number, code: EndCode): void {
    const children = this.unknown.get(seq);
    if (children === undefined) return;
    this.unknown.delete(seq);
    this.awaited.delete(seq);
    for (const childSeq of children) {
      const child = this.graph.find(childSeq);
      if (child !== NONE) this.countForChild(child, seq, code);
    }
  }

  /** Whoever has started or ended meanwhile is forgotten when the map has doubled. */
  private rememberCounted(seq: number, childSeq: number): void {
    const { counted, graph } = this;
    const children = counted.get(seq);
    if (children !== undefined) {
      children.add(childSeq);
      return;
    }
    counted.set(seq, new Set([childSeq]));
    if (counted.size < this.countedMax) return;
    for (const [ended, waiting] of counted) {
      for (const waitingSeq of waiting) {
        const row = graph.find(waitingSeq);
        if (row === NONE || graph.phase[row] !== Phase.WAITING) waiting.delete(waitingSeq);
      }
      if (waiting.size === 0) counted.delete(ended);
    }
    this.countedMax = Math.max(COUNTED_MIN, 2 * counted.size);
  }

  placementOf(row: number): PlacementClass {
    return this.placements.at(this.graph.at(this.graph.placement, row));
  }

  learnedOf(row: number): Learned {
    return this.placementOf(row).type.learned;
  }

  setPhase(row: number, phase: Phase): void {
    this.graph.phase[row] = phase;
  }

  private leasesOf(type: TaskType): Set<number> {
    const leases = new Set<number>();
    for (const row of this.graph.indexes()) {
      const phase = this.graph.at(this.graph.phase, row);
      const mayRun = phase === Phase.LEASED || phase === Phase.GRANTING || phase === Phase.SETTLING;
      if (mayRun && this.placementOf(row).type === type)
        leases.add(this.graph.at(this.graph.seq, row));
    }
    return leases;
  }
}
