import type { Clock, Rng } from '../base/clock.ts';
import { Waker } from '../base/waker.ts';
import type { Timings } from '../core/timings.ts';
import type { DatabaseClock } from './database-clock.ts';
import type { Mailbox } from './mailbox.ts';
import type {
  Leadership,
  LogPort,
  NodeRow,
  ProcessesPort,
  ReaderPort,
  RenewerPort,
  WriterPort,
} from './ports.ts';
import type { Roster } from './roster.ts';
import { persist, untilDone, type RetryDeps } from './until-done.ts';

/**
 * Keeps the leases of the nodes, and buries the dead.
 *
 * Once a second one statement renews every node that has sent a heartbeat since the last, and each is
 * answered. A node whose stream is down, or which is silent, is looked at in the database:
 *   · it left, or was declared dead: what it held is taken back;
 *   · its death is proven (same machine, and its process is gone): its row is read once more, because
 *     it may have written until then; the process groups in it are killed, and when they are seen gone
 *     the node is declared dead at once (rule 7);
 *   · else both clocks must agree (rule 18): its lease is over by the database's, with the guard, and
 *     this leader has not seen it renewed for a whole lease and guard by its own monotonic clock,
 *     counted from its first look at the earliest. That is also the grace of a new leader.
 * A broken stream alone proves nothing.
 */
export interface ReaperDeps extends RetryDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly timings: Timings;
  readonly reader: ReaderPort;
  readonly writer: WriterPort;
  readonly renewer: RenewerPort;
  readonly processes: ProcessesPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  readonly roster: Roster;
  readonly databaseClock: DatabaseClock;
  /** The nodes that hold a lease by the scheduler's memory. */
  readonly holders: () => readonly number[];
}

/** With every stream up, the nodes are still looked at this often. */
const ALL_WELL_MS = 5000;
/** While a proven death waits for its children to vanish. */
const HURRY_MS = 50;

export class Reaper {
  private readonly deps: ReaperDeps;
  /** By node: its lease's end as last seen, and the monotonic instant at which it was first seen. */
  private readonly renewals = new Map<
    number,
    { readonly leaseUntilMs: number; readonly seenMs: number }
  >();
  private lastLookMs = -Infinity;
  private lastRenewMs = -Infinity;
  private mustLook = true;
  private readonly waker: Waker;

  constructor(deps: ReaperDeps) {
    this.deps = deps;
    this.waker = new Waker(deps.clock);
  }

  /** A stream has just closed. */
  look(): void {
    this.mustLook = true;
    this.waker.wake();
  }

  async run(): Promise<void> {
    const { clock, timings, leadership } = this.deps;
    const { signal } = leadership;
    await untilDone(signal, async () => {
      while (!signal.aborted) {
        if (clock.monotonicMs() - this.lastRenewMs >= timings.renewMs) await this.renew();
        if (this.isLookDue()) await this.lookAtNodes();
        const untilRenewMs = this.lastRenewMs + timings.renewMs - clock.monotonicMs();
        await this.waker.wait(this.mustLook ? HURRY_MS : Math.max(1, untilRenewMs), signal);
      }
    });
  }

  private isLookDue(): boolean {
    const { clock, timings, roster, holders } = this.deps;
    if (this.mustLook) return true;
    const sinceMs = clock.monotonicMs() - this.lastLookMs;
    if (sinceMs >= ALL_WELL_MS) return true;
    if (sinceMs < timings.renewMs * 0.9) return false;
    const isUnlinked = holders().some((nodeId) => !roster.isLinked(nodeId));
    return isUnlinked || roster.silentFor(2 * timings.renewMs).length > 0;
  }

