import { systemClock } from '../../node/base/clock.ts';
import { toError } from '../../node/base/errors.ts';
import type { TestCluster, TestNode } from '../support/cluster.ts';
import type { LeaderFault, Window } from './failover.ts';
import type { Link } from './network.ts';
import type { Fault, FaultKind } from './plan.ts';
import type { ChaosServer } from './server.ts';

/**
 * Carries the plan out, each fault at its time, whatever the others do meanwhile; and brings every node
 * back that has ended, as the supervisor of a real deployment does.
 */
export interface NemesisDeps {
  readonly cluster: TestCluster;
  readonly server: ChaosServer;
  readonly link: { readonly node: string; readonly link: Link } | undefined;
  /** A line for whoever looks into a run. */
  readonly note: (entry: Readonly<Record<string, unknown>>) => void;
}

const LOOK_MS = 200;
/** A node that could not start, because its database was down, is tried again. */
const REVIVE_MS = 400;
/** Beyond what a drain may take by the settings of the nodes. */
const DRAINED_MS = 20_000;
const READY_MS = 15_000;
const UNDONE_MS = 60_000;
const DELAY_MS_MAX = 300;

export class Nemesis {
  readonly performed = new Map<FaultKind, number>();
  /** There was no node left that was not under a fault already. */
  readonly skipped = new Map<FaultKind, number>();
  readonly leaderFaults: LeaderFault[] = [];
  readonly outages: Window[] = [];
  /** What a fault must not do: a node that does not listen to SIGTERM, a server that stays down. */
  readonly oddities: string[] = [];
  private readonly deps: NemesisDeps;
  /** Nodes that are down, frozen or about to be. */
  private readonly taken = new Set<string>();
  private readonly underWay = new Set<Promise<void>>();
  private isServerTaken = false;
  /** Told to stop, faults are undone at once. */
  private stopping = new AbortController().signal;
  private leader = { name: '', term: 0 };

  constructor(deps: NemesisDeps) {
    this.deps = deps;
  }

  async run(plan: readonly Fault[], signal: AbortSignal): Promise<void> {
    this.stopping = signal;
    const beganMs = systemClock.monotonicMs();
    for (const fault of plan) {
      const waitMs = fault.atMs - (systemClock.monotonicMs() - beganMs);
      await systemClock.sleep(Math.max(0, waitMs), signal);
      const performing = this.perform(fault)
        .catch((thrown: unknown) => {
          this.oddities.push(`${fault.kind} failed: ${toError(thrown).message}`);
        })
        .finally(() => this.underWay.delete(performing));
      this.underWay.add(performing);
    }
  }

  /** Waits until every fault is undone, and ends what still stands. */
  async undo(): Promise<void> {
    if (!(await within(UNDONE_MS, Promise.all(this.underWay)))) {
      this.oddities.push('a fault could not be undone in time');
    }
    for (const node of this.deps.cluster.nodes) {
      node.database.heal();
      node.peer.heal();
    }
    await this.deps.link?.link.plug();
  }

