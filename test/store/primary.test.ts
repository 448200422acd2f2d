import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { AppError } from '../../node/base/errors.ts';
import { LAN } from '../../node/core/timings.ts';
import { Database } from '../../node/store/database.ts';
import { LockSessions } from '../../node/store/lock-session.ts';
import type { LockSession } from '../../node/store/lock-session.ts';
import { migrate } from '../../node/store/migrate.ts';
import { Pipeline } from '../../node/store/pipeline.ts';
import { Anchor, identityOrThrow, PrimaryWatch } from '../../node/store/primary.ts';
import type { ServerIdentity, Servers } from '../../node/store/primary.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { startReplicas } from '../support/replicas.ts';
import type { Replicas } from '../support/replicas.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

/**
 * Goal: a node is on one server at a time, never on a standby, and never goes back to a primary of the
 * past. Method: the rules by hand; then the three kinds of sessions on a real primary and its real
 * standby, which is promoted while a proxy leads to both.
 */
const server = (systemIdentifier: string, timeline: number): ServerIdentity => ({
  systemIdentifier,
  timeline,
});

describe('the primary that a process holds to', () => {
  it('is one era for as long as every session reaches the same server', () => {
    const watch = new PrimaryWatch();
    const era = watch.meet(server('7', 1));
    expect(watch.meet(server('7', 1))).to.equal(era);
    expect(era.isOver).to.equal(false);
    expect(era.name).to.equal('7/1');
  });

  it('changes once when a session reaches a later timeline, and tells those of the old era', () => {
    const changes: string[] = [];
    const watch = new PrimaryWatch((from, to) => {
      changes.push(`${String(from.timeline)} to ${String(to.timeline)}`);
    });
    const old = watch.meet(server('7', 1));
    let told = 0;
    old.onOver(() => (told += watch.era?.server.timeline === 2 && old.isOver ? 1 : 100));
    old.onOver(() => (told += 1000))();
    const era = watch.meet(server('7', 2));
    watch.meet(server('7', 2));
    expect(told).to.equal(1);
    expect(changes).to.deep.equal(['1 to 2']);
    expect(era.isOver).to.equal(false);
  });

  it('refuses an earlier timeline of the same server, and stays where it is', () => {
    const watch = new PrimaryWatch();
    const era = watch.meet(server('7', 3));
    expect(() => watch.meet(server('7', 2))).to.throw(AppError, 'moved on');
    expect(watch.era).to.equal(era);
    expect(era.isOver).to.equal(false);
  });

  it('never goes back to another server that it has left, unless that was promoted since', () => {
    const watch = new PrimaryWatch();
    watch.meet(server('7', 2));
    watch.meet(server('8', 1));
    expect(() => watch.meet(server('7', 2))).to.throw(AppError, 'moved on');
    expect(watch.meet(server('7', 3)).name).to.equal('7/3');
  });

  it('holds a life to the server on which it began, and ends it once', () => {
    const watch = new PrimaryWatch();
    let ended = 0;
    const life = new Anchor(watch, () => (ended += 1));
    expect(life.serverName).to.equal('');
    life.meet(server('7', 1));
    expect(life.serverName).to.equal('7/1');
    expect(() => life.meet(server('7', 2))).to.throw(AppError, 'began on 7/1');
    expect(() => life.meet(server('7', 2))).to.throw(AppError, 'began on 7/1');
    expect(ended).to.equal(1);
    expect(life.isOver).to.equal(true);
    expect(new Anchor(watch, () => undefined).meet(server('7', 2))).to.equal(watch.era);
  });

  it('is told from the file of the log that is being written', () => {
    const row = { in_recovery: false, read_only: 'off', system_identifier: '7', wal_file: '' };
    const wal_file = '0000001A0000000100000002';
    expect(identityOrThrow({ ...row, wal_file })).to.deep.equal(server('7', 26));
    expect(() => identityOrThrow({ ...row, wal_file, read_only: 'on' })).to.throw('read-only');
    expect(() => identityOrThrow({ ...row, wal_file: null })).to.throw('does not say');
    expect(() => identityOrThrow({ ...row, in_recovery: true })).to.throw('standby');
    expect(() => identityOrThrow(undefined)).to.throw(AppError);
  });
});

/** The three kinds of sessions that a node has, as it opens them. */
class Sessions {
  readonly pipeline: Pipeline;
  readonly database: Database;
  readonly lock: LockSession;

  constructor(url: string, servers: Servers) {
    const clock = systemClock;
    const name = 'primary-test';
    const applicationName = `skein/test/${name}`;
    this.pipeline = new Pipeline({
      url,
      applicationName,
      statementTimeoutMs: 5000,
      clock,
      servers,
    });
    this.database = new Database({ url, name, clock, rng: systemRng, servers });
    const incarnation = randomUUID();
    this.lock = new LockSessions({
      databaseUrl: url,
      incarnation,
      clock,
      timings: LAN,
      servers,
    }).create();
  }

  /** What each answers to its first statement, in the order above: done, or the code of the error. */
  async tryEach(): Promise<readonly string[]> {
    return Promise.all([
      codeOf(this.pipeline.query({ name: 'test.one', text: 'select 1' }, [])),
      codeOf(this.database.query({ text: 'select 1' })),
      codeOf(this.lock.open()),
    ]);
  }

