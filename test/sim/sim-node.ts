import type { Rng } from '../../node/base/clock.ts';
import { toError } from '../../node/base/errors.ts';
import type { SpawnParent } from '../../node/core/submission.ts';
import { LAN } from '../../node/core/timings.ts';
import type { LinkHandlers, LinkToNode, LogPort } from '../../node/leader/ports.ts';
import { Lives } from '../../node/lives.ts';
import type { Row } from '../../node/store/pipeline.ts';
import { SimConnection, SimLockSession, type DatabaseRoute } from './database-wire.ts';
import type { History } from './history.ts';
import { SimIsolation, type Forks } from './isolation.ts';
import type { PeerPlace } from './peer-wire.ts';
import type { NewTask } from './postgres/submissions.ts';
import { handlerOf } from './handler.ts';
import { addedId, type AddedPlan } from './plan.ts';
import type { SimProcess } from './process.ts';
import type { LeaderStream } from '../../node/cluster/leader-contact.ts';
import type { DialOptions, Surroundings } from '../../node/surroundings.ts';

/**
 * A node of the simulation: the composition that runs for real (node/lives.ts and all below it), in a
 * process of the simulated world. Its REST is the clients' way to the database, nothing more.
 */
const METRICS = {
  leaderGauges: () => undefined,
  clearLeaderGauges: () => undefined,
  leasesReclaimed: () => undefined,
  committed: () => undefined,
  tasksFinished: () => undefined,
  staleOutcomes: () => undefined,
  setSlots: () => undefined,
  setTerm: () => undefined,
  setLeader: () => undefined,
  electionWon: () => undefined,
  heartbeatAnswered: () => undefined,
};
const API_STATEMENT_MS = 3000;
const REGISTER_PAUSE_MS = 300;

type Numbers = readonly (number | undefined)[];

