import type { Rng } from '../../node/base/clock.ts';
import type { LeaderStream } from '../../node/cluster/leader-contact.ts';
import type { DialOptions } from '../../node/surroundings.ts';
import { seededRng } from '../support/seeded-rng.ts';
import type { DatabaseRoute } from './database-wire.ts';
import { History } from './history.ts';
import { Path } from './path.ts';
import { PeerWire, type Mischief } from './peer-wire.ts';
import { PACE, SimServer } from './postgres/server.ts';
import type { Change, Laws } from './postgres/transaction.ts';
import { SimProcess } from './process.ts';
import { SimNode, type NodeFacts, type Outside, type SimLog } from './sim-node.ts';
import { Timeline } from './timeline.ts';

/**
 * The world of one simulation: a server, machines with processes on them, and the paths between them.
 * A seed decides all that happens in it.
 */
export interface WorldOptions {
  readonly seed: number;
  readonly laws?: Laws;
  /** One line for each thing that happens; left out, nothing is written. */
  readonly trace?: (line: string) => void;
}

/** The ping of HTTP/2 between nodes, and TCP's keepalive on the way to the server. */
const PEER_KEEPALIVE_MS = 7000;
const DATABASE_KEEPALIVE_MS = 8000;
/** 2026-01-01, so that instants look like instants. */
const EPOCH_MS = 1_767_225_600_000;
/** Each way: two clocks drift apart by less than the 1 % that the timings allow. */
const DRIFT = 0.004;

export class World implements Outside {
  readonly timeline = new Timeline();
  readonly rng: Rng;
  readonly server: SimServer;
  readonly history: History;
  readonly mischief: Mischief = { lose: 0, repeat: 0 };
  /** In the order of their start; those that ended stay in it until they are replaced. */
  nodes: SimNode[] = [];
  /** How far the server's clock was set forward or back. */
  clockStepMs = 0;
  private readonly trace: ((line: string) => void) | undefined;
  private readonly processes = new Map<number, SimProcess>();
  private readonly peerPaths = new Map<string, Path>();
  private readonly databasePaths = new Map<string, { toServer: Path; toClient: Path }>();
  private lastPid = 100;
  private incarnations = 0;

  constructor({ seed, laws, trace }: WorldOptions) {
    this.rng = seededRng(seed);
    this.trace = trace;
    this.server = new SimServer({
      after: (ms, action) => this.timeline.after(ms, action),
      rng: this.rng,
      nowMs: () => this.timeline.nowMs,
      clockMs: () => EPOCH_MS + this.timeline.nowMs + this.clockStepMs,
      laws: {
        rechecks: true,
        ...laws,
        count: (what) => {
          this.history.count(what);
        },
      },
      onCommit: (commit) => {
        this.history.onCommit(commit);
        if (this.trace !== undefined && commit.changes.length > 0) {
          this.note('database', commit.statement, { changes: commit.changes.map(describeChange) });
        }
      },
    });
    this.history = new History(this.server.data);
  }

  /** A number in [from, to). */
  draw(from: number, to: number): number {
    return from + this.rng.random() * (to - from);
  }

  whole(from: number, to: number): number {
    return Math.floor(this.draw(from, to + 1));
  }

