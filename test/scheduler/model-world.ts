import { setMaxListeners } from 'node:events';
import type { Rng } from '../../node/base/clock.ts';
import {
  LeaderContact,
  type LeaderStream,
  type WorkerPort,
} from '../../node/cluster/leader-contact.ts';
import { SettledAs } from '../../node/core/messages.ts';
import type { Aborts, FromLeader, Grants, Hello } from '../../node/core/messages.ts';
import { LAN } from '../../node/core/timings.ts';
import { LeaderLoop } from '../../node/leader/loop.ts';
import type { LogPort, ReaderPort, RenewerPort, WriterPort } from '../../node/leader/ports.ts';
import { seededRng } from '../support/seeded-rng.ts';
import { ModelClock } from './model-clock.ts';
import { DeposedError, ModelDatabase } from './model-database.ts';
import { Connection, Wire } from './model-wires.ts';

/**
 * A world for the leader's real parts: time, statements and frames move only when the test says so, in
 * an order that a seed decides. What may happen between two moves of one party happens here: a
 * statement is executed and answered apart, a connection or a stream is lost with what is in it, a node
 * or a leader dies, a deposed leader goes on for a while.
 */
const QUIET: LogPort = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
/** Here a statement may take any time, and terms end when the seed says so. */
const PATIENT = { ...LAN, progressMs: Infinity };
const NO_METRICS = {
  leaderGauges: () => undefined,
  clearLeaderGauges: () => undefined,
  leasesReclaimed: () => undefined,
  committed: () => undefined,
};

/** A node: its real contact with the leader, and slots whose tasks end when the seed says so. */
export class ModelNode implements WorkerPort {
  readonly outageSinceMs = undefined;
  readonly nodeId: number;
  readonly isProvable: boolean;
  readonly contact: LeaderContact;
  isDead = false;
  private readonly world: World;
  private readonly held = new Map<number, { leaseSeq: number; attempt: number; stop: boolean }>();

  constructor(world: World, nodeId: number, slots: number, isProvable: boolean) {
    this.world = world;
    this.nodeId = nodeId;
    this.isProvable = isProvable;
    const hello = { nodeId, incarnation: String(nodeId), name: `node-${String(nodeId)}`, slots };
    this.contact = new LeaderContact({
      clock: world.clock,
      log: QUIET,
      metrics: { heartbeatAnswered: () => undefined },
      timings: LAN,
      hello: { ...hello, types: ['work'], simulates: false, version: '1' },
      registeredMs: world.clock.nowMs,
      dial: ({ hello, onMessage, onClosed }) => world.dial(this, hello, onMessage, onClosed),
      renew: () => Promise.resolve(world.database.renew([nodeId], LAN.leaseMs).length === 1),
      worker: this,
      setLinkHealthy: () => undefined,
      observeTerm: () => undefined,
      onEnded: () => undefined,
      onTerm: () => undefined,
      onNews: () => undefined,
      onDrain: () => undefined,
      onBuried: () => {
        world.faults.push(`node ${String(nodeId)} was buried alive`);
      },
    });
    world.database.renew([nodeId], LAN.leaseMs);
    this.contact.start();
  }

  get inventory(): { seqs: number[]; leaseSeqs: number[] } {
    const leaseSeqs = [...this.held.values()].map((lease) => lease.leaseSeq);
    return { seqs: [...this.held.keys()], leaseSeqs };
  }

  accept({ seqs, leaseSeqs, attempts }: Grants): void {
    for (const [at, seq] of seqs.entries()) {
      const leaseSeq = leaseSeqs[at] as number;
      if ((this.held.get(seq)?.leaseSeq ?? -1) >= leaseSeq) continue;
      this.held.set(seq, { leaseSeq, attempt: attempts[at] as number, stop: false });
      this.world.begin(this.nodeId, seq, leaseSeq);
    }
  }

  abort(aborts: Aborts): void {
    for (const [at, seq] of aborts.seqs.entries()) {
      const lease = this.held.get(seq);
      if (lease !== undefined && lease.leaseSeq === aborts.leaseSeqs[at]) lease.stop = true;
    }
  }

