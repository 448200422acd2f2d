import { expect } from 'chai';
import { completed, lease, leader, node, NODE, reader, settled } from './hands.ts';
import type { Hands } from './hands.ts';
import { scripts } from './scripts.ts';

const complete = ({ one }: Hands) => node(one).completeMany(completed(1, 1));
const fail = ({ one }: Hands) => node(one).settleMany(settled(1, 1, 2));
const retry = ({ one }: Hands) => node(one).settleMany(settled(1, 1, 5));
const takeBack = ({ two }: Hands) => leader(two).takeBackMany(NODE, [1], [1], 'lost');
const cancel = ({ two }: Hands) => leader(two).cancelMany([1]);
const verify = ({ one }: Hands) => node(one).verifyMany([1], [1]);

const taken = { lease: 2, node: null, attempt: 0, losses: 1, cancel: false };
const marked = { lease: 1, node: NODE, attempt: 0, losses: 0, cancel: true };

const RULE_3 = scripts((script) => {
  // Fails where the settle does not write `lease_seq` into the task.
  script(
    'rule 3: the winning number stands in the task, and answers for a lost answer',
    async (hands) => {
      await complete(hands);
      expect((await hands.how(1)).task).to.deep.equal({ status: 1, lease: 1, attempt: 1 });
      expect(await complete(hands)).to.deep.equal([]);
      expect(await verify(hands)).to.deep.include.members([
        { seq: 1, settledAs: 1, nextLeaseSeq: 0, attempt: 1, runAtMs: 0 },
      ]);
    },
  );

  // Fails where verifyMany does not look into `attempt`.
  script(
    'rule 3: an accepted failure that is tried again is found by its number',
    async (hands) => {
      await retry(hands);
      expect(await retry(hands)).to.deep.equal([]);
      expect((await verify(hands))[0]).to.include({ settledAs: 5, nextLeaseSeq: 2, attempt: 1 });
    },
  );

  // Fails where verifyMany takes the end of another lease for that of this one.
  script('rule 3: an outcome under a number that was taken back is stale', async (hands) => {
    await takeBack(hands);
    expect(await complete(hands)).to.deep.equal([]);
    expect(await verify(hands)).to.deep.equal([]);
    // Nor does the end of a later lease speak for it.
    await leader(hands.two).leaseMany([1], [2], [NODE]);
    expect(await node(hands.two).completeMany(completed(1, 3))).to.deep.equal([1]);
    expect(await verify(hands)).to.deep.equal([]);
  });

  // Fails where the revive starts from the number of the task itself.
  script(
    'rule 3: a revive starts above the winning number, which settles no more',
    async (hands) => {
      await fail(hands);
      expect(await leader(hands.two).reviveMany([1])).to.deep.equal([1]);
      const { live, listed, task } = await hands.how(1);
      expect(live).to.include({ lease: 2, node: null, attempt: 0 });
      expect([listed, task.status]).to.deep.equal([null, null]);
      expect(await complete(hands)).to.deep.equal([]);
    },
  );
}, leaseOne);

const RULE_4 = scripts((script) => {
  // Fails where the settle asks for `seq` alone.
  const SETTLES: readonly [string, (hands: Hands) => Promise<readonly unknown[]>][] = [
    ['a completion', complete],
    ['a failure', fail],
    ['a failure to be tried again', retry],
  ];
  for (const [name, settle] of SETTLES) {
    script(`rule 4: ${name} that waited for a take-back is not accepted`, async (hands) => {
      await hands.two.begin();
      expect((await takeBack(hands)).nextLeaseSeqs).to.deep.equal([2]);
      const { answer } = await hands.blocked(hands.one, hands.two, () => settle(hands));
      await hands.two.commit();
      expect(await answer).to.deep.equal([]);
      expect(await hands.how(1)).to.deep.equal({
        live: taken,
        task: { status: null, lease: 0, attempt: 0 },
        attempts: ['1 lost'],
        listed: null,
      });
    });
  }

  // Fails where the attempt is written of what was wanted, not of what was locked.
  script('rule 4: a take-back that waited for a completion takes nothing', async (hands) => {
    await hands.one.begin();
    expect(await complete(hands)).to.deep.equal([1]);
    const { answer } = await hands.blocked(hands.two, hands.one, () => takeBack(hands));
    await hands.one.commit();
    expect(await answer).to.deep.include({ seqs: [], cancelledSeqs: [] });
    expect(await hands.how(1)).to.deep.equal({
      live: null,
      task: { status: 1, lease: 1, attempt: 1 },
      attempts: [],
      listed: null,
    });
  });

  script('rule 4: a take-back that waited for a failure takes nothing', async (hands) => {
    await hands.one.begin();
    await fail(hands);
    const { answer } = await hands.blocked(hands.two, hands.one, () => takeBack(hands));
    await hands.one.commit();
    expect(await answer).to.deep.include({ seqs: [], cancelledSeqs: [] });
    expect(await hands.how(1)).to.deep.equal({
      live: null,
      task: { status: 2, lease: 1, attempt: 1 },
      attempts: ['1 failed'],
      listed: 2,
    });
  });

  // Fails where the take-back does not ask for its number.
  script(
    'rule 4: a take-back that waited for a failure to be tried again takes nothing',
    async (hands) => {
      await hands.one.begin();
      await retry(hands);
      const { answer } = await hands.blocked(hands.two, hands.one, () => takeBack(hands));
      await hands.one.commit();
      expect((await answer).seqs).to.deep.equal([]);
      const { live, attempts } = await hands.how(1);
      expect(live).to.deep.equal({ ...taken, attempt: 1, losses: 0 });
      expect(attempts).to.deep.equal(['1 failed']);
    },
  );

  script(
    'rule 4: a take-back that waited for a rolled back completion takes the lease',
    async (hands) => {
      await hands.one.begin();
      await complete(hands);
      const { answer } = await hands.blocked(hands.two, hands.one, () => takeBack(hands));
      await hands.one.rollback();
      expect((await answer).seqs).to.deep.equal([1]);
      expect(await hands.how(1)).to.deep.include({ live: taken, attempts: ['1 lost'] });
    },
  );

  // Fails where a RELEASED row keeps its number.
  script('rule 4: a lease given back raises the number and is remembered', async (hands) => {
    const [answer] = await node(hands.one).settleMany(settled(1, 1, 6));
    expect(answer).to.include({ settledAs: 6, nextLeaseSeq: 2 });
    const { live, attempts } = await hands.how(1);
    expect(live).to.deep.equal({ ...taken, losses: 0 });
    expect(attempts).to.deep.equal(['1 released']);
  });
}, leaseOne);

