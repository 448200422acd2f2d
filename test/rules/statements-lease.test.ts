import { expect } from 'chai';
import { DeposedError } from '../../node/store/term-writer.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { NODE, OTHER_NODE, settled, startHands } from './statements-setup.ts';
import type { Hands } from './statements-setup.ts';

/**
 * Goal: the lease statement writes only what it may, and what it writes can be relied upon.
 * Method: sessions interleaved by hand (statements-setup.ts).
 */
describe('the lease statement between two sessions', () => {
  let hands: Hands;
  beforeEach(async () => {
    hands = await startHands();
    await hands.add([1, 2, 3]);
  });
  afterEach(async () => {
    await hands.close();
  });

  const leaseAll = () =>
    hands.leader(hands.two).leaseMany([1, 2, 3], [0, 0, 0], [NODE, NODE, NODE]);
  const unheld = { lease: 0, node: null, attempt: 0, losses: 0, cancel: false };

  // Fails where `skip locked` is left out: the statement waits for the patch.
  it('rule 9: skips a row that a patch holds, and answers with the others', async () => {
    await hands.one.begin();
    expect(await new TaskChanges(hands.one.asSession()).tryPatch(2, { priority: 1 })).to.equal(
      true,
    );
    const { seqs, leaseSeqs } = await leaseAll();
    expect([...seqs].sort()).to.deep.equal([1, 3]);
    expect(leaseSeqs).to.deep.equal([1, 1]);
    await hands.one.commit();
    expect((await hands.how(2)).live).to.deep.equal(unheld);
  });

  // Fails where any one of the four conditions is left out.
  const REFUSED: readonly [string, string][] = [
    ['another number', 'update skein.live set lease_seq = 4 where seq = 2'],
    ['a holder', `update skein.live set node_id = ${String(OTHER_NODE)} where seq = 2`],
    ['the cancel mark', 'update skein.live set cancel = true where seq = 2'],
    ['a later time', `update skein.live set run_at = clock_timestamp() + '1 hour' where seq = 2`],
    ['no row', 'delete from skein.live where seq = 2'],
  ];
  for (const [what, change] of REFUSED) {
    it(`rule 9: does not lease a task with ${what}, nor answer with it`, async () => {
      await hands.one.sql(change);
      const before = await hands.how(2);
      expect([...(await leaseAll()).seqs].sort()).to.deep.equal([1, 3]);
      expect(await hands.how(2)).to.deep.equal(before);
    });
  }

  // Fails where the fence does not ask for the term.
  it('rule 9: writes nothing in a term that is over, and says so', async () => {
    await hands.one.sql('update skein.term set term = term + 1');
    expect(await refusal(leaseAll())).to.be.instanceOf(DeposedError);
    for (const seq of [1, 2, 3]) expect((await hands.how(seq)).live).to.deep.equal(unheld);
  });

  // Fails where the fence is a plain EXISTS without `for share`.
  it('rule 1: waits for a takeover under way, and then writes nothing', async () => {
    await hands.one.begin();
    await hands.one.sql('update skein.term set term = term + 1');
    const { answer } = await hands.blocked(hands.two, hands.one, leaseAll);
    await hands.one.commit();
    expect(await refusal(answer)).to.be.instanceOf(DeposedError);
    for (const seq of [1, 2, 3]) expect((await hands.how(seq)).live).to.deep.equal(unheld);
  });

  it('rule 1: writes all where the takeover that it waited for did not come about', async () => {
    await hands.one.begin();
    await hands.one.sql('update skein.term set term = term + 1');
    const { answer } = await hands.blocked(hands.two, hands.one, leaseAll);
    await hands.one.rollback();
    expect((await answer).seqs).to.have.length(3);
  });

  // Fails where the fence is a plain EXISTS without `for share`.
  it('rule 1: makes a takeover wait for it, so that the new leader reads what it wrote', async () => {
    await hands.two.begin();
    await leaseAll();
    const { answer } = await hands.blocked(hands.one, hands.two, () =>
      hands.one.sql('update skein.term set term = term + 1'),
    );
    await hands.two.commit();
    await answer;
    const leased = { ...unheld, lease: 1, node: NODE };
    for (const seq of [1, 2, 3]) expect((await hands.how(seq)).live).to.deep.equal(leased);
  });

  it('rule 10: hands out what a patch wrote that was committed before the lease', async () => {
    const patch = { payload: '{"edit":1}' };
    await hands.one.begin();
    await new TaskChanges(hands.one.asSession()).tryPatch(1, patch);
    expect((await leaseAll()).seqs).not.to.include(1);
    await hands.one.commit();
    expect((await leaseFirst()).seqs).to.deep.equal([1]);
    const [work] = await hands.node(hands.two).work([1]);
    expect(work?.payload).to.equal(patch.payload);
  });

  // Fails where the patch does not ask for `node_id is null`, or writes what it did not lock.
  it('rule 10: refuses a patch that waited for a lease, and leaves the payload alone', async () => {
    await hands.two.begin();
    await leaseAll();
    const changes = new TaskChanges(hands.one.asSession());
    const { answer } = await hands.blocked(hands.one, hands.two, () =>
      changes.tryPatch(1, { payload: '{"edit":1}' }),
    );
    await hands.two.commit();
    expect(await answer).to.equal(false);
    const [work] = await hands.node(hands.two).work([1]);
    expect(work?.payload).to.equal(null);
    expect(await hands.one.sql('select 1 from skein.inbox')).to.deep.equal([]);
  });

  // Fails where the lease raises `attempt`, and where `released` raises `losses`.
  it('rule 17: charges no attempt for a lease, a lost one or one given back', async () => {
    await leaseAll();
    const leader = hands.leader(hands.two);
    expect((await hands.how(1)).live).to.include({ attempt: 0, losses: 0 });
    await leader.takeBackMany(NODE, [1], [1], 'lost');
    await leader.takeBackMany(NODE, [2], [1], 'released');
    await hands.node(hands.two).settleMany(settled(3, 1, 6));
    expect((await hands.how(1)).live).to.include({ attempt: 0, losses: 1 });
    expect((await hands.how(2)).live).to.include({ attempt: 0, losses: 0 });
    expect((await hands.how(3)).live).to.include({ attempt: 0, losses: 0 });
  });

  // Fails where a failure that is tried again leaves `attempt` alone.
  it('rule 17: charges one attempt for an outcome, tried again or ended', async () => {
    await leaseAll();
    const node = hands.node(hands.two);
    await node.settleMany(settled(1, 1, 5));
    await node.settleMany(settled(2, 1, 2));
    expect((await hands.how(1)).live).to.include({ attempt: 1, losses: 0 });
    expect((await hands.how(2)).task).to.include({ attempt: 1 });
  });

  const leaseFirst = () => hands.leader(hands.two).leaseMany([1], [0], [NODE]);
});

function refusal(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}
