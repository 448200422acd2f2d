import { expect } from 'chai';
import pg from 'pg';
import { AppError } from '../../node/base/errors.ts';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { Database } from '../../node/store/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

// Goal: the loss of a session is an outage that passes, however it shows. Method: a proxy holds what
// the server says, so that it arrives in one piece, as it does for a process that was frozen.
describe('a session of the pool that is lost', () => {
  let test: TestDatabase;
  let proxy: TcpProxy;
  let database: Database;
  let admin: pg.Client;

  beforeEach(async () => {
    test = await createTestDatabase();
    const { hostname, port } = new URL(test.url);
    proxy = await createTcpProxy({ target: { host: hostname, port: Number(port) } });
    const url = new URL(test.url);
    url.host = `${proxy.host}:${String(proxy.port)}`;
    database = new Database({ url: url.href, name: 't', clock: systemClock, rng: systemRng });
    admin = new pg.Client({ connectionString: test.url });
    await admin.connect();
  });

  afterEach(async () => {
    await database.stop();
    await admin.end();
    await proxy.close();
    await test.drop();
  });

  const endBehindTheProxy = async (pid: number): Promise<void> => {
    await admin.query('select pg_terminate_backend($1, 10000)', [pid]);
  };

  it('is an outage where its end came with the last answer, before the connection closed', async () => {
    const outcome = await database
      .transaction(async (session) => {
        const [row] = await session.query<{ pid: number }>({
          text: 'select pg_backend_pid() as pid',
        });
        proxy.pause('to-client');
        const held = session.query({ text: 'select 1' });
        // The answer must be under way before the session ends.
        await untilIdle(admin, row?.pid ?? 0);
        await endBehindTheProxy(row?.pid ?? 0);
        proxy.resume();
        await held;
        await session.query({ text: 'select 2' });
      })
      .catch((thrown: unknown) => thrown);
    expect(outcome).to.be.instanceOf(AppError).with.property('code', 'database_unavailable');
  });
});

async function untilIdle(admin: pg.Client, pid: number): Promise<void> {
  for (;;) {
    const { rows } = await admin.query(
      `select from pg_stat_activity
       where pid = $1 and query = 'select 1' and state = 'idle in transaction'`,
      [pid],
    );
    if (rows.length > 0) return;
  }
}