const RULE_12 = scripts((script) => {
  const cancelled = { live: null, attempts: ['1 cancelled'], listed: 3 };

  // Fails where the take-back does not look at the mark.
  for (const outcome of ['lost', 'released'] as const) {
    script(`rule 12: a marked lease that is ${outcome} ends as CANCELLED`, async (hands) => {
      await cancel(hands);
      const answer = await leader(hands.two).takeBackMany(NODE, [1], [1], outcome);
      expect(answer).to.deep.include({ seqs: [], cancelledSeqs: [1] });
      const ended = { ...cancelled, attempts: [`1 ${outcome}`] };
      expect(await hands.how(1)).to.deep.include(ended);
      expect((await hands.how(1)).task).to.deep.equal({ status: 3, lease: 1, attempt: 0 });
    });
  }

  // Fails where the settle does not look at the mark.
  for (const settledAs of [2, 5, 6] as const) {
    script(
      `rule 12: a marked lease that is settled as ${String(settledAs)} ends`,
      async (hands) => {
        await cancel(hands);
        const [answer] = await node(hands.one).settleMany(settled(1, 1, settledAs));
        expect(answer).to.include({ settledAs: 3, nextLeaseSeq: 0 });
        expect(await hands.how(1)).to.deep.include(cancelled);
        expect((await hands.how(1)).task).to.include({ status: 3 });
      },
    );
  }

  // Fails where a completion asks for `not cancel`.
  script('rule 12: a marked lease that completed all the same is COMPLETED', async (hands) => {
    await cancel(hands);
    expect(await complete(hands)).to.deep.equal([1]);
    expect((await hands.how(1)).task).to.include({ status: 1 });
    expect(await hands.how(1)).to.deep.include({ live: null, listed: null });
  });

  // Fails where the settle reads the mark without the row's lock.
  for (const [name, settle] of [
    ['a failure', fail],
    ['a failure to be tried again', retry],
  ] as const) {
    script(`rule 12: ${name} that waited for the mark sees it`, async (hands) => {
      await hands.two.begin();
      expect((await cancel(hands)).markedSeqs).to.deep.equal([1]);
      const { answer } = await hands.blocked(hands.one, hands.two, () => settle(hands));
      await hands.two.commit();
      expect((await answer)[0]).to.include({ settledAs: 3 });
      expect(await hands.how(1)).to.deep.include(cancelled);
    });
  }

  script('rule 12: a take-back that waited for the mark sees it', async (hands) => {
    await hands.one.begin();
    await leader(hands.one).cancelMany([1]);
    const { answer } = await hands.blocked(hands.two, hands.one, () => takeBack(hands));
    await hands.one.commit();
    expect(await answer).to.deep.include({ seqs: [], cancelledSeqs: [1] });
    expect(await hands.how(1)).to.deep.include({ ...cancelled, attempts: ['1 lost'] });
  });

  script('rule 12: a cancel that waited for a completion finds nothing', async (hands) => {
    await hands.one.begin();
    await complete(hands);
    const { answer } = await hands.blocked(hands.two, hands.one, () => cancel(hands));
    await hands.one.commit();
    expect(await answer).to.deep.equal({ seqs: [], leaseSeqs: [], markedSeqs: [] });
    expect((await hands.how(1)).task).to.include({ status: 1 });
  });

  // Fails where the cancel judges by the holder that it saw before it waited.
  script(
    'rule 12: a cancel that waited for a failure to be tried again ends the task',
    async (hands) => {
      await hands.one.begin();
      await retry(hands);
      const { answer } = await hands.blocked(hands.two, hands.one, () => cancel(hands));
      await hands.one.commit();
      expect(await answer).to.deep.equal({ seqs: [1], leaseSeqs: [2], markedSeqs: [] });
      expect((await hands.how(1)).task).to.deep.equal({ status: 3, lease: 2, attempt: 1 });
    },
  );

  script('rule 12: a cancel that waited for a take-back ends the task, unmarked', async (hands) => {
    await hands.one.begin();
    await leader(hands.one).takeBackMany(NODE, [1], [1], 'lost');
    const { answer } = await hands.blocked(hands.two, hands.one, () => cancel(hands));
    await hands.one.commit();
    expect(await answer).to.deep.equal({ seqs: [1], leaseSeqs: [2], markedSeqs: [] });
    expect(await hands.how(1)).to.deep.include({ live: null, listed: 3 });
  });

  script('rule 12: a cancel that waited for a lease marks it', async (hands) => {
    await hands.add([2]);
    await hands.one.begin();
    await leader(hands.one).leaseMany([2], [0], [NODE]);
    const { answer } = await hands.blocked(hands.two, hands.one, () =>
      leader(hands.two).cancelMany([2]),
    );
    await hands.one.commit();
    expect(await answer).to.deep.equal({ seqs: [], leaseSeqs: [], markedSeqs: [2] });
    expect((await hands.how(2)).live).to.deep.equal(marked);
  });
}, leaseOne);

