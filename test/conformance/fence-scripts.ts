import { expect } from 'chai';
import { DeposedError } from '../../node/store/term-writer.ts';
import { facts, lease, leader, node, NODE, OTHER_NODE, reader, refusal } from './hands.ts';
import { registry, settled, TERM } from './hands.ts';
import type { Hands, HandSession } from './hands.ts';
import { scripts } from './scripts.ts';

type Write = (hand: HandSession) => Promise<unknown>;

/** Each finds something to write in the tables of `prepare`. */
const WRITES: Readonly<Record<string, Write>> = {
  leaseMany: (hand) => leader(hand).leaseMany([1], [0], [NODE]),
  skipMany: (hand) => leader(hand).skipMany([1]),
  expireMany: (hand) => leader(hand).expireMany([4]),
  cancelMany: (hand) => leader(hand).cancelMany([1, 2]),
  takeBackMany: (hand) => leader(hand).takeBackMany(NODE, [2], [1], 'lost'),
  buryNode: (hand) => leader(hand).buryNode(1, true, 0),
  reviveMany: (hand) => leader(hand).reviveMany([3]),
  deleteInboxMany: (hand) => leader(hand).deleteInboxMany([1]),
  addEvent: (hand) => leader(hand).addEvent('odd', 'node-1', {}),
};

export const WRITERS: readonly string[] = Object.keys(WRITES);

async function prepare(hands: Hands): Promise<void> {
  await hands.add([1, 2, 3]);
  await lease(hands, 2, 3);
  await node(hands.one).settleMany(settled(3, 1, 2));
  await registry(hands.one).register(facts(1), 60_000);
  await hands.submit(hands.one, [{ id: 'told' }]);
  await hands.alter(4, { expiresInMs: -1000 });
}

const FENCE = scripts((script) => {
  for (const [name, write] of Object.entries(WRITES)) {
    script(`${name} waits for a takeover, and then writes nothing`, async (hands) => {
      const { one, two } = hands;
      const before = await hands.tables();
      await one.tryLock();
      await one.begin();
      expect(await one.bumpTerm(TERM, OTHER_NODE)).to.equal(TERM + 1);
      const { answer } = await hands.blocked(two, one, () => write(two));
      await one.commit();
      expect(await refusal(answer)).to.be.instanceOf(DeposedError);
      expect(await hands.tables()).to.deep.equal({ ...before, term: [[TERM + 1, OTHER_NODE]] });
    });

    script(`${name} goes through where the takeover is rolled back`, async (hands) => {
      const { one, two } = hands;
      const before = await hands.tables();
      await one.tryLock();
      await one.begin();
      await one.bumpTerm(TERM, OTHER_NODE);
      const { answer } = await hands.blocked(two, one, () => write(two));
      await one.rollback();
      await answer;
      // Events are for people alone, and no table of the model.
      if (name !== 'addEvent') expect(await hands.tables()).to.not.deep.equal(before);
    });

    script(`${name} holds a takeover up until it is committed`, async (hands) => {
      const { one, two } = hands;
      await two.begin();
      await write(two);
      await one.tryLock();
      const { answer } = await hands.blocked(one, two, () => one.bumpTerm(TERM, OTHER_NODE));
      expect((await hands.aside.readTerm()).term).to.equal(TERM);
      await two.commit();
      expect(await answer).to.equal(TERM + 1);
      expect(await refusal(write(two))).to.be.instanceOf(DeposedError);
    });
  }

  script('two writes of one term do not wait for each other', async ({ one, two }) => {
    await one.begin();
    await leader(one).leaseMany([1], [0], [NODE]);
    expect((await leader(two).takeBackMany(NODE, [2], [1], 'lost')).seqs).to.deep.equal([2]);
    await one.commit();
  });
}, prepare);

const LOCK = scripts((script) => {
  script('one session holds the lock, and another gets it when that has ended', async (hands) => {
    const { one, two } = hands;
    const none = { term: TERM, nodeId: null, name: null };
    expect(await one.tryLock()).to.deep.equal({ taken: true, ...none });
    expect(await two.tryLock()).to.deep.equal({ taken: false, ...none });
    await one.terminate();
    expect((await two.tryLock()).taken).to.equal(true);
  });

  script(
    'only the holder of the lock raises the term, above every term it knows',
    async (hands) => {
      const { one, two } = hands;
      await one.tryLock();
      expect(await two.bumpTerm(TERM, OTHER_NODE)).to.equal(undefined);
      expect(await one.bumpTerm(TERM + 10, NODE)).to.equal(TERM + 11);
      const view = { term: TERM + 11, nodeId: NODE, name: `node-${String(NODE)}` };
      expect(await two.readTerm()).to.deep.equal(view);
      expect(await one.bumpTerm(TERM, NODE)).to.equal(TERM + 12);
      expect(await two.tryLock()).to.deep.equal({ taken: false, ...view, term: TERM + 12 });
    },
  );

  script('a holder that says nothing is ended by the switch that the lock arms', async (hands) => {
    const { one, two } = hands;
    await one.tryLock(50);
    await one.ended;
    await expectLockOf(hands, two);
  });

  script('a try that fails arms nothing', async ({ one, two, aside }) => {
    await one.tryLock();
    await two.tryLock(50);
    await one.terminate();
    expect((await two.tryLock()).taken).to.equal(true);
    expect((await aside.readTerm()).term).to.equal(TERM);
  });

  script('a takeover reads the leases that were committed before it', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await one.begin();
    await leader(one).leaseMany([1], [0], [NODE]);
    await two.tryLock();
    const { answer } = await hands.blocked(two, one, () => two.bumpTerm(TERM, OTHER_NODE));
    await one.commit();
    await answer;
    expect((await reader(two).liveAfter(0, 10, 10)).nodeIds).to.deep.equal([NODE]);
  });

  script('a leader that dies amid its write leaves nothing behind', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await one.begin();
    await leader(one).leaseMany([1], [0], [NODE]);
    await two.tryLock();
    const { answer } = await hands.blocked(two, one, () => two.bumpTerm(TERM, OTHER_NODE));
    await one.terminate();
    expect(await answer).to.equal(TERM + 1);
    expect((await hands.how(1)).live).to.include({ lease: 0, node: null });
  });
});

/** The term, its lock, and the fence before every write of the leader. */
export const FENCE_SCRIPTS = [...FENCE, ...LOCK];

/** What a session that has ended held is free an instant after its client has heard of it. */
async function expectLockOf(hands: Hands, hand: HandSession): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if ((await hand.tryLock()).taken) return;
    await hands.tables();
  }
  expect.fail('the lock is not free');
}
