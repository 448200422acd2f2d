import pg from 'pg';
import { scheduleRendering } from '../../node/api/schedule-body.ts';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { fireTimesOf } from '../../node/calendar/fire-times.ts';
import { decideFires } from '../../node/core/schedule.ts';
import { Database } from '../../node/store/database.ts';
import type { DueSchedule, Firing } from '../../node/store/schedule-fires.ts';
import { ScheduleFirer, type Fired } from '../../node/store/schedule-firer.ts';
import { Schedules, type ScheduleSpec } from '../../node/store/schedules.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

/** Schedules on a PostgreSQL of their own, and leaders that fire them when a test says so. */
export const TERM = 7;
export const SECOND = 1000;

export const EVERY_SECOND: ScheduleSpec = {
  timing: { kind: 'interval', everyMs: SECOND, anchorMs: 0 },
  period: { startMs: null, endMs: null },
  catchUp: 'all',
  overlap: 'allow',
  isPaused: false,
  kind: 'task',
  body: '{"type":"noop"}',
};

export class Setup {
  readonly sql: pg.Client;
  readonly schedules: Schedules;
  readonly url: string;
  private readonly owner: TestDatabase;
  private readonly databases: Database[] = [];
  private readonly sessions: pg.Client[] = [];
  private startMs: number | undefined;

  static async open(): Promise<Setup> {
    const owner = await createTestDatabase();
    const sql = new pg.Client({ connectionString: owner.url });
    await sql.connect();
    sql.on('error', () => undefined);
    await sql.query('update skein.term set term = $1', [TERM]);
    return new Setup(owner, sql);
  }

  private constructor(owner: TestDatabase, sql: pg.Client) {
    this.owner = owner;
    this.url = owner.url;
    this.sql = sql;
    this.schedules = new Schedules(this.database(4));
  }

  /** A session of the test's own. */
  async session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => undefined);
    await client.connect();
    this.sessions.push(client);
    return client;
  }

  /** Another node's; its statements wait for locks as long as a test needs. */
  leader(): ScheduleFirer {
    const database = this.database(1);
    return new ScheduleFirer({ database, ...scheduleRendering(systemClock) });
  }

  /**
   * Stores a schedule whose next fire is so many milliseconds before the whole second in which the first
   * one was stored, so that all of a test have the same; answers when that is.
   */
  async add(id: string, change: Partial<ScheduleSpec> = {}, agoMs = 0): Promise<number> {
    this.startMs ??= Math.floor((await this.schedules.nowMs()) / SECOND) * SECOND;
    const nextMs = this.startMs - agoMs;
    await this.schedules.put(id, { ...EVERY_SECOND, ...change }, nextMs);
    return nextMs;
  }

  /** What is due, as a leader decides it, with the time of the reading in place of the present. */
  async due(firer: ScheduleFirer, atMs?: number): Promise<readonly Firing[]> {
    const { schedules, nowMs } = await firer.due(100, []);
    return schedules.map((schedule) => ({
      schedule,
      decision: decideFires(schedule, timesOf(schedule), atMs ?? nowMs, 100),
    }));
  }

  async fire(firer: ScheduleFirer, atMs?: number, term = TERM): Promise<readonly Fired[]> {
    return firer.fireMany(term, await this.due(firer, atMs));
  }

  /** The ids of all tasks, in their order. */
  async tasks(): Promise<readonly string[]> {
    const { rows } = await this.sql.query<{ id: string }>('select id from skein.task order by id');
    return rows.map(({ id }) => id);
  }

  /** Ends all that is unfinished. */
  async endAll(): Promise<void> {
    await this.sql.query(
      'with gone as (delete from skein.live returning seq) ' +
        'update skein.task t set status = 1 from gone g where t.seq = g.seq',
    );
  }

  /** Resolves when some session of a leader waits for a lock. */
  async waits(): Promise<void> {
    for (;;) {
      const { rows } = await this.sql.query(
        `select 1 from pg_stat_activity where datname = current_database()
           and application_name like 'skein/schedules/%' and wait_event_type = 'Lock'`,
      );
      if (rows.length > 0) return;
      await systemClock.sleep(5);
    }
  }

  async close(): Promise<void> {
    for (const session of this.sessions) await session.end().catch(() => undefined);
    for (const database of this.databases) await database.stop();
    await this.sql.end();
    await this.owner.drop();
  }

  private database(connectionsMax: number): Database {
    const database = new Database({
      url: this.url,
      name: 'test',
      role: 'schedules',
      clock: systemClock,
      rng: systemRng,
      connectionsMax,
      lockTimeoutMs: 20_000,
      statementTimeoutMs: 20_000,
    });
    this.databases.push(database);
    return database;
  }
}

export function timesOf({ timing, period }: DueSchedule) {
  return fireTimesOf(timing, period);
}
