import { systemClock, systemRng, type Clock, type Rng } from './base/clock.ts';
import {
  isProvenDead,
  killOrphanGroup,
  ownIdentity,
  type ProcessIdentity,
} from './base/process-identity.ts';
import type { LeaderStream } from './cluster/leader-contact.ts';
import type { LockSession } from './cluster/ports.ts';
import type { FromLeader, Hello } from './core/messages.ts';
import type { Timings } from './core/timings.ts';
import type { LogPort, ProcessesPort } from './leader/ports.ts';
import { dialLeader } from './rpc/leader-link.ts';
import { LockSessions } from './store/lock-session.ts';
import { Pipeline, type Statements } from './store/pipeline.ts';
import type { Isolation } from './worker/executor.ts';
import { ChildIsolation, type IsolationDeps } from './worker/isolate.ts';

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
  /** Unique among all incarnations that ever were. */
  newIncarnation(): string;
  /** A connection that opens itself at its first statement, and again after a loss. */
  connect(role: string, statementTimeoutMs: number): Connection;
  /** Each call of the function that this answers gives a new session, not yet opened. */
  lockSessions(incarnation: string, timings: Timings): () => LockSession;
  dial(options: DialOptions): LeaderStream;
  isolate(deps: Omit<IsolationDeps, 'childEntry'>): Isolation;
}

export interface Connection extends Statements {
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
}

export function realSurroundings(deps: RealDeps): Surroundings {
  const { databaseUrl, name, log, childEntry } = deps;
  const clock = systemClock;
  const identity = ownIdentity();
  return {
    clock,
    rng: systemRng,
    identity,
    processes: {
      isProvenDead: (node) => isProvenDead(node, identity),
      killGroup: killOrphanGroup,
    },
    newIncarnation: () => crypto.randomUUID(),
    connect: (role, statementTimeoutMs) =>
      new Pipeline({
        url: databaseUrl,
        applicationName: `skein/${role}/${name}`,
        statementTimeoutMs,
        clock,
      }),
    lockSessions: (incarnation, timings) => {
      const sessions = new LockSessions({ databaseUrl, incarnation, clock, timings });
      return () => sessions.create();
    },
    dial: (options) => dialLeader({ ...options, clock, log }),
    isolate: (isolation) => new ChildIsolation({ ...isolation, childEntry }),
  };
}
