import { errors, toError } from './base/errors.ts';
import { toNodeId } from './base/ids.ts';
import { Elector, type Leadership } from './cluster/elector.ts';
import { LeaderContact } from './cluster/leader-contact.ts';
import type { HeartbeatMetricsPort } from './cluster/ports.ts';
import type { Config } from './config.ts';
import { Drainer } from './drainer.ts';
import { isUnderstood, PROTOCOL, type News } from './core/messages.ts';
import type { Handler } from './core/handler.ts';
import type { SpawnParent } from './core/submission.ts';
import type { LeaderMetricsPort, LinkHandlers, LinkToNode, LogPort } from './leader/ports.ts';
import { openReports, type Reports } from './reports.ts';
import { LeaseStore } from './store/lease-store.ts';
import { NodeRegistry, type FormerLife, type NodeFacts } from './store/node-registry.ts';
import { isDataError } from './store/pipeline.ts';
import type { Connection, LifeAnchor, Surroundings } from './surroundings.ts';
import { beginTerm, type TermOfOffice } from './term-of-office.ts';
import { Executor } from './worker/executor.ts';
import type { WorkerMetricsPort } from './worker/ports.ts';
import type { UserCode } from './worker/user-code.ts';
import { Worker } from './worker/worker.ts';

/**
 * One life of a node under one number: its row, its worker, its stream to the leader, its candidacy,
 * and its terms of office. A node whose row the database holds for dead ends this life and begins
 * another; the process, its REST and its peer server stay. So does a node whose database has failed
 * over to another server, where its number and its leases may be another's (store/primary.ts).
 *
 * Connections: the lock's (elector), the leader's two (fenced writes, reads) while it leads, the
 * worker's, that of what runs say, and the one that renews the lease: none of these waits for another.
 */
export interface IncarnationDeps {
  readonly config: Pick<Config, 'name' | 'slots' | 'simulate' | 'labels' | 'timings' | 'drainMs'>;
  readonly surroundings: Surroundings;
  readonly log: LogPort & { child(fields: Readonly<Record<string, unknown>>): LogPort };
  readonly metrics: IncarnationMetrics;
  readonly handlers: readonly Handler[];
  readonly users?: UserCode | undefined;
  /** Adds tasks for one that runs here (`ctx.spawn`). */
  readonly spawn: (parent: SpawnParent, tasks: unknown, from: number) => Promise<readonly string[]>;
  readonly addresses: { readonly httpUrl: string; readonly grpcAddress: string };
  readonly version: string;
  readonly onEnded: (seqs: readonly number[], codes: readonly number[]) => void;
  readonly onTerm: () => void;
  readonly onNews: (news: News) => void;
  /** This life is over, for whatever reason; called once. */
  onBuried(reason: string): void;
  /** The highest term that the lives before this one have seen: the next is above it. */
  readonly termSeen?: number;
  /** The life before this one took no more work. */
  readonly isDrained?: boolean;
}

export interface IncarnationMetrics
  extends LeaderMetricsPort, WorkerMetricsPort, HeartbeatMetricsPort {
  setTerm(term: number): void;
  setLeader(isLeader: boolean): void;
  electionWon(): void;
}

const STATEMENT_MS = 5000;
/** Batches of outcomes that may be under way at once, each on a connection of its own. */
const SETTLE_LANES = 2;
/** What was settled last is told for so long at shut-down; after that the database has it anyway. */
const FAREWELL_MS = 500;

/** What the row of the node says, and when it was asked for. */
interface LifeFacts extends NodeFacts {
  readonly registeredMs: number;
}

export class Incarnation {
  readonly nodeId: number;
  readonly contact: LeaderContact;
  private readonly deps: IncarnationDeps;
  private readonly registry: NodeRegistry;
  private readonly connections: readonly Pick<Connection, 'close'>[];
  private readonly worker: Worker;
  private readonly reports: Reports;
  private readonly elector: Elector;
  private readonly drainer: Drainer;
  private readonly anchor: LifeAnchor | undefined;
  private readonly incarnation: string;
  private leftBehind: FormerLife | undefined;
  private buriedFor = 'the cluster held this node for dead';
  private term: TermOfOffice | undefined;

