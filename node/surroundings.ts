import { systemClock, systemRng, type Clock, type Rng } from './base/clock.ts';
import {
  isProvenDead,
  killOrphanGroup,
  ownIdentity,
  type ProcessIdentity,
} from './base/process-identity.ts';
import { fireTimesOf } from './calendar/fire-times.ts';
import type { LeaderStream } from './cluster/leader-contact.ts';
import type { LockSession } from './cluster/ports.ts';
import type { FromLeader, Hello } from './core/messages.ts';
import type { Timings } from './core/timings.ts';
import type { RetentionPolicy } from './core/retention.ts';
import type {
  HistoryMetricsPort,
  LogPort,
  ProcessesPort,
  ScheduleMetricsPort,
} from './leader/ports.ts';
import type { RetentionDeps } from './leader/retention.ts';
import type { ScheduleDeps } from './leader/timetable.ts';
import { dialLeader } from './rpc/leader-link.ts';
import type { PeerSecurity } from './rpc/peer-security.ts';
import { Database } from './store/database.ts';
import { History } from './store/history.ts';
import { LockSessions } from './store/lock-session.ts';
import { Pipeline, type Statements } from './store/pipeline.ts';
import { Anchor, type PrimaryWatch, type Servers } from './store/primary.ts';
import { ScheduleFirer, type FirerDeps } from './store/schedule-firer.ts';
import { ChildIsolation, type IsolationDeps } from './worker/isolate.ts';
import type { Isolation } from './worker/run-context.ts';
import type { SecretsPort } from './worker/secrets.ts';
import type { UserCode } from './worker/user-code.ts';
import { UserIsolation } from './worker/user-isolation.ts';

/**
 * All that one life of a node meets outside itself: time and chance, its connections to PostgreSQL,
 * the streams to its peers, and processes. A node that runs for real gets `realSurroundings`; the
 * simulator gives the same roles a world in which a seed decides what happens when.
 */
export interface Surroundings {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly identity: ProcessIdentity;
  readonly processes: ProcessesPort;
  /** What payloads may name here; absent where there is none. */
  readonly secrets?: SecretsPort;
  /** Unique among all incarnations that ever were. */
  newIncarnation(): string;
  /** What holds one life to one server of PostgreSQL; absent where there is only one for ever. */
  anchor?(onOver: () => void): LifeAnchor;
  /** A peer's life is on another server: somebody should look which is the primary. */
  doubt?(): void;
  /** A connection that opens itself at its first statement, and again after a loss. */
  connect(role: string, statementTimeoutMs: number, servers?: Servers): Connection;
  /** Each call of the function that this answers gives a new session, not yet opened. */
  lockSessions(incarnation: string, timings: Timings, servers?: Servers): () => LockSession;
  /** What a leader does beside leasing; absent where it does nothing else. */
  duties?(servers?: Servers): LeaderDuties;
  dial(options: DialOptions): LeaderStream;
  isolate(
    deps: Omit<IsolationDeps, 'childEntry' | 'childSettings'> & { readonly slots: number },
  ): Isolation;
}

/** store/primary.ts says what it keeps apart. */
export interface LifeAnchor extends Servers {
  readonly isOver: boolean;
}

export interface Connection extends Statements {
  close(): Promise<void>;
}

export interface LeaderDuties {
  readonly schedules: ScheduleDeps;
  readonly retention: RetentionDeps;
  close(): Promise<void>;
}

export interface DialOptions {
  readonly address: string;
  readonly hello: Hello;
  readonly connectTimeoutMs: number;
  readonly onMessage: (message: FromLeader) => void;
  readonly onClosed: (reason: string) => void;
}