/** The world as a node of it sees it. */
export interface Outside extends Forks {
  isDead(pid: number): boolean;
  nextIncarnation(): string;
  dial(from: SimNode, options: DialOptions): LeaderStream;
  logOf(name: string): SimLog;
  note(who: string, what: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface NodeFacts {
  readonly name: string;
  readonly machine: string;
  readonly slots: number;
  readonly types: readonly string[];
}

export class SimNode implements PeerPlace {
  readonly facts: NodeFacts;
  readonly process: SimProcess;
  readonly lives: Lives;
  readonly route: DatabaseRoute;
  readonly isolation: SimIsolation;
  isStopping = false;
  private readonly world: Outside;
  private readonly api: SimConnection;

  constructor(world: Outside, facts: NodeFacts, process: SimProcess, route: DatabaseRoute) {
    this.world = world;
    this.facts = facts;
    this.process = process;
    this.route = route;
    this.api = new SimConnection(route, API_STATEMENT_MS);
    this.isolation = new SimIsolation(world, process);
    this.lives = new Lives({
      config: {
        ...{ name: facts.name, slots: facts.slots, simulate: false, labels: [] },
        ...{ drainMs: 1000, timings: LAN },
      },
      surroundings: this.surroundings(),
      log: world.logOf(facts.name),
      metrics: METRICS,
      handlers: facts.types.map((type) => handlerOf(type, world.history, process)),
      spawn: (parent, added) => this.spawn(parent, added as readonly AddedPlan[]),
      addresses: { httpUrl: `http://${facts.name}`, grpcAddress: facts.name },
      version: '1',
      isStopping: () => this.isStopping,
      onEnded: () => undefined,
      onTerm: () => undefined,
      onNews: () => undefined,
    });
  }

  get history(): History {
    return this.world.history;
  }

  /** As a process that starts: it tries until it is registered. */
  start(): void {
    const tryOnce = async (): Promise<void> => {
      while (!this.isStopping) {
        try {
          await this.lives.begin();
          return;
        } catch (thrown) {
          this.world.note(this.facts.name, 'could not start yet', { error: toError(thrown) });
          await this.process.clock.sleep(REGISTER_PAUSE_MS);
        }
      }
    };
    this.process.deliver(() => void tryOnce());
  }

  /** SIGTERM; `hurries` for a second one soon after. */
  stop(drainMs: number, hurries: boolean): void {
    if (this.isStopping) return;
    this.isStopping = true;
    const hurry = new AbortController();
    if (hurries) {
      this.process.clock.after(drainMs / 2, () => {
        hurry.abort(new Error('told twice to stop'));
      });
    }
    const leave = async (): Promise<void> => {
      await this.lives.drain(drainMs, hurry.signal);
      await this.lives.end();
      await this.api.close();
      this.world.note(this.facts.name, 'has left');
      this.process.crash();
    };
    this.process.deliver(() => {
      leave().catch((thrown: unknown) => {
        this.world.note(this.facts.name, 'left in disorder', { error: toError(thrown) });
        this.process.crash();
      });
    });
  }

  accept(link: LinkToNode): LinkHandlers | { readonly refused: string } {
    return this.lives.accept(link);
  }

  /** A statement of REST, with what the API does after it. */
  async ask(name: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const rows = await this.api.query({ name, text: '' }, values);
    if (rows.length > 0) this.lives.current?.contact.look();
    if (name === 'submissions.submit') this.sayWhatStarts(values, rows);
    return rows;
  }

  /** What node/api/submit/spawner.ts makes of `ctx.spawn`. */
  private async spawn(
    { id: parentId, ...parent }: SpawnParent,
    added: readonly AddedPlan[],
  ): Promise<readonly string[]> {
    const ids = added.map((_, place) => addedId(parentId, place));
    const tasks = added.map(({ type, after, ...plan }, place): NewTask => {
      const dependencies = after.map((at) => (at === 'parent' ? parentId : (ids[at] as string)));
      return {
        ...{ id: ids[place] as string, type, dependencies, payload: JSON.stringify(plan) },
        ...{ priority: 50, maxAttempts: 3, rule: 0, expectedMs: Math.max(1, plan.ms) },
        ...{ timeoutMs: null, ttlMs: null, backoffBaseMs: 0, delayMs: 0 },
      };
    });
    this.history.onAdding(parent.seq);
    const [row] = await this.api.query({ name: 'submissions.spawn', text: '' }, [parent, tasks]);
    this.history.count(row?.[1] === 0 ? 'added before' : 'added');
    this.lives.current?.contact.look();
    return ids;
  }

  /** One task that may start at once is told to the leader; now and then so late that it is long over. */
  private sayWhatStarts([tasks]: readonly unknown[], [row]: readonly Row[]): void {
    const { world, process } = this;
    const [, seqs, typeIds] = (row ?? []) as readonly [string?, (readonly number[])?, Numbers?];
    const at = (tasks as readonly NewTask[]).findIndex(
      ({ dependencies, delayMs, rule }) => dependencies.length + delayMs + rule === 0,
    );
    const task = (tasks as readonly NewTask[])[at];
    const [seq, typeId] = [seqs?.[at], typeIds?.[at]];
    if (task === undefined || seq === undefined || typeId === undefined) return;
    const { priority, expectedMs } = task;
    const submitted = { seq, typeId, priority, hasDuration: false, expectedMs };
    const lateMs = world.rng.random() < 0.2 ? Math.floor(world.rng.random() * 5000) : 0;
    process.clock.after(lateMs, () => {
      this.lives.current?.contact.look(submitted);
    });
  }

  private surroundings(): Surroundings {
    const { world, process, route, facts } = this;
    const rng: Rng = world.rng;
    return {
      clock: process.clock,
      rng,
      identity: {
        bootId: facts.machine,
        pidNamespace: facts.machine,
        pid: process.pid,
        pidStarted: String(process.pid),
      },
      processes: {
        isProvenDead: (node) => node.bootId === facts.machine && world.isDead(node.pid),
        killGroup: (group) => world.killGroup(group),
      },
      newIncarnation: () => world.nextIncarnation(),
      connect: (_role, statementTimeoutMs) => new SimConnection(route, statementTimeoutMs),
      lockSessions: (_incarnation, timings) => () => new SimLockSession(route, timings),
      dial: (options) => world.dial(this, options),
      isolate: (deps) => this.isolation.with(deps),
    };
  }
}

export type SimLog = LogPort & { child(fields: Readonly<Record<string, unknown>>): LogPort };
