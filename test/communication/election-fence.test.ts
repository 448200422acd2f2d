import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Client } from 'pg';
import type { QueryResult } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { toNodeId, toTerm } from '../../node/base/ids.ts';
import { LAN } from '../../node/core/timings.ts';
import { BUMP_TERM, LOCK_KEY, LockSessions } from '../../node/store/lock-session.ts';
import type { LockSession } from '../../node/store/lock-session.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * Goal: no write of an old leader lands after the takeover, in whatever order the two meet. Method:
 * two sessions interleaved by hand; that one waits for the other is read from pg_stat_activity.
 */
const FENCED_WRITE = `
with fence as (select 1 from skein.term where id = 1 and term = $1 for share),
written as (
  insert into skein.event (kind, term) select 'written', $1::bigint from fence returning 1
)
select (select count(*)::int from fence) as fenced, (select count(*)::int from written) as written`;

/** The same without the row lock: a plain look at the term, in the snapshot of the statement. */
const UNLOCKED_WRITE = FENCED_WRITE.replace(' for share', '');

const SELF = { nodeId: toNodeId(2), name: 'node-2', grpcAddress: 'a:2', httpUrl: 'http://b' };

describe('election fence', () => {
  let database: TestDatabase;
  let old: Client;
  let admin: Client;
  let session: LockSession;

  beforeEach(async () => {
    database = await createTestDatabase();
    old = await connected('old-leader');
    admin = await connected('admin');
    await admin.query('update skein.term set term = 7, leader_node_id = 1');
    session = new LockSessions({
      databaseUrl: database.url,
      incarnation: randomUUID(),
      clock: systemClock,
      timings: LAN,
    }).create();
    await session.open();
  });
  afterEach(async () => {
    session.destroy();
    await old.end();
    await admin.end();
    await database.drop();
  });

  async function connected(name: string): Promise<Client> {
    const client = new Client({ connectionString: database.url, application_name: name });
    await client.connect();
    return client;
  }

  /** Resolves once a session of that name waits for a row of somebody else's transaction. */
  async function waits(name: string): Promise<'waits'> {
    for (;;) {
      const { rowCount } = await admin.query(
        `select 1 from pg_stat_activity where application_name like $1
         and wait_event_type = 'Lock' and wait_event in ('transactionid', 'tuple')`,
        [name],
      );
      if (rowCount === 1) return 'waits';
    }
  }

  async function eventTerms(): Promise<readonly unknown[]> {
    const { rows } = await admin.query<{ term: string }>('select term from skein.event');
    return rows.map((row) => row.term);
  }

  it('makes the takeover wait for a write of the old leader that began before it', async () => {
    await old.query('begin');
    const write = await old.query(FENCED_WRITE, [7]);
    expect(write.rows).to.deep.equal([{ fenced: 1, written: 1 }]);
    await session.tryLock();
    const bump = session.bumpTerm(toTerm(7), SELF);
    const first = await Promise.race([bump.then(() => 'raised'), waits('skein/lock/%')]);
    expect(first).to.equal('waits');
    await old.query('commit');
    expect((await bump).term).to.equal(8);
    expect(await eventTerms()).to.deep.equal(['7']);
  });

  it('shuts out a write of the old leader that begins during the takeover', async () => {
    const write = await writeDuringTakeover(FENCED_WRITE);
    expect(write.rows).to.deep.equal([{ fenced: 0, written: 0 }]);
    expect(await eventTerms()).to.deep.equal([]);
  });

  it('would not do so without the row lock: hence the lock', async () => {
    const write = await writeDuringTakeover(UNLOCKED_WRITE);
    expect(write.rows).to.deep.equal([{ fenced: 1, written: 1 }]);
  });

  it('shuts out every write of the old leader once the takeover is done', async () => {
    await session.tryLock();
    await session.bumpTerm(toTerm(7), SELF);
    const write = await old.query(FENCED_WRITE, [7]);
    expect(write.rows).to.deep.equal([{ fenced: 0, written: 0 }]);
  });

  it('gives up the lock where an old leader froze amid its write', async () => {
    await old.query('begin');
    await old.query(FENCED_WRITE, [7]);
    await session.tryLock();
    const fault = await session.bumpTerm(toTerm(7), SELF).then(
      () => 'raised',
      (error: unknown) => (error as { code?: string }).code,
    );
    expect(fault).to.equal('55P03');
    await session.ended;
    const { rows } = await admin.query('select term from skein.term');
    expect(rows).to.deep.equal([{ term: '7' }]);
  });

  /** The old leader writes between the takeover's statement and its commit. */
  async function writeDuringTakeover(text: string): Promise<QueryResult> {
    const taker = await connected('taker');
    await taker.query('select pg_advisory_lock($1, $2)', [...LOCK_KEY]);
    await taker.query('begin');
    const values = [7, SELF.nodeId, SELF.name, SELF.grpcAddress, SELF.httpUrl, ...LOCK_KEY];
    expect((await taker.query(BUMP_TERM.text, values)).rowCount).to.equal(1);
    const write = old.query(text, [7]);
    await Promise.race([write, waits('old-leader')]);
    await taker.query('commit');
    await taker.end();
    return write;
  }
});
