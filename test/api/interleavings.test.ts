import { expect } from 'chai';
import { addNode, eventually, pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: a submit is safe beside any other transaction.
 * Method: two sessions interleaved by hand. A trigger that fires at COMMIT and waits for an advisory
 * lock holds a submit exactly between its last statement and its commit.
 */
describe('submits beside other transactions', () => {
  const HELD = 4711;
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
    await addNode(api.sql, 'node-1');
    await api.sql.query(`
      create function hold() returns trigger language plpgsql as $$
      begin
        if exists (select from skein.task t where t.id = 'slow' and t.seq = new.last_seq) then
          perform pg_advisory_xact_lock(${String(HELD)});
        end if;
        return null;
      end $$;
      create constraint trigger hold after insert on skein.inbox
        deferrable initially deferred for each row execute function hold();`);
  });
  afterEach(async () => {
    await api.close();
  });

  const waits = (event: string) => async (): Promise<boolean> =>
    (
      await api.rows(
        `select 1 from pg_stat_activity where datname = current_database()
          and wait_event_type = 'Lock' and wait_event = $1`,
        [event],
      )
    ).length > 0;

  it('leaves an inbox row for a submit that commits after a later one (no watermark)', async () => {
    await api.sql.query('select pg_advisory_lock($1)', [HELD]);
    const slow = api.post('/tasks/batch', [{ id: 'slow', type: 'noop' }]);
    await eventually(waits('advisory'));
    await api.post('/tasks/batch', [{ id: 'fast', type: 'noop' }]);
    const fast = await api.seqOf('fast');
    // The leader sees the later one alone, applies it and deletes its row.
    const seen = await api.rows('delete from skein.inbox returning last_seq');
    expect(seen).to.deep.equal([{ last_seq: String(fast) }]);
    await api.sql.query('select pg_advisory_unlock($1)', [HELD]);
    expect((await slow).status).to.equal(201);
    const seq = await api.seqOf('slow');
    expect(seq).to.be.below(fast);
    const late = await api.rows('select first_seq, last_seq from skein.inbox');
    expect(late).to.deep.equal([{ first_seq: String(seq), last_seq: String(seq) }]);
  });

  it('keeps a dependency from being removed between its check and the commit', async () => {
    await api.post('/tasks', { id: 'parent', type: 'noop' });
    await api.end('parent', 'COMPLETED');
    await api.sql.query('select pg_advisory_lock($1)', [HELD]);
    const child = api.post('/tasks', { id: 'slow', type: 'noop', dependencies: ['parent'] });
    await eventually(waits('advisory'));
    const retention = await api.session();
    const removed = await retention.query(
      `delete from skein.task where seq in (
        select seq from skein.task where id = 'parent' for update skip locked)`,
    );
    expect(removed.rowCount).to.equal(0);
    // Leases and settles of the dependency go on meanwhile.
    await retention.query(`set lock_timeout = '1s'`);
    await retention.query(`update skein.task set attempt = 2 where id = 'parent'`);
    await api.sql.query('select pg_advisory_unlock($1)', [HELD]);
    expect((await child).status).to.equal(201);
  });

  it('finds a dependency missing whose removal commits while it waits for it', async () => {
    await api.post('/tasks', { id: 'parent', type: 'noop' });
    const before = await api.rowCounts();
    const retention = await api.session();
    await retention.query('begin');
    await retention.query(`delete from skein.task where id = 'parent'`);
    const child = api.post('/tasks/batch', [{ id: 'x', type: 'noop', dependencies: ['parent'] }]);
    await eventually(waits('transactionid'));
    await retention.query('commit');
    const answer = await child;
    expect(answer.status).to.equal(400);
    expect(pointersOf(answer)).to.deep.equal(['#/0/dependencies/0']);
    expect(await api.rowCounts()).to.deep.equal({ ...before, task: 0 });
  });

  it('asks to come again where an id is held by another transaction, and serves the others', async () => {
    await api.post('/tasks', { id: 'known-type', type: 'noop' });
    await api.sql.query('select pg_advisory_lock($1)', [HELD]);
    const slow = api.post('/tasks/batch', [{ id: 'slow', type: 'noop' }]);
    await eventually(waits('advisory'));
    const [held, other] = await Promise.all([
      api.post('/tasks', { id: 'slow', type: 'noop' }),
      api.post('/tasks', { id: 'other', type: 'noop' }),
    ]);
    expect(other.status).to.equal(201);
    expect(held.status).to.equal(429);
    expect(held.headers.get('retry-after')).to.equal('1');
    await api.sql.query('select pg_advisory_unlock($1)', [HELD]);
    expect((await slow).status).to.equal(201);
    expect((await api.post('/tasks', { id: 'slow', type: 'noop' })).status).to.equal(409);
  });
});
