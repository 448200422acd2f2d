import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { toNodeId } from '../../node/base/ids.ts';
import { Elector } from '../../node/cluster/elector.ts';
import type { Leadership } from '../../node/cluster/elector.ts';
import { LAN } from '../../node/core/timings.ts';
import type { Timings } from '../../node/core/timings.ts';
import { LockSessions } from '../../node/store/lock-session.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

/**
 * Electors of one process on a real PostgreSQL, each behind a proxy of its own that can fall
 * silent. They share one event loop and one monotonic clock, so the order of their callbacks is the
 * order of events: what overlaps is seen, not estimated. Tests wait for entries of the record,
 * never for time.
 */
export interface Entry {
  readonly atMs: number;
  readonly who: string;
  readonly what: 'gained' | 'lost' | 'seen';
  readonly term: number;
  readonly reason?: string;
}

export interface Member {
  readonly name: string;
  readonly elector: Elector;
  readonly proxy: TcpProxy;
  readonly incarnation: string;
  /** All terms of office of this member, over or not. */
  readonly leaderships: Leadership[];
  /** False: the scheduler stands still. */
  schedules: boolean;
  /** Called at the end of each callback; a test may throw from it. */
  onEntry: (entry: Entry) => void;
}

export const silentLog = {
  debug: (): void => undefined,
  info: (): void => undefined,
  warn: (): void => undefined,
  error: (): void => undefined,
};

/** As LAN, in a shorter life: for tests that change leaders often. */
export const QUICK: Timings = {
  ...LAN,
  heartbeatMs: 100,
  selfDemoteMs: 400,
  lockIdleMs: 700,
  progressMs: 400,
  penaltyMs: 150,
};

export class Ring {
  readonly url: string;
  readonly admin: Client;
  readonly members: Member[] = [];
  readonly record: Entry[] = [];
  /** The most members that trusted their own leadership at one callback. */
  trustedAtOnceMax = 0;
  readonly #drop: () => Promise<void>;
  readonly #waiters = new Set<() => void>();

  private constructor(url: string, admin: Client, drop: () => Promise<void>) {
    this.url = url;
    this.admin = admin;
    this.#drop = drop;
  }

  static async open(): Promise<Ring> {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    return new Ring(database.url, admin, () => database.drop());
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.elector.stop()));
    await Promise.all(this.members.map((member) => member.proxy.close()));
    await this.admin.end();
    await this.#drop();
  }

  /** A member that has not started yet. */
  async add(timings: Timings): Promise<Member> {
    const { proxy, url } = await openProxy(this.url);
    const incarnation = randomUUID();
    const name = `node-${String(this.members.length + 1)}`;
    const sessions = new LockSessions({
      databaseUrl: url,
      incarnation,
      clock: systemClock,
      timings,
    });
    let standstillMs = 0;
    const elector = new Elector({
      clock: systemClock,
      rng: systemRng,
      log: silentLog,
      metrics: { heartbeatAnswered: () => undefined },
      timings,
      self: {
        nodeId: toNodeId(this.members.length + 1),
        name,
        grpcAddress: `${name}:9090`,
        httpUrl: `http://${name}:8080`,
      },
      openLockSession: () => sessions.create(),
      schedulerProgressMs: () => {
        if (member.schedules) standstillMs = systemClock.monotonicMs();
        return standstillMs;
      },
      onLeaderSeen: (view) => {
        this.#note(member, 'seen', view.term);
      },
      onGained: (leadership) => {
        member.leaderships.push(leadership);
        this.#note(member, 'gained', leadership.term);
      },
      onLost: (reason) => {
        this.#note(member, 'lost', member.leaderships.at(-1)?.term ?? 0, reason);
      },
    });
    const member: Member = {
      name,
      elector,
      proxy,
      incarnation,
      leaderships: [],
      schedules: true,
      onEntry: () => undefined,
    };
    this.members.push(member);
    return member;
  }

  /**
   * Resolves with the first entry from `from` on that fits; the test's own timeout ends the wait.
   */
  async entry(fits: (entry: Entry) => boolean, from = 0): Promise<Entry> {
    for (;;) {
      const found = this.record.slice(from).find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** The one member that leads; a test fails where it is not one. */
  leader(): Member {
    const leaders = this.members.filter((member) => member.elector.role === 'leader');
    const [leader] = leaders;
    if (leader === undefined || leaders.length > 1) {
      throw new Error(`${String(leaders.length)} members lead`);
    }
    return leader;
  }

  /** Resolves with the leader, as soon as there is one. */
  async led(): Promise<Member> {
    for (;;) {
      const leader = this.members.find((member) => member.elector.role === 'leader');
      if (leader !== undefined) return leader;
      await this.entry((entry) => entry.what === 'gained', this.record.length);
    }
  }

  /** Ends the backend that holds the member's lock session. */
  async terminate(member: Member): Promise<void> {
    await this.admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
      [`skein/lock/${member.incarnation}`],
    );
  }

  #note(member: Member, what: Entry['what'], term: number, reason?: string): void {
    const entry: Entry = {
      atMs: systemClock.monotonicMs(),
      who: member.name,
      what,
      term,
      ...(reason === undefined ? {} : { reason }),
    };
    this.record.push(entry);
    const trusted = this.members.filter((each) =>
      each.leaderships.some((leadership) => leadership.isTrusted()),
    );
    this.trustedAtOnceMax = Math.max(this.trustedAtOnceMax, trusted.length);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
    member.onEntry(entry);
  }
}

/** The same database, by way of the proxy. */
export async function openProxy(databaseUrl: string): Promise<{ proxy: TcpProxy; url: string }> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  const proxy = await createTcpProxy({ target });
  url.hostname = proxy.host;
  url.port = String(proxy.port);
  return { proxy, url: url.href };
}
