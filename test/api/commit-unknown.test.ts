import { expect } from 'chai';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { eventually, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: a submit whose COMMIT was never answered is answered by what became of it: 201 where it is
 * stored, 503 where it is not, and stored once.
 * Method: a proxy that loses the answer to COMMIT; and a trigger that holds a COMMIT, whose backend is
 * then ended. Seen to fail with either answer given without a look.
 */
describe('a submit whose COMMIT is not answered', () => {
  const HELD = 4711;
  const single = ['/tasks', { id: 'a', type: 'noop' }] as const;
  const batch = ['/tasks/batch', [{ id: 'a', type: 'noop' }]] as const;
  let api: Api;
  let proxy: TcpProxy;
  beforeEach(async () => {
    api = await startApi({
      databaseUrl: async (url) => {
        const { hostname, port } = new URL(url);
        proxy = await createTcpProxy({ target: { host: hostname, port: Number(port) } });
        const through = new URL(url);
        through.port = String(proxy.port);
        return through.href;
      },
    });
    // Else its name would be stored first, by a transaction of its own.
    await api.sql.query(`insert into skein.type (name) values ('noop')`);
  });
  afterEach(async () => {
    proxy.heal();
    await api.close();
    await proxy.close();
  });

  for (const [path, body] of [single, batch]) {
    it(`is accepted where it is stored, by ${path}`, async () => {
      const lost = proxy.dropReplies('commit');
      const answer = api.post(path, body);
      await lost;
      proxy.heal();
      expect((await answer).status).to.equal(201);
      expect(await api.rows(`select id from skein.task where id = 'a'`)).to.have.length(1);
      expect(await api.rows('select 1 from skein.inbox')).to.have.length(1);
    });

    it(`is refused where it is not stored, by ${path}`, async () => {
      await api.sql.query(`
        create function hold() returns trigger language plpgsql as $$
        begin
          perform pg_advisory_xact_lock(${String(HELD)});
          return null;
        end $$;
        create constraint trigger hold after insert on skein.inbox
          deferrable initially deferred for each row execute function hold();
        select pg_advisory_lock(${String(HELD)})`);
      const answer = api.post(path, body);
      const ended = `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory'`;
      await eventually(async () => (await api.rows(ended)).length > 0);
      const { status, body: problem } = await answer;
      expect([status, problem['code']]).to.deep.equal([503, 'database_unavailable']);
      expect(await api.rows(`select id from skein.task where id = 'a'`)).to.deep.equal([]);
    });
  }
});