  /** Registers a new incarnation and starts its roles. */
  static async begin(deps: IncarnationDeps): Promise<Incarnation> {
    const { config, addresses, handlers, users, version, surroundings } = deps;
    let life: Incarnation | undefined;
    const anchor = surroundings.anchor?.(() => life?.leaveServer());
    const control = surroundings.connect('control', STATEMENT_MS, anchor);
    const registry = new NodeRegistry(control);
    const registeredMs = surroundings.clock.monotonicMs();
    const facts: LifeFacts = {
      ...surroundings.identity,
      ...addresses,
      incarnation: surroundings.newIncarnation(),
      name: config.name,
      slots: config.slots,
      types: [...handlers.map(({ type }) => type), ...(users?.types.keys() ?? [])],
      simulates: config.simulate,
      labels: config.labels,
      version,
      registeredMs,
    };
    try {
      const nodeId = await registry.register(facts, config.timings.leaseMs);
      if (anchor?.isOver === true) throw errors.databaseNotPrimary('it changed in the meantime');
      life = new Incarnation(deps, facts, nodeId, registry, control, anchor);
      return life;
    } catch (thrown) {
      await control.close();
      throw thrown;
    }
  }

  private constructor(
    deps: IncarnationDeps,
    facts: LifeFacts,
    nodeId: number,
    registry: NodeRegistry,
    control: Connection,
    anchor: LifeAnchor | undefined,
  ) {
    this.deps = deps;
    this.anchor = anchor;
    this.incarnation = facts.incarnation;
    this.nodeId = nodeId;
    this.registry = registry;
    const { surroundings } = deps;
    const payloads = surroundings.connect('worker-read', STATEMENT_MS, anchor);
    const settles = Array.from({ length: SETTLE_LANES }, () =>
      surroundings.connect('worker', STATEMENT_MS, anchor),
    );
    this.reports = openReports(deps, nodeId, anchor);
    this.connections = [control, payloads, ...settles, this.reports];
    this.worker = this.createWorker(payloads, settles);
    this.contact = this.createContact(facts);
    this.elector = this.createElector(facts);
    this.drainer = new Drainer({
      ...{ clock: surroundings.clock, log: deps.log, contact: this.contact, worker: this.worker },
      graceMs: deps.config.drainMs,
      mark: (state) => registry.setState(nodeId, state),
    });
    this.contact.start();
    this.elector.start();
    if (deps.termSeen !== undefined) this.elector.observeTerm(deps.termSeen);
    if (deps.isDrained === true) this.drainer.set(true);
  }

  /** The highest term seen by this life, or by one before it. */
  get termSeen(): number {
    return this.elector.termSeen;
  }

  get isDrained(): boolean {
    return this.drainer.isOn;
  }

  get isLeader(): boolean {
    return this.elector.role === 'leader';
  }

  /** Until when this node may act as the leader, on its own clock; null where it does not lead. */
  get leadsUntilMs(): number | null {
    return this.elector.leadsUntilMs;
  }

  /** Leases that this node may still settle. */
  get heldCount(): number {
    return this.worker.inventory.seqs.length;
  }

