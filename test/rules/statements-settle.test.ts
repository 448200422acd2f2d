import { expect } from 'chai';
import { completed, NODE, settled, startHands } from './statements-setup.ts';
import type { Hands } from './statements-setup.ts';

/**
 * Goal: of all that may happen to a lease at the same moment, exactly one is accepted.
 * Method: sessions interleaved by hand (statements-setup.ts).
 */
describe('outcomes between two sessions', () => {
  let hands: Hands;
  beforeEach(async () => {
    hands = await startHands();
    await hands.add([1]);
    await hands.lease(1);
  });
  afterEach(async () => {
    await hands.close();
  });

  const complete = () => hands.node(hands.one).completeMany(completed(1, 1));
  const fail = () => hands.node(hands.one).settleMany(settled(1, 1, 2));
  const retry = () => hands.node(hands.one).settleMany(settled(1, 1, 5));
  const takeBack = () => hands.leader(hands.two).takeBackMany(NODE, [1], [1], 'lost');
  const cancel = () => hands.leader(hands.two).cancelMany([1]);
  const verify = () => hands.node(hands.one).verifyMany([1], [1]);
  const taken = { lease: 2, node: null, attempt: 0, losses: 1, cancel: false };
  const marked = { lease: 1, node: NODE, attempt: 0, losses: 0, cancel: true };

  describe('rule 3', () => {
    // Fails where the settle does not write `lease_seq` into the task.
    it('rule 3: the winning number stands in the task, and answers for a lost answer', async () => {
      await complete();
      expect((await hands.how(1)).task).to.deep.equal({ status: 1, lease: 1, attempt: 1 });
      expect(await complete()).to.deep.equal([]);
      expect(await verify()).to.deep.include.members([
        { seq: 1, settledAs: 1, nextLeaseSeq: 0, attempt: 1, runAtMs: 0 },
      ]);
    });

    // Fails where verifyMany does not look into `attempt`.
    it('rule 3: an accepted failure that is tried again is found by its number', async () => {
      await retry();
      expect(await retry()).to.deep.equal([]);
      expect((await verify())[0]).to.include({ settledAs: 5, nextLeaseSeq: 2, attempt: 1 });
    });

    // Fails where verifyMany takes the end of another lease for that of this one.
    it('rule 3: an outcome under a number that was taken back is stale', async () => {
      await takeBack();
      expect(await complete()).to.deep.equal([]);
      expect(await verify()).to.deep.equal([]);
      // Nor does the end of a later lease speak for it.
      await hands.leader(hands.two).leaseMany([1], [2], [NODE]);
      expect(await hands.node(hands.two).completeMany(completed(1, 3))).to.deep.equal([1]);
      expect(await verify()).to.deep.equal([]);
    });

    // Fails where the revive starts from the number of the task itself.
    it('rule 3: a revive starts above the winning number, which settles no more', async () => {
      await fail();
      expect(await hands.leader(hands.two).reviveMany([1])).to.deep.equal([1]);
      const { live, listed, task } = await hands.how(1);
      expect(live).to.include({ lease: 2, node: null, attempt: 0 });
      expect([listed, task.status]).to.deep.equal([null, null]);
      expect(await complete()).to.deep.equal([]);
    });
  });

  describe('rule 4', () => {
    // Fails where the settle asks for `seq` alone.
    const SETTLES: readonly [string, () => Promise<readonly unknown[]>][] = [
      ['a completion', complete],
      ['a failure', fail],
      ['a failure to be tried again', retry],
    ];
    for (const [name, settle] of SETTLES) {
      it(`rule 4: ${name} that waited for a take-back is not accepted`, async () => {
        await hands.two.begin();
        expect((await takeBack()).nextLeaseSeqs).to.deep.equal([2]);
        const { answer } = await hands.blocked(hands.one, hands.two, settle);
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
    it('rule 4: a take-back that waited for a completion takes nothing', async () => {
      await hands.one.begin();
      expect(await complete()).to.deep.equal([1]);
      const { answer } = await hands.blocked(hands.two, hands.one, takeBack);
      await hands.one.commit();
      expect(await answer).to.deep.include({ seqs: [], cancelledSeqs: [] });
      expect(await hands.how(1)).to.deep.equal({
        live: null,
        task: { status: 1, lease: 1, attempt: 1 },
        attempts: [],
        listed: null,
      });
    });

    it('rule 4: a take-back that waited for a failure takes nothing', async () => {
      await hands.one.begin();
      await fail();
      const { answer } = await hands.blocked(hands.two, hands.one, takeBack);
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
    it('rule 4: a take-back that waited for a failure to be tried again takes nothing', async () => {
      await hands.one.begin();
      await retry();
      const { answer } = await hands.blocked(hands.two, hands.one, takeBack);
      await hands.one.commit();
      expect((await answer).seqs).to.deep.equal([]);
      const { live, attempts } = await hands.how(1);
      expect(live).to.deep.equal({ ...taken, attempt: 1, losses: 0 });
      expect(attempts).to.deep.equal(['1 failed']);
    });

    it('rule 4: a take-back that waited for a rolled back completion takes the lease', async () => {
      await hands.one.begin();
      await complete();
      const { answer } = await hands.blocked(hands.two, hands.one, takeBack);
      await hands.one.rollback();
      expect((await answer).seqs).to.deep.equal([1]);
      expect(await hands.how(1)).to.deep.include({ live: taken, attempts: ['1 lost'] });
    });

    // Fails where a RELEASED row keeps its number.
    it('rule 4: a lease given back raises the number and is remembered', async () => {
      const [answer] = await hands.node(hands.one).settleMany(settled(1, 1, 6));
      expect(answer).to.include({ settledAs: 6, nextLeaseSeq: 2 });
      const { live, attempts } = await hands.how(1);
      expect(live).to.deep.equal({ ...taken, losses: 0 });
      expect(attempts).to.deep.equal(['1 released']);
    });
  });

  describe('rule 12', () => {
    const cancelled = { live: null, attempts: ['1 cancelled'], listed: 3 };

    // Fails where the take-back does not look at the mark.
    for (const outcome of ['lost', 'released'] as const) {
      it(`rule 12: a marked lease that is ${outcome} ends as CANCELLED`, async () => {
        await cancel();
        const leader = hands.leader(hands.two);
        const answer = await leader.takeBackMany(NODE, [1], [1], outcome);
        expect(answer).to.deep.include({ seqs: [], cancelledSeqs: [1] });
        const ended = { ...cancelled, attempts: [`1 ${outcome}`] };
        expect(await hands.how(1)).to.deep.include(ended);
        expect((await hands.how(1)).task).to.deep.equal({ status: 3, lease: 1, attempt: 0 });
      });
    }

    // Fails where the settle does not look at the mark.
    for (const settledAs of [2, 5, 6] as const) {
      it(`rule 12: a marked lease that is settled as ${String(settledAs)} ends`, async () => {
        await cancel();
        const [answer] = await hands.node(hands.one).settleMany(settled(1, 1, settledAs));
        expect(answer).to.include({ settledAs: 3, nextLeaseSeq: 0 });
        expect(await hands.how(1)).to.deep.include(cancelled);
        expect((await hands.how(1)).task).to.include({ status: 3 });
      });
    }

    // Fails where a completion asks for `not cancel`.
    it('rule 12: a marked lease that completed all the same is COMPLETED', async () => {
      await cancel();
      expect(await complete()).to.deep.equal([1]);
      expect((await hands.how(1)).task).to.include({ status: 1 });
      expect(await hands.how(1)).to.deep.include({ live: null, listed: null });
    });

    // Fails where the settle reads the mark without the row's lock.
    for (const [name, settle] of [
      ['a failure', fail],
      ['a failure to be tried again', retry],
    ] as const) {
      it(`rule 12: ${name} that waited for the mark sees it`, async () => {
        await hands.two.begin();
        expect((await cancel()).markedSeqs).to.deep.equal([1]);
        const { answer } = await hands.blocked(hands.one, hands.two, settle);
        await hands.two.commit();
        expect((await answer)[0]).to.include({ settledAs: 3 });
        expect(await hands.how(1)).to.deep.include(cancelled);
      });
    }

    it('rule 12: a take-back that waited for the mark sees it', async () => {
      await hands.one.begin();
      await hands.leader(hands.one).cancelMany([1]);
      const { answer } = await hands.blocked(hands.two, hands.one, takeBack);
      await hands.one.commit();
      expect(await answer).to.deep.include({ seqs: [], cancelledSeqs: [1] });
      expect(await hands.how(1)).to.deep.include({ ...cancelled, attempts: ['1 lost'] });
    });

    it('rule 12: a cancel that waited for a completion finds nothing', async () => {
      await hands.one.begin();
      await complete();
      const { answer } = await hands.blocked(hands.two, hands.one, cancel);
      await hands.one.commit();
      expect(await answer).to.deep.equal({ seqs: [], leaseSeqs: [], markedSeqs: [] });
      expect((await hands.how(1)).task).to.include({ status: 1 });
    });

    // Fails where the cancel judges by the holder that it saw before it waited.
    it('rule 12: a cancel that waited for a failure to be tried again ends the task', async () => {
      await hands.one.begin();
      await retry();
      const { answer } = await hands.blocked(hands.two, hands.one, cancel);
      await hands.one.commit();
      expect(await answer).to.deep.equal({ seqs: [1], leaseSeqs: [2], markedSeqs: [] });
      expect((await hands.how(1)).task).to.deep.equal({ status: 3, lease: 2, attempt: 1 });
    });

    it('rule 12: a cancel that waited for a take-back ends the task, unmarked', async () => {
      await hands.one.begin();
      await hands.leader(hands.one).takeBackMany(NODE, [1], [1], 'lost');
      const { answer } = await hands.blocked(hands.two, hands.one, cancel);
      await hands.one.commit();
      expect(await answer).to.deep.equal({ seqs: [1], leaseSeqs: [2], markedSeqs: [] });
      expect(await hands.how(1)).to.deep.include({ live: null, listed: 3 });
    });

    it('rule 12: a cancel that waited for a lease marks it', async () => {
      await hands.add([2]);
      await hands.one.begin();
      await hands.leader(hands.one).leaseMany([2], [0], [NODE]);
      const { answer } = await hands.blocked(hands.two, hands.one, () =>
        hands.leader(hands.two).cancelMany([2]),
      );
      await hands.one.commit();
      expect(await answer).to.deep.equal({ seqs: [], leaseSeqs: [], markedSeqs: [2] });
      expect((await hands.how(2)).live).to.deep.equal(marked);
    });
  });

  describe('rule 19', () => {
    interface Times {
      readonly leased_at: Date;
      readonly started_at: Date;
      readonly finished_at: Date;
    }
    const READ = `select started_at, finished_at, clock_timestamp() as leased_at
      from skein.task where seq = $1`;
    const timesOf = async (seq: number): Promise<Times> =>
      (await hands.aside.sql<Times>(READ, [seq]))[0] as Times;
    const leasedLongAgo = (seq: number) =>
      hands.aside.sql(
        `update skein.live set leased_at = clock_timestamp() - interval '1 hour' where seq = $1`,
        [seq],
      );

    // Fails where the milliseconds are not subtracted.
    it('rule 19: both instants are the clock of the statement less the time since', async () => {
      await leasedLongAgo(1);
      await hands.node(hands.one).completeMany(completed(1, 1, 60_000, 20_000));
      const { leased_at: now, started_at: start, finished_at: end } = await timesOf(1);
      const [took, since] = [end.getTime() - start.getTime(), now.getTime() - end.getTime()];
      // Two readings of one clock inside a statement; a lower bound alone is certain.
      expect(Math.round(took / 1000)).to.equal(40);
      expect(since).to.be.at.least(20_000);
    });

    // Fails where the start comes from the outcome alone.
    it('rule 19: what was marked as the start stays the start', async () => {
      await leasedLongAgo(1);
      await hands.node(hands.one).markStarted([1], [1], [50_000]);
      const [live] = await hands.aside.sql<Times>('select started_at from skein.live');
      await hands.node(hands.one).completeMany(completed(1, 1, 10, 0));
      expect((await timesOf(1)).started_at).to.deep.equal(live?.started_at);
    });

    // Fails where the instants are not kept from coming out before the lease.
    for (const isCompleted of [true, false]) {
      it(`rule 19: a child never starts before its parent ended (${String(isCompleted)})`, async () => {
        await hands.add([2], [1]);
        await hands.one.begin();
        await complete();
        await hands.one.commit();
        await hands.leader(hands.two).leaseMany([2], [0], [NODE]);
        const node = hands.node(hands.two);
        const early = completed(2, 1, 3_600_000, 3_600_000);
        if (isCompleted) await node.completeMany(early);
        else await node.settleMany({ ...settled(2, 1, 2), ...early });
        const [parent, child] = [await timesOf(1), await timesOf(2)];
        expect(child.started_at.getTime()).to.be.at.least(parent.finished_at.getTime());
        expect(child.finished_at.getTime()).to.be.at.least(child.started_at.getTime());
      });
    }
  });
});
