import { expect } from 'chai';
import { TaskChanges } from '../../node/store/task-changes.ts';
import type { Session as StoreSession } from '../../node/store/database.ts';
import { Tables, type Session } from './setup.ts';

/**
 * Rule 10: a payload is read by a statement that begins after the lease committed. A PATCH locks the live
 * row with `node_id is null`, else 409.
 * Seen to fail: without `node_id is null` in the statement of a patch, with the payload of a patch
 * written without its guard, and without `skip locked` in leaseMany.
 */
describe('rule 10: a payload is read after the lease', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1, payload: '"old"' });
    await tables.sql.rows('update skein.type set handled = true');
  });
  after(() => tables.close());

  /** The changes of users over a session of the test. */
  const changesOf = (session: Session): TaskChanges => {
    const over: StoreSession = {
      query: async <Row>({ text }: { readonly text: string }, values?: readonly unknown[]) =>
        (await session.rows(text, values)) as Row[],
    };
    return new TaskChanges(over);
  };
  const payload = async (): Promise<unknown> => (await tables.sql.leases(1).work([1]))[0]?.payload;

  it('so an edit that is under way is never overtaken: the lease passes the task by', async () => {
    const [user, leader] = await tables.pair();
    expect(await changesOf(user).tryPatch(1, { payload: '"new"' })).to.equal(true);
    const passed = await leader.writer().leaseMany([1], [0], [1]);
    expect(passed.seqs, 'without waiting').to.deep.equal([]);
    await user.commit();
    expect((await leader.writer().leaseMany([1], [0], [1])).seqs).to.deep.equal([1]);
    expect(await payload()).to.equal('"new"');
  });

  it('so an edit that waits for a lease is refused as a whole', async () => {
    const [leader, user] = await tables.pair();
    await leader.writer().leaseMany([1], [0], [1]);
    const edit = changesOf(user).tryPatch(1, { payload: '"new"', priority: 1 });
    await tables.waits(user);
    await leader.commit();
    expect(await edit).to.equal(false);
    expect(await payload()).to.equal('"old"');
    expect(await tables.live(1)).to.include({ priority: 50 });
    expect(await tables.sql.reader.inbox(10), 'nobody is told of it').to.deep.equal([]);
  });

  it('so an edit of a task that is being cancelled or has ended is refused', async () => {
    await tables.sql.rows('update skein.live set cancel = true');
    expect(await changesOf(tables.sql).tryPatch(1, { priority: 1 })).to.equal(false);
    await tables.sql.rows('update skein.live set cancel = false');
    await tables.sql.writer().cancelMany([1]);
    expect(await changesOf(tables.sql).tryPatch(1, { payload: '"new"' })).to.equal(false);
    expect(await payload()).to.equal('"old"');
  });
});