  /** A node's stream has arrived at this process. */
  accept(link: LinkToNode): LinkHandlers | { readonly refused: string } {
    const here = this.anchor?.serverName ?? '';
    const { database: there = '', termSeen } = link.hello;
    if (here !== '' && there !== '' && here !== there) {
      const { name } = link.hello;
      this.deps.log.warn('A node of another database was refused.', { peer: name, here, there });
      this.deps.surroundings.doubt?.();
      return { refused: 'on another database' };
    }
    if (!isUnderstood(link.hello)) {
      const { name, version } = link.hello;
      this.deps.log.warn('A node of another protocol was refused.', { peer: name, version });
      return { refused: `its release and ${this.deps.version} do not understand each other` };
    }
    const { leaseMs } = this.deps.config.timings;
    if ((link.hello.leaseMs ?? 0) !== 0 && link.hello.leaseMs !== leaseMs) {
      this.deps.log.warn('A node with a lease of another length was refused.', {
        peer: link.hello.name,
        lease_ms: leaseMs,
        peer_lease_ms: link.hello.leaseMs,
      });
      return { refused: `the lease of this cluster is ${String(leaseMs)} ms: set lease_ms alike` };
    }
    // Where the database has failed over, a peer may know of later terms than the row: ours must be above.
    this.elector.observeTerm(termSeen);
    if (this.term === undefined || !this.isLeader) return { refused: 'not the leader' };
    return this.term.loop.accept(link);
  }

  /**
   * Resigns first, so that another leads before anything else is done; then takes no more work, lets
   * what runs finish for `drainMs`, hands back the rest, and says goodbye.
   */
  async drain(drainMs: number, signal: AbortSignal): Promise<void> {
    this.drainer.leave();
    await this.elector.resign();
    await this.registry.setState(this.nodeId, 'draining').catch((thrown: unknown) => {
      this.deps.log.warn('The node could not be marked as draining.', { error: toError(thrown) });
    });
    this.contact.drain();
    await this.worker.drain(drainMs, signal);
    const { clock } = this.deps.surroundings;
    const untilMs = clock.monotonicMs() + FAREWELL_MS;
    while (!this.contact.isAllTold && !signal.aborted && clock.monotonicMs() < untilMs) {
      await clock.sleep(10);
    }
  }