  /** Until the signal. */
  async supervise(signal: AbortSignal): Promise<void> {
    const { cluster, note } = this.deps;
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
      const names = cluster.nodes.filter((node) => node.hasEnded()).map(({ name }) => name);
      for (const name of names) {
        if (this.taken.has(name)) continue;
        await systemClock.sleep(REVIVE_MS, signal).catch(() => undefined);
        // Meanwhile a fault may have begun and ended with it.
        if (isOver() || this.taken.has(name) || !cluster.node(name).hasEnded()) break;
        note({ supervisor: 'revives', node: name });
        await cluster.revive(name);
      }
    }
  }

  private async perform(fault: Fault): Promise<void> {
    const { kind, forMs } = fault;
    await this.readLeader();
    switch (kind) {
      case 'kill':
      case 'stop':
      case 'stop-briefly':
        return this.withNode(fault, (node) => this.strike(fault, node));
      case 'rolling-restart':
        return this.rollOver(fault);
      case 'kill-backend':
      case 'postgres-fast-restart':
      case 'postgres-immediate-restart':
        return this.downServer(fault);
      case 'terminate-lock-session':
        this.begin(fault, this.leader.name);
        return this.tolerant(() => this.deps.server.terminateLockSession());
      case 'terminate-sessions':
        this.begin(fault, null);
        return this.tolerant(() => this.deps.server.terminateSessions(fault.draw));
      case 'link-pulled':
        if (this.deps.link === undefined) {
          this.skip(fault);
          return;
        }
        this.begin(fault, this.deps.link.node);
        await this.deps.link.link.pull();
        await this.pause(forMs);
        return this.deps.link.link.plug();
      default:
        return this.disturb(fault);
    }
  }

  private async strike({ kind, forMs }: Fault, { name }: TestNode): Promise<void> {
    const { cluster } = this.deps;
    if (kind === 'kill') {
      await cluster.kill(name);
      await this.pause(forMs);
      await cluster.revive(name);
    } else {
      await cluster.freeze(name);
      await this.pause(forMs);
      await cluster.thaw(name);
    }
  }

  /** One node after the other, each given back before the next is taken. */
  private async rollOver(fault: Fault): Promise<void> {
    const { cluster } = this.deps;
    for (const { name } of cluster.nodes) {
      if (this.stopping.aborted) return;
      if (this.taken.has(name) || cluster.node(name).hasEnded()) continue;
      this.taken.add(name);
      try {
        await this.readLeader();
        this.begin(fault, name);
        const isDone = await within(DRAINED_MS, cluster.kill(name, 'SIGTERM'));
        if (!isDone) {
          this.oddities.push(`${name} had not ended ${String(DRAINED_MS)} ms after SIGTERM`);
          await cluster.kill(name, 'SIGKILL');
        }
        await cluster.revive(name);
        await within(
          READY_MS,
          cluster.ready(name).catch(() => undefined),
        );
      } finally {
        this.taken.delete(name);
      }
    }
  }

  private async downServer(fault: Fault): Promise<void> {
    const { server } = this.deps;
    if (this.isServerTaken) {
      this.skip(fault);
      return;
    }
    this.isServerTaken = true;
    const fromMs = Date.now();
    try {
      this.begin(fault, null);
      if (fault.kind === 'kill-backend') await server.killBackend(fault.draw);
      else if (fault.kind === 'postgres-fast-restart') await server.restart('SIGINT', fault.forMs);
      else await server.restart('SIGQUIT', fault.forMs);
      // Where the whole server went, a launcher brings it back.
      await server.open();
    } finally {
      this.isServerTaken = false;
      this.outages.push({ fromMs, toMs: Date.now() });
    }
  }

  /** The faults of the proxies. */
  private async disturb(fault: Fault): Promise<void> {
    const node = this.choose(fault, new Set());
    if (node === undefined) {
      this.skip(fault);
      return;
    }
    this.begin(fault, node.name);
    const { kind, forMs, draw } = fault;
    const proxy = kind.startsWith('peer-') ? node.peer : node.database;
    const lost = LOST_AFTER.get(kind);
    if (kind.endsWith('-cut')) proxy.cutAll();
    else if (kind.endsWith('-delay')) proxy.delay(10 + Math.round(draw * DELAY_MS_MAX));
    else if (lost !== undefined) void proxy.dropReplies(lost);
    else proxy.pause(DIRECTIONS.get(kind) ?? 'both');
    await this.pause(forMs);
    if (lost !== undefined) proxy.heal();
    proxy.delay(0);
    proxy.resume();
  }

  private async withNode(fault: Fault, strike: (node: TestNode) => Promise<void>): Promise<void> {
    const node = this.choose(fault, this.taken);
    if (node === undefined) {
      this.skip(fault);
      return;
    }
    this.taken.add(node.name);
    try {
      this.begin(fault, node.name);
      await strike(node);
    } finally {
      this.taken.delete(node.name);
    }
  }

  private choose({ target, draw }: Fault, taken: ReadonlySet<string>): TestNode | undefined {
    const free = this.deps.cluster.nodes.filter(
      (node) => !taken.has(node.name) && !node.hasEnded(),
    );
    const fitting = free.filter(({ name }) =>
      target === 'any' ? true : (name === this.leader.name) === (target === 'leader'),
    );
    return fitting[Math.floor(draw * fitting.length)];
  }

  private begin({ kind, forMs }: Fault, node: string | null): void {
    this.performed.set(kind, (this.performed.get(kind) ?? 0) + 1);
    const { name, term } = this.leader;
    const isLeader = node === name;
    this.deps.note({ fault: kind, node, is_leader: isLeader, term, for_ms: forMs });
    if (isLeader && ENDS_TERMS.has(kind)) this.leaderFaults.push({ kind, atMs: Date.now(), term });
  }

  private async pause(ms: number): Promise<void> {
    await systemClock.sleep(ms, this.stopping).catch(() => undefined);
  }

  private skip({ kind }: Fault): void {
    this.skipped.set(kind, (this.skipped.get(kind) ?? 0) + 1);
  }

  /** As the database has it; while that is down, as it was. */
  private async readLeader(): Promise<void> {
    await this.tolerant(() =>
      this.deps.server.withClient(async (client) => {
        const { rows } = await client.query<{ name: string; term: number }>(
          'select leader_name as name, term::int from skein.term',
        );
        this.leader = rows[0] ?? this.leader;
      }),
    );
  }

  /** The server may be down by another fault: then this one finds nothing to harm. */
  private async tolerant(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (thrown) {
      this.deps.note({ in_vain: toError(thrown).message });
    }
  }
}

/** On the leader, each of these may end its term. */
const ENDS_TERMS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'kill',
  'stop',
  'stop-briefly',
  'rolling-restart',
  'terminate-lock-session',
  'database-silence',
  'database-silence-to-server',
  'database-silence-to-node',
  'database-cut',
  'link-pulled',
]);

const DIRECTIONS: ReadonlyMap<FaultKind, 'to-target' | 'to-client'> = new Map([
  ['database-silence-to-server', 'to-target'],
  ['database-silence-to-node', 'to-client'],
  ['peer-silence-to-leader', 'to-target'],
  ['peer-silence-to-followers', 'to-client'],
]);

/** The text in what a node sends, after which its answers are lost. */
const LOST_AFTER: ReadonlyMap<FaultKind, string> = new Map([
  ['settle-reply-lost', 'lease-store.completeMany'],
  ['submit-reply-lost', 'database.commit'],
  ['lease-reply-lost', 'term-writer.leaseMany'],
]);

async function within(ms: number, action: Promise<unknown>): Promise<boolean> {
  const done = new AbortController();
  const late = systemClock.sleep(ms, done.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([action.then(() => true), late]);
  } finally {
    done.abort();
  }
}