  /** Its slots are as many as its leases: nothing waits. */
  recall(): void {}

  interruptAll(): void {
    for (const lease of this.held.values()) lease.stop = true;
  }

  markStarted(): Promise<void> {
    return Promise.resolve();
  }

  get moves(): (() => void)[] {
    return this.isDead ? [] : [...this.held.keys()].map((seq) => () => this.settle(seq));
  }

  die(): void {
    this.isDead = true;
    this.held.clear();
    void this.contact.stop();
  }

  private settle(seq: number): void {
    const { database, rng } = this.world;
    const task = database.tasks.get(seq);
    const lease = this.held.get(seq);
    if (task === undefined || lease === undefined) return;
    const { leaseSeq } = lease;
    const fails = lease.attempt < task.failures;
    const isLast = lease.attempt + 1 >= task.maxAttempts;
    const failure = isLast ? SettledAs.FAILED : SettledAs.RETRY;
    const ran = fails ? failure : SettledAs.COMPLETED;
    const delayMs = Math.floor(rng.random() * 3) * 40;
    const asked = lease.stop ? SettledAs.RELEASED : ran;
    const settled = database.settle(this.nodeId, seq, leaseSeq, asked, delayMs);
    this.held.delete(seq);
    if (settled !== undefined) this.contact.tell([{ seq, leaseSeq, ...settled, runMs: -1 }]);
  }
}

/** One term of a real leader, and the connections of its own. */
interface Office {
  readonly term: number;
  readonly loop: LeaderLoop;
  readonly ended: Promise<void>;
  readonly controller: AbortController;
  readonly reads: Connection;
  readonly writes: Connection;
}

/** How often each kind of thing is let happen, drawn anew now and then: what is slow piles up. */
const KINDS = ['reads', 'writes', 'wires', 'work'] as const;
const SPEEDS = [1, 1, 0.3, 0.1, 0.03] as const;
/** Streams that are slower than these fall silent for so long that a node gives them up. */
const CALM_SPEEDS = [1, 1, 0.3] as const;

export class World {
  readonly clock = new ModelClock();
  readonly database = new ModelDatabase();
  readonly rng: Rng;
  readonly nodes: ModelNode[] = [];
  /** The last is the leader; those before it do not know yet, or are on their way out. */
  offices: Office[] = [];
  /** Nothing goes wrong that is not asked for, silence among it. */
  isCalm = false;
  private readonly speeds: Record<(typeof KINDS)[number], number>;
  private wires: Wire[] = [];
  private readonly begun = new Map<string, number>();

  constructor(seed: number) {
    this.rng = seededRng(seed);
    this.speeds = { reads: 1, writes: 1, wires: 1, work: 1 };
  }