  chance(probability: number): boolean {
    return this.rng.random() < probability;
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.rng.random() * from.length)];
  }

  get living(): readonly SimNode[] {
    return this.nodes.filter((node) => !node.process.isDead);
  }

  /** What a supervisor does: ends what is left of a node, and starts it again, once. */
  restart(node: SimNode): void {
    if (!this.nodes.includes(node)) return;
    node.process.crash();
    this.startNode(node.facts);
  }

  /** A process of this name begins; the one before it must have ended. */
  startNode(facts: NodeFacts): SimNode {
    const process = this.newProcess(this.draw(1 - DRIFT, 1 + DRIFT));
    const node = new SimNode(this, facts, process, this.routeOf(facts.name, process));
    this.nodes = [...this.nodes.filter((other) => other.facts.name !== facts.name), node];
    this.note(facts.name, 'starts', { pid: process.pid });
    node.start();
    return node;
  }

  fork(): SimProcess {
    return this.newProcess(1);
  }

  processOf(pid: number): SimProcess {
    return this.processes.get(pid) as SimProcess;
  }

  isDead(pid: number): boolean {
    return this.processes.get(pid)?.isDead ?? true;
  }

  /** As base/process-identity.ts: true when nothing of it was left. */
  killGroup(pid: number): boolean {
    const process = this.processes.get(pid);
    if (process === undefined || process.isDead) return true;
    process.crash();
    return false;
  }

  nextIncarnation(): string {
    this.incarnations += 1;
    return `incarnation-${String(this.incarnations)}`;
  }

  dial(from: SimNode, options: DialOptions): LeaderStream {
    const to = this.nodes.find((node) => node.facts.name === options.address);
    const [here, there] = [from.facts.name, options.address];
    return new PeerWire({
      from: from.process,
      to,
      out: this.peerPath(here, there),
      back: this.peerPath(there, here),
      rng: this.rng,
      mischief: this.mischief,
      options,
    });
  }

  peerPath(from: string, to: string): Path {
    const key = `${from} → ${to}`;
    let path = this.peerPaths.get(key);
    if (path === undefined) {
      path = this.newPath(PEER_KEEPALIVE_MS);
      this.peerPaths.set(key, path);
    }
    return path;
  }

  databasePath(name: string): { readonly toServer: Path; readonly toClient: Path } {
    let paths = this.databasePaths.get(name);
    if (paths === undefined) {
      const path = (): Path => this.newPath(DATABASE_KEEPALIVE_MS);
      paths = { toServer: path(), toClient: path() };
      this.databasePaths.set(name, paths);
    }
    return paths;
  }

  /** Every path and process as it should be. */
  heal(): void {
    const paths = [...this.databasePaths.values()].flatMap((p) => [p.toServer, p.toClient]);
    for (const path of [...this.peerPaths.values(), ...paths]) path.heal();
    for (const node of this.nodes) node.process.thaw(true);
    this.mischief.lose = this.mischief.repeat = 0;
    this.server.start();
    this.server.pace = PACE;
    this.server.answersLost = 0;
    this.server.onCommitted = undefined;
  }

  note(who: string, what: string, fields?: Readonly<Record<string, unknown>>): void {
    if (this.trace === undefined) return;
    const atMs = this.timeline.nowMs.toFixed(2).padStart(10);
    const more = fields === undefined ? '' : ` ${JSON.stringify(fields, plain)}`;
    this.trace(`${atMs} ${who.padEnd(9)} ${what}${more}`);
  }

  logOf(name: string): SimLog {
    const at =
      (level: string) =>
      (message: string, fields?: Readonly<Record<string, unknown>>): void => {
        if (level !== 'debug') this.history.count(message);
        this.note(name, message, fields);
      };
    const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    return { ...log, child: () => log };
  }

  private routeOf(name: string, process: SimProcess): DatabaseRoute {
    return { owner: name, process, server: this.server, ...this.databasePath(name) };
  }

  private newProcess(rate: number): SimProcess {
    this.lastPid += 1;
    const process = new SimProcess(this.timeline, this.lastPid, rate);
    this.processes.set(process.pid, process);
    return process;
  }

  private newPath(keepaliveMs: number): Path {
    const { timeline, rng } = this;
    return new Path({ timeline, rng, keepaliveMs });
  }
}

const SHOWN = ['status', 'leaseSeq', 'nodeId', 'cancel', 'state', 'term', 'outcome', 'kind'];

function describeChange({ table, key, after }: Change): string {
  const what = `${table} ${String(key)}`;
  return after === undefined ? `${what} gone` : `${what}: ${JSON.stringify(after, SHOWN)}`;
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return value.message;
  return typeof value === 'number' && !Number.isInteger(value)
    ? Math.round(value * 100) / 100
    : value;
}
