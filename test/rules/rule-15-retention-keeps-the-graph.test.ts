import { expect } from 'chai';
import type { Session as StoreSession } from '../../node/store/database.ts';
import { lockTasks } from '../../node/store/submission-rows.ts';
import { completed, Tables, type Session } from './setup.ts';

/**
 * Rule 15: retention never removes what the graph references: a submit takes `for key share` on the
 * dependencies outside its batch.
 * Seen to fail: without `for key share` (the removal goes through), and with `for update` in its place
 * (a settle of the dependency waits).
 */
describe('rule 15: what a submit depends on stays', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 });
    await tables.lease(1);
  });
  after(() => tables.close());

  /** As a submit does, in its transaction. */
  const lock = (session: Session): Promise<ReadonlyMap<string, number>> => {
    const over: StoreSession = {
      query: async <Row>({ text }: { readonly text: string }, values?: readonly unknown[]) =>
        (await session.rows(text, values)) as Row[],
    };
    return lockTasks(over, ['t1', 'none']);
  };

  it('a removal waits for the commit of the submit', async () => {
    const [submit, retention] = await tables.pair();
    expect([...(await lock(submit))]).to.deep.equal([['t1', 1]]);
    const removed = retention.rows('delete from skein.task where seq = 1 returning seq');
    await tables.waits(retention);
    await submit.commit();
    await removed;
  });

  it('a submit that waits for a removal finds the dependency missing', async () => {
    const [retention, submit] = await tables.pair();
    await retention.rows('delete from skein.task where seq = 1');
    const found = lock(submit);
    await tables.waits(submit);
    await retention.commit();
    expect([...(await found)]).to.deep.equal([]);
  });

  it('the dependency may end, fail and be revived meanwhile, without waiting', async () => {
    const [submit, worker] = await tables.pair();
    await lock(submit);
    await worker.rows(`set lock_timeout = '2s'`);
    expect(await worker.leases(1).completeMany(completed(1, 1))).to.deep.equal([1]);
    await worker.rows('update skein.task set status = 2 where seq = 1');
    expect(await worker.writer().reviveMany([1])).to.deep.equal([1]);
    await submit.commit();
  });
});