  async close(): Promise<void> {
    this.lock.destroy();
    await Promise.all([this.pipeline.close(), this.database.stop()]);
  }
}

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (thrown: unknown) =>
      thrown instanceof AppError && thrown.retryable ? thrown.code : String(thrown),
  );
}

const REFUSED = ['database_not_primary', 'database_not_primary', 'database_not_primary'];
const DONE = ['done', 'done', 'done'];

describe('sessions on a server that is not the primary', function () {
  this.timeout(120_000);
  const open: Sessions[] = [];

  const sessionsOn = (url: string, servers: Servers = new PrimaryWatch()): Sessions => {
    const sessions = new Sessions(url, servers);
    open.push(sessions);
    return sessions;
  };

  afterEach(async () => {
    await Promise.all(open.splice(0).map((sessions) => sessions.close()));
  });

  it('refuse one that is read-only, and need no privilege to see what it is', async () => {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    const name = new URL(database.url).pathname.slice(1);
    const role = `${name}_role`;
    try {
      await admin.query(`create role ${role} login password 'secret'`);
      const url = new URL(database.url);
      url.username = role;
      url.password = 'secret';
      expect(await sessionsOn(url.href).tryEach()).to.deep.equal(DONE);
      await admin.query(`alter role ${role} set default_transaction_read_only = on`);
      expect(await sessionsOn(url.href).tryEach()).to.deep.equal(REFUSED);
      await Promise.all(open.splice(0).map((sessions) => sessions.close()));
      await admin.query(`drop role ${role}`);
    } finally {
      await admin.end();
      await database.drop();
    }
  });

  it('leave a connection whose server has become read-only under them', async () => {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    try {
      const { pipeline, database: pool } = sessionsOn(database.url);
      const pid = async (): Promise<unknown> =>
        (await pipeline.query({ name: 'test.pid', text: 'select pg_backend_pid()' }, []))[0]?.[0];
      const before = await pid();
      const readOnly = { name: 'test.read-only', text: 'set default_transaction_read_only = on' };
      await pipeline.query(readOnly, []);
      const write = { name: 'test.write', text: 'create table written (a int)' };
      expect(await codeOf(pipeline.query(write, []))).to.include('read-only transaction');
      expect(await pid()).to.not.equal(before);
      await pool.query(readOnly);
      expect(await codeOf(pool.query(write))).to.equal('database_unavailable');
      expect(await codeOf(pool.query(write))).to.equal('done');
    } finally {
      await admin.end();
      await database.drop();
    }
  });

  describe('and on a standby that is promoted', () => {
    let servers: Replicas;
    let proxy: TcpProxy;

    before(async () => {
      servers = await startReplicas((databaseUrl) => migrate({ databaseUrl }));
      proxy = await createTcpProxy({ target: servers.primary });
    });

    after(async () => {
      await proxy.close();
      await servers.stop();
    });

    const throughProxy = (): string => {
      const url = new URL(servers.primary.url);
      url.port = String(proxy.port);
      return url.href;
    };

    it('refuse it while it is a standby', async () => {
      expect(await sessionsOn(servers.standby.url).tryEach()).to.deep.equal(REFUSED);
    });

    it('all leave the old primary, which lives on, when one of them reaches the new', async () => {
      const watch = new PrimaryWatch();
      let ended = 0;
      const life = new Anchor(watch, () => (ended += 1));
      const old = sessionsOn(throughProxy(), life);
      expect(await old.tryEach()).to.deep.equal(DONE);
      const asleep = codeOf(
        old.pipeline.query({ name: 'test.sleep', text: 'select pg_sleep(2)' }, []),
      );

      proxy.leadTo(servers.standby);
      await servers.untilCaughtUp();
      await servers.promote();
      // They lead to the old primary still, and nothing tells them.
      expect(await codeOf(old.database.query({ text: 'select 1' }))).to.equal('done');
      expect(await codeOf(old.lock.readTerm())).to.equal('done');

      const next = sessionsOn(throughProxy(), new Anchor(watch, () => undefined));
      expect(await next.tryEach()).to.deep.equal(DONE);
      expect(ended).to.equal(1);
      expect(await asleep).to.not.equal('done');
      expect(await old.lock.ended).to.include('primary no more');
      // Opened anew they reach the new one, where this life has no place.
      expect(await old.tryEach()).to.deep.equal([
        'database_not_primary',
        'database_not_primary',
        'Error: its server is the primary no more',
      ]);
      expect(await skeinSessionsOn(servers, 'primary')).to.equal(0);

      proxy.leadTo(servers.primary);
      const late = sessionsOn(throughProxy(), new Anchor(watch, () => undefined));
      expect(await late.tryEach()).to.deep.equal(REFUSED);
      expect(await next.tryEach().then(([first, second]) => [first, second])).to.deep.equal([
        'done',
        'done',
      ]);
    });
  });
});

/** Waits for the server to notice that those which were cut are gone. */
async function skeinSessionsOn(servers: Replicas, which: 'primary' | 'standby'): Promise<number> {
  const signal = AbortSignal.timeout(10_000);
  for (;;) {
    const rows = await servers[which].ask(
      `select from pg_stat_activity where application_name like 'skein/%'`,
    );
    if (rows.length === 0 || signal.aborted) return rows.length;
    await systemClock.sleep(20);
  }
}