const RULE_19 = scripts((script) => {
  const leasedLongAgo = (hands: Hands) => hands.alter(1, { leasedAgoMs: 3_600_000 });

  // Fails where the milliseconds are not subtracted.
  script(
    'rule 19: both instants are the clock of the statement less the time since',
    async (hands) => {
      await leasedLongAgo(hands);
      await node(hands.one).completeMany(completed(1, 1, 60_000, 20_000));
      const { startedAtMs, finishedAtMs } = await endOf(hands, 1);
      // Two readings of one clock inside a statement; a lower bound alone is certain.
      expect(Math.round((finishedAtMs - startedAtMs) / 1000)).to.equal(40);
      expect((await reader(hands.one).clockMs()) - finishedAtMs).to.be.at.least(20_000);
    },
  );

  // Fails where the start comes from the outcome alone.
  script('rule 19: what was marked as the start stays the start', async (hands) => {
    await leasedLongAgo(hands);
    await node(hands.one).markStarted([1], [1], [50_000]);
    const { liveStartedAtMs } = await hands.times(1);
    expect(liveStartedAtMs).to.be.a('number');
    await node(hands.one).completeMany(completed(1, 1, 10, 0));
    expect((await endOf(hands, 1)).startedAtMs).to.equal(liveStartedAtMs);
  });

  // Fails where the instants are not kept from coming out before the lease.
  for (const isCompleted of [true, false]) {
    script(
      `rule 19: a child never starts before its parent ended (${String(isCompleted)})`,
      async (hands) => {
        await hands.add([2], [1]);
        await hands.one.begin();
        await complete(hands);
        await hands.one.commit();
        await leader(hands.two).leaseMany([2], [0], [NODE]);
        const early = completed(2, 1, 3_600_000, 3_600_000);
        if (isCompleted) await node(hands.two).completeMany(early);
        else await node(hands.two).settleMany({ ...settled(2, 1, 2), ...early });
        const [parent, child] = [await endOf(hands, 1), await endOf(hands, 2)];
        expect(child.startedAtMs).to.be.at.least(parent.finishedAtMs);
        expect(child.finishedAtMs).to.be.at.least(child.startedAtMs);
      },
    );
  }
}, leaseOne);

/** Of all that may happen to a lease at the same moment, exactly one is accepted. */
export const SETTLE_SCRIPTS = [...RULE_3, ...RULE_4, ...RULE_12, ...RULE_19];

async function leaseOne(hands: Hands): Promise<void> {
  await hands.add([1]);
  await lease(hands, 1);
}

async function endOf(
  hands: Hands,
  seq: number,
): Promise<{ readonly startedAtMs: number; readonly finishedAtMs: number }> {
  const { startedAtMs, finishedAtMs } = await hands.times(seq);
  if (startedAtMs === null || finishedAtMs === null)
    expect.fail('it has not started, or not ended');
  return { startedAtMs, finishedAtMs };
}