  /**
   * Ends everything at once; what is not settled will be reclaimed. It signs out only when nothing that
   * it began runs any more: its tasks are others' right then (rule 7). Else its lease runs out.
   */
  async end(): Promise<void> {
    await this.elector.stop();
    await this.term?.ended;
    const hasEnded = await this.worker.stop();
    await this.contact.stop();
    if (!hasEnded) {
      this.deps.log.warn('Tasks of this node may run on; its lease is left to run out.');
    } else if (this.anchor?.isOver === true) {
      // Its server is the primary no more: the next life says so to the one that is.
      this.leftBehind = { nodeId: this.nodeId, incarnation: this.incarnation };
    } else {
      await this.signOut();
    }
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  /** What the next life is to sign out: this one, where it ended whole on a server of the past. */
  get unsigned(): FormerLife | undefined {
    return this.leftBehind;
  }

  /** Nothing of it runs any more, so its tasks need not wait until its lease is over. */
  async signOutFormer(former: FormerLife): Promise<void> {
    await this.registry.signOutFormer(former).catch((thrown: unknown) => {
      this.deps.log.warn('The life before this could not sign out.', { error: toError(thrown) });
    });
  }

  /** What ran here must not be settled where its lease may be another's: all at once, nothing later. */
  private leaveServer(): void {
    this.buriedFor = 'another server of PostgreSQL is the primary now';
    this.elector.depose(this.buriedFor);
    this.contact.bury();
  }

  private async signOut(): Promise<void> {
    await this.registry.setState(this.nodeId, 'left').catch((thrown: unknown) => {
      this.deps.log.warn('The node could not sign out.', { error: toError(thrown) });
    });
  }

  private createWorker(payloads: Connection, settles: readonly Connection[]): Worker {
    const { config, log, metrics, handlers, users, surroundings } = this.deps;
    const { timings } = config;
    const shared = { clock: surroundings.clock, rng: surroundings.rng, log };
    const isolation = surroundings.isolate({
      ...shared,
      ...{ slots: config.slots, graceMs: timings.killGraceMs, wordMs: timings.renewMs },
      leaseLeftMs: () => this.contact.leaseLeftMs,
      registerGroups: (groups) => this.registry.setProcessGroups(this.nodeId, groups),
    });
    const store = new LeaseStore(this.nodeId, payloads, settles);
    const executor = new Executor({
      ...shared,
      ...{ reports: this.reports, results: (seq: number) => store.results(seq) },
      spawn: (parent, ...added) => this.deps.spawn({ ...parent, nodeId: this.nodeId }, ...added),
      handlers: new Map(handlers.map((handler) => [handler.type, handler])),
      ...{ users: users?.types, simulates: config.simulate, isolation },
      secrets: surroundings.secrets,
    });
    return new Worker({
      ...shared,
      ...{ metrics, executor, isDataError, store },
      ...{ settleLanes: SETTLE_LANES, slots: config.slots },
      isLeaseSafe: () => this.contact.isLeaseSafe,
      onSettled: (settled) => {
        this.contact.tell(settled);
      },
    });
  }

  private createContact(facts: LifeFacts): LeaderContact {
    const { config, log, metrics, surroundings } = this.deps;
    const { name, slots, types, simulates, labels, version, incarnation } = facts;
    return new LeaderContact({
      clock: surroundings.clock,
      log,
      metrics,
      timings: config.timings,
      hello: {
        ...{ nodeId: this.nodeId, incarnation, name, slots, types, simulates, labels, version },
        leaseMs: config.timings.leaseMs,
        ...{ protocol: PROTOCOL.speaks, protocolMin: PROTOCOL.understands },
        ...(this.anchor === undefined ? {} : { database: this.anchor.serverName }),
      },
      registeredMs: facts.registeredMs,
      dial: (options) => {
        const termSeen = Math.max(options.hello.termSeen, this.termSeen);
        return surroundings.dial({ ...options, hello: { ...options.hello, termSeen } });
      },
      renew: async () => {
        const renewed = await this.registry.renewMany([this.nodeId], config.timings.leaseMs);
        return renewed.length === 1;
      },
      worker: this.worker,
      setLinkHealthy: (isHealthy) => {
        this.elector.setLinkHealthy(isHealthy);
      },
      observeTerm: (term) => {
        this.elector.observeTerm(term);
      },
      onEnded: this.deps.onEnded,
      onTerm: this.deps.onTerm,
      onNews: this.deps.onNews,
      onDrain: (isOn) => {
        this.drainer.set(isOn);
      },
      onBuried: () => {
        this.deps.onBuried(this.buriedFor);
      },
    });
  }

  private createElector(facts: NodeFacts): Elector {
    const { config, log, metrics, surroundings } = this.deps;
    const { clock, rng } = surroundings;
    const { timings } = config;
    const { name, grpcAddress, httpUrl, incarnation } = facts;
    return new Elector({
      clock,
      rng,
      log,
      metrics,
      timings,
      self: { nodeId: toNodeId(this.nodeId), name, grpcAddress, httpUrl },
      openLockSession: surroundings.lockSessions(incarnation, timings, this.anchor),
      schedulerProgressMs: () => this.term?.loop.progressMs ?? clock.monotonicMs(),
      onLeaderSeen: (view) => {
        metrics.setTerm(view.term);
        this.contact.follow(view);
      },
      onGained: (leadership) => {
        this.lead(leadership);
      },
      onLost: () => {
        metrics.setLeader(false);
      },
    });
  }

  private lead(leadership: Leadership): void {
    const { metrics } = this.deps;
    metrics.setLeader(true);
    metrics.electionWon();
    const shared = { ...this.deps, anchor: this.anchor, renewer: this.registry };
    this.term = beginTerm(
      {
        ...shared,
        leaderlessMs: this.contact.leaderlessMs,
        depose: (reason) => {
          this.elector.depose(reason);
        },
      },
      leadership,
    );
  }
}
