import type { MemberFacts, SchedulerEvent } from './events.ts';
import type { PlacementClass } from './placement.ts';

/**
 * The nodes as the scheduler sees them, and what each holds.
 *
 * `linked`: its stream is up, it may be leased to · `unlinked`: its stream is down, its leases stand
 * until it is lost or back · `lost`: the database holds it for dead or gone; its leases are reclaimed.
 */
export interface Member {
  readonly nodeId: number;
  slots: number;
  typeIds: ReadonlySet<number>;
  labels: ReadonlySet<string>;
  simulates: boolean;
  state: 'linked' | 'unlinked' | 'lost';
  isDraining: boolean;
  /**
   * All and only the tasks leased to it, or for which a lease to it is asked, each with when the leader
   * first knew: the database's time.
   */
  readonly held: Map<number, number>;
  /** How many of the held are quick, and what they take together. */
  quickHeld: number;
  quickMs: number;
  /** When a slot of it was last seen to be free, or to have become so: the database's time. */
  progressMs: number;
  /** When leases beyond its slots were last asked back; it is not asked again before it has moved. */
  recalledMs: number;
  /** Leases that its last inventory names and whose rows are still being loaded: their slots are taken. */
  readonly unloaded: Set<number>;
  /** Its last inventory, where rows were still being loaded: judged again when they are there. */
  early: InventoryEvent | undefined;
}

/**
 * Send-ahead: a node may hold leases beyond its slots, of quick tasks only, for at most AHEAD_MS of work a
 * slot. A slot that turns over every millisecond is empty most of the time otherwise, while a settle and
 * a lease are being committed. What turns out slower is asked back as soon as another node has nothing
 * to do (`recallDueMs`).
 */
const QUICK_MS = 5;
const AHEAD_MS = 20;
/** What the quickest task is taken for: a round trip of a batch costs as much a task. */
const QUICK_MS_MIN = 0.02;
/** Leases ahead of one node; what a failover has to take back is bounded so. */
const AHEAD_MAX = 4000;
/** Whose slots have not moved for so long is asked for what waits there, where another node is idle. */
const RECALL_AFTER_MS = 30;
/** A node whose slots have not moved for so long gets nothing ahead. */
const STALLED_MS = 50;

/** What a task that takes `ms` counts for in the work ahead; 0 where it is not quick, or unknown. */
export function quickMsOf(ms: number): number {
  return ms <= QUICK_MS ? Math.max(ms, QUICK_MS_MIN) : 0;
}

export type InventoryEvent = Extract<SchedulerEvent, { kind: 'inventory-received' }>;

export class Members {
  private readonly byId = new Map<number, Member>();
  /** Types that a handler was ever registered for in this database: never simulated. */
  private readonly handled = new Set<number>();

  get(nodeId: number): Member | undefined {
    return this.byId.get(nodeId);
  }

  all(): IterableIterator<Member> {
    return this.byId.values();
  }

  join(facts: MemberFacts): void {
    const member = this.getOrAdd(facts.nodeId);
    member.slots = facts.slots;
    member.typeIds = new Set(facts.typeIds);
    member.simulates = facts.simulates;
    member.labels = new Set(facts.labels);
    if (member.state !== 'lost') member.state = 'linked';
  }

  /** A node known only by the leases that name it starts out unlinked. */
  getOrAdd(nodeId: number): Member {
    const known = this.byId.get(nodeId);
    if (known !== undefined) return known;
    const member: Member = {
      nodeId,
      slots: 0,
      typeIds: new Set(),
      simulates: false,
      labels: new Set(),
      state: 'unlinked',
      isDraining: false,
      held: new Map(),
      quickHeld: 0,
      quickMs: 0,
      progressMs: -Infinity,
      recalledMs: -Infinity,
      unloaded: new Set(),
      early: undefined,
    };
    this.byId.set(nodeId, member);
    return member;
  }

  handle(typeIds: readonly number[]): void {
    for (const typeId of typeIds) this.handled.add(typeId);
  }

  /**
   * Whether a node may be given one more lease: a slot is free; or the task is quick and so are some
   * that run there, so that it would wait for AHEAD_MS at most.
   */
  hasRoom(member: Member, isQuick: boolean, nowMs: number): boolean {
    if (member.state !== 'linked' || member.isDraining) return false;
    const used = slotsUsed(member);
    if (used < member.slots || !isQuick) return used < member.slots;
    if (nowMs - member.progressMs > STALLED_MS) return false;
    const quickRunning = Math.max(0, member.quickHeld - (used - member.slots));
    const meanMs = Math.max(QUICK_MS_MIN, member.quickMs / Math.max(1, member.quickHeld));
    return used < member.slots + Math.min(AHEAD_MAX, (quickRunning * AHEAD_MS) / meanMs);
  }

  /** When `toRecall` has something to say; Infinity for not as things stand. */
  get recallDueMs(): number {
    let dueMs = Infinity;
    let isAnyIdle = false;
    for (const member of this.byId.values()) {
      if (isIdle(member)) isAnyIdle = true;
      else if (waits(member)) dueMs = Math.min(dueMs, member.progressMs + RECALL_AFTER_MS);
    }
    return isAnyIdle ? dueMs : Infinity;
  }

  /** Nodes at which quick tasks wait behind slots that do not move; each is named once until they do. */
  stalled(nowMs: number): readonly Member[] {
    const stalled = [...this.byId.values()].filter(
      (member) => waits(member) && member.progressMs + RECALL_AFTER_MS <= nowMs,
    );
    for (const member of stalled) member.recalledMs = nowMs;
    return stalled;
  }

  /** Whether a node with a free slot can run the class. */
  isIdleFor(placement: PlacementClass): boolean {
    for (const member of this.byId.values()) {
      if (isIdle(member) && this.canRun(member, placement)) return true;
    }
    return false;
  }

  canRun(member: Member, { type, hasDuration, labels }: PlacementClass): boolean {
    for (const label of labels) if (!member.labels.has(label)) return false;
    if (member.typeIds.has(type.typeId)) return true;
    return hasDuration && member.simulates && !this.handled.has(type.typeId);
  }

  /** The least loaded node with room for the class, by the share of its slots in use. */
  choose(placement: PlacementClass, isQuick: boolean, nowMs: number): Member | undefined {
    let best: Member | undefined;
    let bestLoad = Infinity;
    for (const member of this.byId.values()) {
      if (!this.hasRoom(member, isQuick, nowMs) || !this.canRun(member, placement)) continue;
      const load = slotsUsed(member) / member.slots;
      if (load < bestLoad) {
        best = member;
        bestLoad = load;
      }
    }
    return best;
  }
}

function isIdle(member: Member): boolean {
  return member.state === 'linked' && !member.isDraining && slotsUsed(member) < member.slots;
}

/** Holds quick tasks beyond its slots, and was not asked for them since it moved. */
function waits(member: Member): boolean {
  const isBeyond = member.quickHeld > 0 && slotsUsed(member) > member.slots;
  return isBeyond && member.state === 'linked' && member.recalledMs < member.progressMs;
}

function slotsUsed(member: Member): number {
  return member.held.size + member.unloaded.size;
}
