import { expect } from 'chai';
import { DeposedError } from '../../node/store/term-writer.ts';
import {
  changes,
  leader,
  node,
  NODE,
  OTHER_NODE,
  reader,
  refusal,
  settled,
  TERM,
} from './hands.ts';
import type { Hands, LiveChange } from './hands.ts';
import { scripts } from './scripts.ts';

const leaseAll = ({ two }: Hands) =>
  leader(two).leaseMany([1, 2, 3], [0, 0, 0], [NODE, NODE, NODE]);
const leaseFirst = ({ two }: Hands) => leader(two).leaseMany([1], [0], [NODE]);
const unheld = { lease: 0, node: null, attempt: 0, losses: 0, cancel: false };

const expectUnheld = async (hands: Hands): Promise<void> => {
  for (const seq of [1, 2, 3]) expect((await hands.how(seq)).live).to.deep.equal(unheld);
};

/** The lease statement writes only what it may, and what it writes can be relied upon. */
export const LEASE_SCRIPTS = scripts(
  (script) => {
    // Fails where `skip locked` is left out: the statement waits for the patch.
    script('rule 9: skips a row that a patch holds, and answers with the others', async (hands) => {
      const { one } = hands;
      await one.begin();
      expect(await changes(one).tryPatch(2, { priority: 1 })).to.equal(true);
      const { seqs, leaseSeqs } = await leaseAll(hands);
      expect([...seqs].sort()).to.deep.equal([1, 3]);
      expect(leaseSeqs).to.deep.equal([1, 1]);
      await one.commit();
      expect((await hands.how(2)).live).to.deep.equal(unheld);
    });

    // Fails where any one of the four conditions is left out.
    const REFUSED: readonly [string, LiveChange | 'remove'][] = [
      ['another number', { leaseSeq: 4 }],
      ['a holder', { nodeId: OTHER_NODE }],
      ['the cancel mark', { cancel: true }],
      ['a later time', { runInMs: 3_600_000 }],
      ['no row', 'remove'],
    ];
    for (const [what, change] of REFUSED) {
      script(`rule 9: does not lease a task with ${what}, nor answer with it`, async (hands) => {
        await hands.alter(2, change);
        const before = await hands.how(2);
        expect([...(await leaseAll(hands)).seqs].sort()).to.deep.equal([1, 3]);
        expect(await hands.how(2)).to.deep.equal(before);
      });
    }

    script('rule 9: leases a task whose time has come', async (hands) => {
      await hands.alter(2, { runInMs: -1000 });
      expect((await leaseAll(hands)).seqs).to.have.members([1, 2, 3]);
    });

    // Fails where the fence does not ask for the term.
    script('rule 9: writes nothing in a term that is over, and says so', async (hands) => {
      await takeOver(hands);
      expect(await refusal(leaseAll(hands))).to.be.instanceOf(DeposedError);
      await expectUnheld(hands);
    });

    // Fails where the fence is a plain EXISTS without `for share`.
    script('rule 1: waits for a takeover under way, and then writes nothing', async (hands) => {
      await hands.one.begin();
      await takeOver(hands);
      const { answer } = await hands.blocked(hands.two, hands.one, () => leaseAll(hands));
      await hands.one.commit();
      expect(await refusal(answer)).to.be.instanceOf(DeposedError);
      await expectUnheld(hands);
    });

    script(
      'rule 1: writes all where the takeover that it waited for did not come about',
      async (hands) => {
        await hands.one.begin();
        await takeOver(hands);
        const { answer } = await hands.blocked(hands.two, hands.one, () => leaseAll(hands));
        await hands.one.rollback();
        expect((await answer).seqs).to.have.length(3);
      },
    );

    // Fails where the fence is a plain EXISTS without `for share`.
    script(
      'rule 1: makes a takeover wait for it, so that the new leader reads what it wrote',
      async (hands) => {
        const { one, two } = hands;
        await two.begin();
        await leaseAll(hands);
        await one.tryLock();
        const { answer } = await hands.blocked(one, two, () => one.bumpTerm(TERM, OTHER_NODE));
        await two.commit();
        expect(await answer).to.equal(TERM + 1);
        const leased = { ...unheld, lease: 1, node: NODE };
        for (const seq of [1, 2, 3]) expect((await hands.how(seq)).live).to.deep.equal(leased);
      },
    );

    // Fails where the row is not looked at again: the number was raised and lowered in between.
    script(
      'rule 9: leases what has changed under it where its guard still holds',
      async (hands) => {
        const { one, two, aside } = hands;
        await one.begin();
        await takeOver(hands);
        const { answer } = await hands.blocked(two, one, () => leaseAll(hands));
        expect(await changes(aside).tryPatch(1, { priority: 1 })).to.equal(true);
        await changes(aside).tryPatch(2, { runAtMs: Date.UTC(2100, 0, 1) });
        await one.rollback();
        expect([...(await answer).seqs].sort()).to.deep.equal([1, 3]);
        expect((await hands.how(2)).live).to.deep.equal(unheld);
      },
    );

    script(
      'rule 10: hands out what a patch wrote that was committed before the lease',
      async (hands) => {
        const { one, two } = hands;
        const patch = { payload: '{"edit":1}' };
        await one.begin();
        await changes(one).tryPatch(1, patch);
        expect((await leaseAll(hands)).seqs).not.to.include(1);
        await one.commit();
        expect((await leaseFirst(hands)).seqs).to.deep.equal([1]);
        const [work] = await node(two).work([1]);
        expect(work?.payload).to.equal(patch.payload);
      },
    );

    // Fails where the patch does not ask for `node_id is null`, or writes what it did not lock.
    script(
      'rule 10: refuses a patch that waited for a lease, and leaves the payload alone',
      async (hands) => {
        const { one, two } = hands;
        await two.begin();
        await leaseAll(hands);
        const { answer } = await hands.blocked(one, two, () =>
          changes(one).tryPatch(1, { payload: '{"edit":1}' }),
        );
        await two.commit();
        expect(await answer).to.equal(false);
        const [work] = await node(two).work([1]);
        expect(work?.payload).to.equal(null);
        expect(await reader(one).inbox(10)).to.deep.equal([]);
      },
    );

    // Fails where the lease raises `attempt`, and where `released` raises `losses`.
    script(
      'rule 17: charges no attempt for a lease, a lost one or one given back',
      async (hands) => {
        await leaseAll(hands);
        expect((await hands.how(1)).live).to.include({ attempt: 0, losses: 0 });
        await leader(hands.two).takeBackMany(NODE, [1], [1], 'lost');
        await leader(hands.two).takeBackMany(NODE, [2], [1], 'released');
        await node(hands.two).settleMany(settled(3, 1, 6));
        expect((await hands.how(1)).live).to.include({ attempt: 0, losses: 1 });
        expect((await hands.how(2)).live).to.include({ attempt: 0, losses: 0 });
        expect((await hands.how(3)).live).to.include({ attempt: 0, losses: 0 });
      },
    );

    // Fails where a failure that is tried again leaves `attempt` alone.
    script('rule 17: charges one attempt for an outcome, tried again or ended', async (hands) => {
      await leaseAll(hands);
      await node(hands.two).settleMany(settled(1, 1, 5));
      await node(hands.two).settleMany(settled(2, 1, 2));
      expect((await hands.how(1)).live).to.include({ attempt: 1, losses: 0 });
      expect((await hands.how(2)).task).to.include({ attempt: 1 });
    });
  },
  (hands) => hands.add([1, 2, 3]),
);

/** As the next leader does, on the first session. */
async function takeOver({ one }: Hands): Promise<void> {
  expect((await one.tryLock()).taken).to.equal(true);
  expect(await one.bumpTerm(TERM, OTHER_NODE)).to.equal(TERM + 1);
}