  private async renew(): Promise<void> {
    const { clock, timings, renewer, roster, databaseClock } = this.deps;
    this.lastRenewMs = clock.monotonicMs();
    const due = roster.takeHeartbeats();
    if (due.size === 0) return;
    const renewed = await this.persist('renew', () =>
      renewer.renewMany([...due.keys()], timings.leaseMs),
    );
    const byNode = new Map(renewed.map(({ nodeId, leaseUntilMs }) => [nodeId, leaseUntilMs]));
    const [first] = byNode.values();
    if (first !== undefined) databaseClock.set(first - timings.leaseMs);
    for (const [nodeId, number] of due) {
      const leaseUntilMs = byNode.get(nodeId);
      if (leaseUntilMs !== undefined) this.see(nodeId, leaseUntilMs);
      else this.mustLook = true;
      roster.answer(nodeId, number, leaseUntilMs !== undefined);
    }
  }

  private async lookAtNodes(): Promise<void> {
    const { clock, reader, roster, mailbox, timings, holders } = this.deps;
    this.lastLookMs = clock.monotonicMs();
    this.mustLook = false;
    const held = holders();
    const nodes = await this.persist('nodes', () => reader.nodes(held));
    const known = new Set(nodes.map((node) => node.nodeId));
    for (const node of nodes) {
      await this.lookAt(node);
      // One that leaves is draining by itself.
      if (node.isDrainAsked || node.state === 'alive') roster.order(node.nodeId, node.isDrainAsked);
    }
    for (const nodeId of held) {
      // Its row is gone: nothing can renew it any more.
      if (!known.has(nodeId)) mailbox.post({ kind: 'node-lost', nodeId });
      else if (!roster.isLinked(nodeId)) mailbox.post({ kind: 'node-silent', nodeId });
    }
    for (const nodeId of roster.silentFor(2 * timings.renewMs)) {
      mailbox.post({ kind: 'node-silent', nodeId });
    }
  }

  private async lookAt(node: NodeRow): Promise<void> {
    const { processes, timings, writer, clock } = this.deps;
    const { nodeId, name } = node;
    this.see(nodeId, node.leaseUntilMs);
    if (node.state === 'left' || node.state === 'dead') {
      this.lose(node, node.state);
      return;
    }
    const isProven = processes.isProvenDead(node) && (await this.groupsAreGone(nodeId));
    const seenMs = this.renewals.get(nodeId)?.seenMs ?? clock.monotonicMs();
    const isOverHere = clock.monotonicMs() - seenMs >= timings.leaseMs + timings.guardMs;
    if (!isProven && !(node.isExpired && isOverHere)) return;
    const isBuried = await this.persist('bury', () =>
      writer.buryNode(nodeId, isProven, timings.guardMs),
    );
    if (!isBuried) return;
    this.lose(node, isProven ? 'proven' : 'expired');
    await this.persist('event', () => writer.addEvent('node-lost', name, { isProven }));
  }

  /** Kills what a dead node's children left running; looks again soon until nothing is left. */
  private async groupsAreGone(nodeId: number): Promise<boolean> {
    const { reader, processes } = this.deps;
    const rows = await this.persist('node', () => reader.nodes([nodeId]));
    const groups = rows.find((row) => row.nodeId === nodeId)?.processGroups ?? [];
    const left = groups.filter((group) => !processes.killGroup(group));
    if (left.length > 0) this.mustLook = true;
    return left.length === 0;
  }

  private lose(node: NodeRow, how: string): void {
    this.renewals.delete(node.nodeId);
    this.deps.log.warn('A node was lost.', { node: node.name, node_id: node.nodeId, how });
    this.deps.mailbox.post({ kind: 'node-lost', nodeId: node.nodeId });
  }

  private see(nodeId: number, leaseUntilMs: number): void {
    if (this.renewals.get(nodeId)?.leaseUntilMs === leaseUntilMs) return;
    this.renewals.set(nodeId, { leaseUntilMs, seenMs: this.deps.clock.monotonicMs() });
  }

  private persist<T>(what: string, run: () => Promise<T>): Promise<T> {
    return persist(this.deps, this.deps.leadership.signal, what, run);
  }
}
