import type { MemberFacts, SchedulerEvent } from './events.ts';

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
  simulates: boolean;
  state: 'linked' | 'unlinked' | 'lost';
  isDraining: boolean;
  /** All and only the tasks leased to it, or for which a lease to it is asked. */
  readonly held: Set<number>;
  /** How many of the held are quick (they say a duration of at most QUICK_MS), and their sum. */
  quickHeld: number;
  quickMs: number;
  /** Leases that its last inventory names and whose rows are still being loaded: their slots are taken. */
  readonly unloaded: Set<number>;
  /** Its last inventory, where rows were still being loaded: judged again when they are there. */
  early: InventoryEvent | undefined;
}

/** A task of at most this is quick, where it says its duration. */
export const QUICK_MS = 10;
/** Estimated work that may wait behind one that runs, and the number of tasks. */
const AHEAD_MS = 20;
const AHEAD_MAX = 8;

export type InventoryEvent = Extract<SchedulerEvent, { kind: 'inventory-received' }>;

/** A set of tasks that the same nodes can run: a class that cannot run now blocks nobody else. */
export interface PlacementClass {
  readonly typeId: number;
  readonly hasDuration: boolean;
}

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
      state: 'unlinked',
      isDraining: false,
      held: new Set(),
      quickHeld: 0,
      quickMs: 0,
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
   * that run there, so that it would wait for AHEAD_MS at most. A slot that turns over every 3 ms is
   * empty most of the time otherwise, while a settle and a lease are being committed.
   */
  hasRoom(member: Member, isQuick: boolean): boolean {
    if (member.state !== 'linked' || member.isDraining) return false;
    const used = slotsUsed(member);
    if (used < member.slots || !isQuick) return used < member.slots;
    const quickRunning = Math.max(0, member.quickHeld - (used - member.slots));
    const meanMs = Math.max(1, member.quickMs / Math.max(1, member.quickHeld));
    return used < member.slots + quickRunning * Math.min(AHEAD_MAX, AHEAD_MS / meanMs);
  }

  canRun(member: Member, placement: PlacementClass): boolean {
    if (member.typeIds.has(placement.typeId)) return true;
    return placement.hasDuration && member.simulates && !this.handled.has(placement.typeId);
  }

  /** The least loaded node with room for the class, by the share of its slots in use. */
  choose(placement: PlacementClass, isQuick: boolean): Member | undefined {
    let best: Member | undefined;
    let bestLoad = Infinity;
    for (const member of this.byId.values()) {
      if (!this.hasRoom(member, isQuick) || !this.canRun(member, placement)) continue;
      const load = slotsUsed(member) / member.slots;
      if (load < bestLoad) {
        best = member;
        bestLoad = load;
      }
    }
    return best;
  }
}

function slotsUsed(member: Member): number {
  return member.held.size + member.unloaded.size;
}