export interface RealDeps {
  readonly databaseUrl: string;
  /** The name of the node: sessions show as `skein/<role>/<name>`. */
  readonly name: string;
  readonly log: LogPort;
  /** The module that the child process of a task runs. */
  readonly childEntry: URL;
  /** For that module, as JSON. */
  readonly childSettings?: unknown;
  readonly users?: UserCode | undefined;
  readonly secrets?: SecretsPort;
  /** How the streams between nodes are guarded. */
  readonly peers?: PeerSecurity;
  /** For each handler of a user that runs. */
  readonly memoryMb?: number;
  /** Of the whole process: its lives and its REST are on the same server. */
  readonly primary: PrimaryWatch;
  /** Without it a leader here fires no schedule and removes nothing. */
  readonly duties?: Pick<FirerDeps, 'renderTask' | 'renderWorkflow'> & {
    readonly retention: RetentionPolicy;
    readonly metrics: ScheduleMetricsPort & HistoryMetricsPort;
  };
  doubt(): void;
}

/**
 * Some duties are transactions of several statements: a leader that freezes amid one must not keep the
 * next one from its office for longer than one of its other writes would.
 */
const DUTY_IDLE_MS = 400;
const FIRE_STATEMENT_MS = 400;
/** To see what refers to a portion of the history, all that is unfinished is looked through. */
const REMOVE_STATEMENT_MS = 10_000;

export function realSurroundings(deps: RealDeps): Surroundings {
  const { databaseUrl, name, log, childEntry, childSettings, primary } = deps;
  const { users, memoryMb = 512 } = deps;
  const clock = systemClock;
  const identity = ownIdentity();
  return {
    clock,
    rng: systemRng,
    identity,
    ...(deps.secrets === undefined ? {} : { secrets: deps.secrets }),
    processes: {
      isProvenDead: (node) => isProvenDead(node, identity),
      killGroup: killOrphanGroup,
    },
    newIncarnation: () => crypto.randomUUID(),
    anchor: (onOver) => new Anchor(primary, onOver),
    doubt: () => {
      deps.doubt();
    },
    connect: (role, statementTimeoutMs, servers = primary) =>
      new Pipeline({
        url: databaseUrl,
        applicationName: `skein/${role}/${name}`,
        statementTimeoutMs,
        clock,
        servers,
      }),
    lockSessions: (incarnation, timings, servers = primary) => {
      const sessions = new LockSessions({ databaseUrl, incarnation, clock, timings, servers });
      return () => sessions.create();
    },
    ...(deps.duties === undefined ? {} : dutiesOf(deps, deps.duties)),
    dial: (options) =>
      dialLeader({
        ...{ ...options, clock, log },
        ...(deps.peers === undefined ? {} : { security: deps.peers }),
      }),
    isolate: (isolation) =>
      users === undefined
        ? new ChildIsolation({ ...isolation, childEntry, childSettings })
        : new UserIsolation({ ...isolation, childEntry, childSettings, users, memoryMb }),
  };
}

function dutiesOf(
  { databaseUrl: url, name, primary }: RealDeps,
  { renderTask, renderWorkflow, metrics, retention: policy }: NonNullable<RealDeps['duties']>,
): Pick<Surroundings, 'duties'> {
  return {
    duties: (servers = primary) => {
      const shared = { url, name, clock: systemClock, rng: systemRng, servers, connectionsMax: 1 };
      const idleInTransactionMs = DUTY_IDLE_MS;
      const open = (role: string, statementTimeoutMs: number): Database =>
        new Database({
          ...{ ...shared, role, statementTimeoutMs, idleInTransactionMs },
          lockTimeoutMs: Math.min(statementTimeoutMs, DUTY_IDLE_MS),
        });
      const firing = open('schedules', FIRE_STATEMENT_MS);
      const schedules = new ScheduleFirer({ database: firing, renderTask, renderWorkflow });
      const history = new History(open('retention', REMOVE_STATEMENT_MS));
      return {
        schedules: { schedules, metrics, fireTimes: fireTimesOf },
        retention: { history, metrics, policy },
        close: async () => {
          await Promise.all([schedules.stop(), history.stop()]);
        },
      };
    },
  };
}
