import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { AppError } from '../../node/base/errors.ts';
import { toNodeId, toTerm } from '../../node/base/ids.ts';
import { LAN } from '../../node/core/timings.ts';
import { LOCK_KEY, LockSession, LockSessions } from '../../node/store/lock-session.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { openProxy } from './election-setup.ts';
import { createFakePooler } from './fake-pooler.ts';

/**
 * Goal: the lock is never held by a session that nobody watches, nor taken twice. Method: single
 * sessions on a real PostgreSQL, judged by pg_locks and by a rival that wants the lock.
 */
const SELF = { nodeId: toNodeId(1), name: 'node-1', grpcAddress: 'a:1', httpUrl: 'http://a' };

describe('election lock session', () => {
  let database: TestDatabase;
  let admin: Client;
  const sessions: LockSession[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
    admin = new Client({ connectionString: database.url });
    await admin.connect();
  });
  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    await admin.end();
    await database.drop();
  });

  function makerOf(url: string, timings = LAN): LockSessions {
    const incarnation = randomUUID();
    return new LockSessions({ databaseUrl: url, incarnation, clock: systemClock, timings });
  }

  async function open(url = database.url, timings = LAN): Promise<LockSession> {
    const session = makerOf(url, timings).create();
    sessions.push(session);
    await session.open();
    return session;
  }

  /** Tries until the lock is there; the test's own timeout ends the wait. */
  async function takeLock(rival: LockSession): Promise<void> {
    while (!(await rival.tryLock()).taken);
  }

  async function advisoryLocks(): Promise<number> {
    const { rows } = await admin.query<{ count: number }>(
      `select count(*)::int as count from pg_locks
       where locktype = 'advisory' and database = (select oid from pg_database
         where datname = current_database())`,
    );
    return rows[0]?.count ?? -1;
  }

  async function idleTimeoutOf(session: LockSession): Promise<unknown> {
    const name = 'idle-timeout';
    const text = `select pg_backend_pid() as pid, current_setting('idle_session_timeout') as term`;
    return (await session.ask({ name, text }, [])).term;
  }

  async function rejection(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  it('loses the lock of a process that froze right after it was taken', async () => {
    const hour = 3_600_000;
    const frozen = await open(database.url, { ...LAN, lockIdleMs: 400, followMs: hour });
    const rival = await open();
    expect((await frozen.tryLock()).taken).to.equal(true);
    expect((await rival.tryLock()).taken).to.equal(false);
    // Not one more statement on the frozen session: only the server can end it.
    expect(await frozen.ended).to.match(/idle-session timeout/);
    await takeLock(rival);
  });

  it('arms the dead-man switch only with the lock, so that followers stay connected', async () => {
    await admin.query(`do $$ begin
      execute format('alter database %I set idle_session_timeout = 900', current_database());
    end $$`);
    const holder = await open();
    const follower = await open();
    await holder.tryLock();
    await follower.tryLock();
    expect(await idleTimeoutOf(holder)).to.equal('1200ms');
    expect(await idleTimeoutOf(follower)).to.equal('10s');
  });

  it('holds the lock once after a thousand heartbeats: one unlock would free it', async () => {
    const holder = await open();
    await holder.tryLock();
    for (let beat = 0; beat < 1000; beat += 1) await holder.readTerm();
    expect(await advisoryLocks()).to.equal(1);
    const text = 'select pg_backend_pid() as pid, pg_advisory_unlock($1::int, $2::int) as taken';
    expect((await holder.ask({ name: 'unlock', text }, LOCK_KEY)).taken).to.equal(true);
    expect(await advisoryLocks()).to.equal(0);
  });

  it('frees the lock by closing its socket', async () => {
    const holder = await open();
    const rival = await open();
    await holder.tryLock();
    holder.destroy();
    await takeLock(rival);
    expect(await advisoryLocks()).to.equal(1);
  });

  it('refuses to lock twice, and is closed by it', async () => {
    const holder = await open();
    const rival = await open();
    await holder.tryLock();
    expect(await rejection(holder.tryLock())).to.be.instanceOf(Error);
    expect(await holder.ended).to.match(/tried to lock again/);
    await takeLock(rival);
  });

  it('stays closed once it was closed, even before it was opened', async () => {
    const session = makerOf(database.url).create();
    session.destroy();
    await session.ended;
    expect(await rejection(session.open())).to.match(/closed by this node/);
    const { rows } = await admin.query(
      `select pid from pg_stat_activity
       where application_name like 'skein/lock/%' and datname = current_database()`,
    );
    expect(rows).to.deep.equal([]);
  });

  it('leaves no lock behind when the answer to the try is lost', async () => {
    const { proxy, url } = await openProxy(database.url);
    const unlucky = await open(url);
    const rival = await open();
    const lost = proxy.dropReplies();
    expect(await rejection(unlucky.tryLock())).to.match(/no answer within 800 ms/);
    await lost;
    const isLate = systemClock.sleep(5000).then(() => 'still open');
    const ended = await Promise.race([unlucky.ended, isLate]);
    expect(ended, 'by this node, not by the server').to.match(/no answer/);
    await takeLock(rival);
    await proxy.close();
  });

  it('does not raise the term without the lock', async () => {
    const session = await open();
    const error = await rejection(session.bumpTerm(toTerm(0), SELF));
    expect(error).to.match(/not the lock it needs/);
    const { rows } = await admin.query('select term from skein.term');
    expect(rows).to.deep.equal([{ term: '0' }]);
  });

  it('raises the term by one, above any that was seen, and reads back who leads', async () => {
    const session = await open();
    expect(await session.readTerm()).to.equal(null);
    await session.tryLock();
    expect(await session.bumpTerm(toTerm(0), SELF)).to.deep.equal({ term: 1, ...SELF });
    expect(await session.bumpTerm(toTerm(0), SELF)).to.deep.equal({ term: 2, ...SELF });
    expect(await session.bumpTerm(toTerm(40), SELF)).to.deep.equal({ term: 41, ...SELF });
    const follower = await open();
    const view = { term: 41, ...SELF };
    expect(await follower.tryLock()).to.deep.equal({ taken: false, view });
  });

  it('does not meet the lock of the migrations', async () => {
    await admin.query('select pg_advisory_lock(7241865325823964)');
    expect((await (await open()).tryLock()).taken).to.equal(true);
    await admin.query('select pg_advisory_lock($1)', [String(LOCK_KEY[1])]);
  });

  it('proves itself without disturbing a leader or another proof, and leaves nothing', async () => {
    const holder = await open();
    await holder.tryLock();
    await Promise.all([1, 2, 3].map(() => makerOf(database.url).prove()));
    expect(await advisoryLocks()).to.equal(1);
    await holder.readTerm();
  });

  it('notices when a way that was proven changes to another backend later', async () => {
    const pooler = await createFakePooler(database.url, 'first-returned');
    const settings = { incarnation: randomUUID(), clock: systemClock, timings: LAN };
    const proven = (): Promise<void> => Promise.resolve();
    const session = new LockSession({ ...settings, databaseUrl: pooler.url }, proven);
    await session.open();
    const error = await rejection(session.readTerm());
    expect(error).to.be.instanceOf(AppError);
    expect((error as AppError).code).to.equal('lock_session_unsafe');
    expect(await session.ended).to.match(/several backends/);
    await pooler.close();
  });

  for (const lends of ['first-returned', 'last-returned'] as const) {
    it(`refuses a pooler in transaction mode that lends the backend ${lends}`, async () => {
      const pooler = await createFakePooler(database.url, lends);
      const error = await rejection(makerOf(pooler.url).prove());
      expect(error).to.be.instanceOf(AppError);
      expect((error as AppError).code).to.equal('lock_session_unsafe');
      await pooler.close();
    });
  }
});