  get faults(): string[] {
    return this.database.faults;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.rng.random() * from.length)] as T;
  }

  chance(probability: number): boolean {
    return this.rng.random() < probability;
  }

  join(slots: number): void {
    const nodeId = this.nodes.length + 1;
    const name = `node-${String(nodeId)}`;
    this.database.nodes.set(nodeId, { nodeId, name, state: 'alive', untilMs: 0 });
    this.nodes.push(new ModelNode(this, nodeId, slots, this.chance(0.5)));
  }

  elect(): void {
    const term = (this.database.term += 1);
    const controller = new AbortController();
    // As of a real term: every read under way listens for its end.
    setMaxListeners(0, controller.signal);
    const [reads, writes] = [new Connection(), new Connection()];
    const { clock, rng, database } = this;
    const onDeposed = (): void => {
      controller.abort(new Error('deposed'));
    };
    const loop = new LeaderLoop(
      {
        ...{
          clock,
          rng,
          log: QUIET,
          metrics: NO_METRICS,
          timings: PATIENT,
          onDeposed,
          pageRows: 5,
        },
        reader: reads.port(database.reader) as unknown as ReaderPort,
        writer: writes.port(database.writer(term)) as unknown as WriterPort,
        renewer: reads.port({ renewMany: database.renew.bind(database) }) as unknown as RenewerPort,
        processes: {
          isProvenDead: ({ nodeId }) => {
            const node = this.nodes.find((one) => one.nodeId === nodeId);
            return node?.isDead === true && node.isProvable;
          },
          killGroup: () => true,
        },
        isDeposedError: (error) => error instanceof DeposedError,
      },
      { term, signal: controller.signal, isTrusted: () => !controller.signal.aborted },
    );
    const ended = loop.run().catch((thrown: unknown) => {
      this.faults.push(`term ${String(term)} failed: ${String(thrown)}`);
    });
    this.offices.push({ term, loop, ended, controller, reads, writes });
  }

  /** The office ends for whoever holds it; its connections break. */
  retire(office: Office): void {
    office.controller.abort(new Error('retired'));
    for (const connection of [office.reads, office.writes]) connection.lose(this.chance(0.5));
    this.offices = this.offices.filter((other) => other !== office);
  }

  dial(
    node: ModelNode,
    hello: Hello,
    onMessage: (message: FromLeader) => void,
    onClosed: (reason: string) => void,
  ): LeaderStream {
    let heardMs = this.clock.nowMs;
    const wire = new Wire(
      (message) => {
        heardMs = this.clock.nowMs;
        if (!node.isDead) onMessage(message);
      },
      () => onClosed('closed'),
    );
    this.wires.push(wire);
    const link = {
      hello,
      send: (frame: Omit<FromLeader, 'number'>) => wire.sendToNode(frame),
      close: () => wire.close(),
    };
    const office = this.offices.at(-1);
    const accepted = office?.loop.accept(link) ?? { refused: 'nobody leads' };
    if ('refused' in accepted) wire.close();
    else wire.handlers = accepted;
    return {
      send: (frame) => wire.sendToLeader(frame),
      close: () => wire.close(),
      lastHeardMs: () => heardMs,
    };
  }

  begin(nodeId: number, seq: number, leaseSeq: number): void {
    const key = `${String(seq)} under ${String(leaseSeq)}`;
    if (this.begun.has(key)) this.faults.push(`task ${key} was begun twice`);
    this.begun.set(key, nodeId);
  }

  /** Everything that may happen next, faults and the passing of time aside. */
  get moves(): readonly (() => void)[] {
    const { speeds, offices, wires } = this;
    if (this.chance(0.01)) {
      for (const kind of KINDS) {
        speeds[kind] = this.pick(this.isCalm && kind === 'wires' ? CALM_SPEEDS : SPEEDS);
      }
    }
    const leader = this.offices.at(-1);
    const living = this.nodes.filter((node) => !node.isDead);
    const follow = living.map((node) => () => {
      if (leader !== undefined) node.contact.follow({ term: leader.term, grpcAddress: 'leader' });
    });
    return [
      ...(this.chance(speeds.reads) ? offices.flatMap(({ reads }) => reads.moves) : []),
      ...(this.chance(speeds.writes) ? offices.flatMap(({ writes }) => writes.moves) : []),
      ...(this.chance(speeds.wires) ? wires.flatMap((wire) => wire.moves) : []),
      ...(this.chance(speeds.work) ? living.flatMap((node) => node.moves) : []),
      ...(this.chance(0.1) ? follow : []),
    ];
  }

  breakStream(): void {
    if (this.wires.length > 0) this.pick(this.wires).close(Math.floor(this.rng.random() * 4));
  }

  /** Lets time pass to the next timer, for all clocks alike. */
  advance(): void {
    this.database.nowMs += this.clock.advance();
    this.wires = this.wires.filter((wire) => !wire.isOver);
  }

  /** Everything that was set going comes to its next await. */
  settleDown(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  async end(): Promise<void> {
    const { offices } = this;
    for (const office of offices) this.retire(office);
    await Promise.all(this.nodes.map((node) => node.contact.stop()));
    await Promise.all(offices.map((office) => office.ended));
  }
}
