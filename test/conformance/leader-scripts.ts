import { expect } from 'chai';
import { changes, completed, facts, lease, leader, node, NODE, reader, registry } from './hands.ts';
import { settled } from './hands.ts';
import type { Hands, HandSession } from './hands.ts';
import { scripts } from './scripts.ts';

const resolve = async ({ two }: Hands, seq: number): Promise<number | undefined> =>
  (await reader(two).resolve([seq])).codes[0];

const RULE_6 = scripts((script) => {
  // Fails where the answer for a task in neither table is not COMPLETED.
  script(
    'rule 6: a parent is live until its settle commits, and ended from then on',
    async (hands) => {
      await hands.add([1, 2]);
      await lease(hands, 1, 2);
      await hands.one.begin();
      await node(hands.one).completeMany(completed(1, 1));
      await node(hands.one).settleMany(settled(2, 1, 2));
      expect([await resolve(hands, 1), await resolve(hands, 2)]).to.deep.equal([0, 0]);
      await hands.one.commit();
      expect([await resolve(hands, 1), await resolve(hands, 2)]).to.deep.equal([1, 2]);
    },
  );
});

type Run = (hand: HandSession, seqs: readonly number[]) => Promise<unknown>;
const ones = (seqs: readonly number[]) => seqs.map(() => 1);
const zeros = (seqs: readonly number[]) => seqs.map(() => 0);
const done = (seqs: readonly number[]) => ({
  seqs,
  leaseSeqs: ones(seqs),
  startedAgoMs: zeros(seqs),
  finishedAgoMs: zeros(seqs),
});
const HELD: Readonly<Record<string, Run>> = {
  cancelMany: (hand, seqs) => leader(hand).cancelMany(seqs),
  takeBackMany: (hand, seqs) => leader(hand).takeBackMany(NODE, seqs, ones(seqs), 'lost'),
  markStarted: (hand, seqs) => node(hand).markStarted(seqs, ones(seqs), zeros(seqs)),
  completeMany: (hand, seqs) =>
    node(hand).completeMany({ ...done(seqs), results: seqs.map(() => 'null') }),
  settleMany: (hand, seqs) =>
    node(hand).settleMany({
      ...done(seqs),
      settledAs: seqs.map(() => 2),
      delayMs: zeros(seqs),
      errors: seqs.map(() => null),
    }),
};
const UNHELD: Readonly<Record<string, Run>> = {
  cancelMany: (hand, seqs) => leader(hand).cancelMany(seqs),
  skipMany: (hand, seqs) => leader(hand).skipMany(seqs),
  expireMany: (hand, seqs) => leader(hand).expireMany(seqs),
};

/** The middle row is held; in orders that differ, each would then hold what the other wants. */
const cross = async (hands: Hands, first: Run, second: Run): Promise<void> => {
  const third = await hands.open('third');
  await third.begin();
  await hands.hold(third, 'live', 2);
  const a = await hands.blocked(hands.one, third, () => first(hands.one, [1, 2, 3]));
  const b = await hands.blocked(hands.two, hands.one, () => second(hands.two, [3, 2, 1]));
  await third.commit();
  await a.answer;
  await b.answer;
};

const RULE_11 = scripts((script) => {
  // Each fails where its statement takes its locks in the order given, or downwards.
  for (const [name, run] of Object.entries(HELD)) {
    script(
      `rule 11: ${name} takes held rows by their number, in whatever order given`,
      async (hands) => {
        await hands.add([1, 2, 3]);
        await lease(hands, 1, 2, 3);
        await cross(hands, HELD['cancelMany'] as Run, run);
      },
    );
  }
  for (const [name, run] of Object.entries(UNHELD)) {
    script(
      `rule 11: ${name} takes unheld rows by their number, in whatever order given`,
      async (hands) => {
        await hands.add([1, 2, 3]);
        for (const seq of [1, 2, 3]) await hands.alter(seq, { expiresInMs: -1000 });
        await cross(hands, UNHELD['cancelMany'] as Run, run);
      },
    );
  }

  // Fails where the skip passes over what is locked.
  script(
    'rule 11: chunk by chunk, a skip waits for one patch and then ends its row too',
    async (hands) => {
      const all = Array.from({ length: 2500 }, (_, i) => i + 1);
      await hands.add(all);
      await hands.one.begin();
      await changes(hands.one).tryPatch(1500, { priority: 1 });
      const writer = leader(hands.two);
      expect((await writer.skipMany(all.slice(0, 1000))).seqs).to.have.length(1000);
      const second = await hands.blocked(hands.two, hands.one, () =>
        writer.skipMany(all.slice(1000, 2000).reverse()),
      );
      await hands.one.commit();
      expect((await second.answer).seqs).to.have.length(1000);
      expect((await writer.skipMany(all.slice(2000))).seqs).to.have.length(500);
      expect((await reader(hands.aside).liveAfter(0, 9999, 1)).seqs).to.deep.equal([]);
      expect(await hands.how(1500)).to.deep.include({ listed: 4 });
    },
  );
});

const EXPIRES = scripts(
  (script) => {
    // Fails where any one of the three conditions is left out.
    script('an expiry ends what nobody has begun in time, and nothing else', async (hands) => {
      await hands.alter(2, { expiresInMs: 3_600_000 });
      await hands.alter(4, { nodeId: NODE });
      const expired = await leader(hands.two).expireMany([5, 4, 3, 2, 1]);
      expect(expired.seqs).to.have.members([1, 5]);
      expect(expired.leaseSeqs).to.deep.equal([0, 0]);
      const end = { status: 2, lease: 0, attempt: 0 };
      expect(await hands.how(1)).to.deep.equal({ live: null, task: end, attempts: [], listed: 2 });
      for (const seq of [2, 3, 4]) expect((await hands.how(seq)).live).to.not.equal(null);
    });

    // Fails where the statement does not look again at a row that it waited for.
    script('an expiry that waited for a lease leaves the task alone', async (hands) => {
      await hands.one.begin();
      await leader(hands.one).leaseMany([1], [0], [NODE]);
      const { answer } = await hands.blocked(hands.two, hands.one, () =>
        leader(hands.two).expireMany([1]),
      );
      await hands.one.commit();
      expect((await answer).seqs).to.deep.equal([]);
      expect((await hands.how(1)).live).to.include({ lease: 1, node: NODE });
    });

    script('an expiry that waited for a patch of the time leaves the task alone', async (hands) => {
      await hands.submit(hands.aside, [{ id: 'late', ttlMs: 1_000_000 }]);
      await hands.alter(6, { expiresInMs: -1000 });
      await hands.one.begin();
      expect(await changes(hands.one).tryPatch(6, { runAtMs: null })).to.equal(true);
      const { answer } = await hands.blocked(hands.two, hands.one, () =>
        leader(hands.two).expireMany([6]),
      );
      await hands.one.commit();
      expect((await answer).seqs).to.deep.equal([]);
    });

    // Fails where a settle or a take-back keeps the limit of what has begun, or drops that of others.
    script('what has begun does not expire, what was given back unbegun does', async (hands) => {
      for (const seq of [2, 3]) await hands.alter(seq, { expiresInMs: -1000 });
      await lease(hands, 1, 2, 3, 5);
      for (const [seq, as] of [
        [1, 5],
        [2, 6],
      ] as const) {
        await node(hands.one).settleMany(settled(seq, 1, as));
      }
      await leader(hands.one).takeBackMany(NODE, [3], [1], 'lost');
      await leader(hands.one).takeBackMany(NODE, [5], [1], 'released');
      const rows = await reader(hands.two).live([1, 2, 3, 5]);
      const limits = new Map(rows.seqs.map((seq, at) => [seq, rows.expiresAtMs[at] as number]));
      expect([1, 2, 3, 5].map((seq) => (limits.get(seq) as number) > 0)).to.deep.equal([
        ...[false, true, false, true],
      ]);
      expect((await leader(hands.two).expireMany([1, 2, 3, 5])).seqs).to.have.members([2, 5]);
    });

    script('a revived task has its whole time again', async (hands) => {
      await hands.submit(hands.aside, [{ id: 'late', ttlMs: 1_000_000 }]);
      await hands.alter(6, { expiresInMs: -1000 });
      expect((await leader(hands.two).expireMany([6])).seqs).to.deep.equal([6]);
      expect(await leader(hands.two).reviveMany([6])).to.deep.equal([6]);
      expect((await leader(hands.two).expireMany([6])).seqs).to.deep.equal([]);
      expect((await reader(hands.two).live([6])).expiresAtMs[0]).to.be.above(0);
    });
  },
  async (hands) => {
    await hands.add([1, 2, 3, 4, 5]);
    for (const seq of [1, 4, 5]) await hands.alter(seq, { expiresInMs: -1000 });
  },
);

const below = async ({ two }: Hands): Promise<readonly number[]> =>
  reader(two).skippedBelow([1], await reader(two).firstEndMs([1]));

const RULE_13 = scripts(
  (script) => {
    // Fails where the revived rows have no dependencies, or the number of their last lease.
    script(
      'rule 13: a retry brings back what was SKIPPED below it, and nothing else',
      async (hands) => {
        const seqs = await below(hands);
        expect(seqs).to.deep.equal([1, 2, 3]);
        expect(await leader(hands.two).reviveMany(seqs)).to.deep.equal([1, 2, 3]);
        const rows = await reader(hands.two).live([1, 2, 3, 4]);
        const order = rows.seqs.map((seq, at) => [seq, rows.leaseSeqs[at], rows.deps[at]]);
        expect(order.sort()).to.deep.equal([
          [1, 2, []],
          [2, 1, [1]],
          [3, 1, [2]],
        ]);
        for (const seq of seqs) expect(await hands.how(seq)).to.deep.include({ listed: null });
        expect((await hands.how(4)).listed).to.equal(4);
      },
    );

    // Fails where the revive does not ask how the task ended.
    script('rule 13: of two revives of the same tasks one brings them back', async (hands) => {
      const seqs = await below(hands);
      await hands.one.begin();
      await leader(hands.one).reviveMany(seqs);
      const { answer } = await hands.blocked(hands.two, hands.one, () =>
        leader(hands.two).reviveMany([...seqs].reverse()),
      );
      await hands.one.commit();
      expect(await answer).to.deep.equal([]);
      expect((await hands.how(1)).live).to.include({ lease: 2 });
    });

    // Fails where the revive takes whatever has ended.
    script(
      'rule 13: a task that was retried before and has COMPLETED since stays so',
      async (hands) => {
        const writer = leader(hands.two);
        await writer.reviveMany([1]);
        await writer.leaseMany([1], [2], [NODE]);
        expect(await node(hands.one).completeMany(completed(1, 3))).to.deep.equal([1]);
        expect(await writer.reviveMany([1])).to.deep.equal([]);
        expect((await hands.how(1)).live).to.equal(null);
      },
    );

    script('rule 13: a revive brings back what the task was submitted with', async (hands) => {
      await hands.submit(hands.one, [{ id: 'again' }]);
      const [inbox] = await reader(hands.two).inbox(1);
      const seq = inbox?.firstSeq ?? 0;
      const before = await reader(hands.two).live([seq]);
      await leader(hands.two).cancelMany([seq]);
      await leader(hands.two).reviveMany([seq]);
      expect(await reader(hands.two).live([seq])).to.deep.equal({ ...before, leaseSeqs: [1] });
    });
  },
  async (hands) => {
    await hands.add([1]);
    await hands.add([2], [1]);
    await hands.add([3], [2]);
    await hands.add([4]);
    await lease(hands, 1);
    await node(hands.one).settleMany(settled(1, 1, 2));
    await leader(hands.one).skipMany([2, 3, 4]);
  },
);

const GUARD_MS = 30_000;
const register = ({ aside }: Hands, leaseMs: number) => registry(aside).register(facts(1), leaseMs);
const bury = ({ two }: Hands, nodeId: number, isProven = false) =>
  leader(two).buryNode(nodeId, isProven, GUARD_MS);

const RULE_18 = scripts((script) => {
  // Fails where the guard is not added.
  script('rule 18: a node is buried when its lease and the guard are over', async (hands) => {
    const nodeId = await register(hands, -GUARD_MS / 2);
    expect(await bury(hands, nodeId)).to.equal(false);
    await registry(hands.aside).renewMany([nodeId], (-3 * GUARD_MS) / 2);
    expect(await bury(hands, nodeId)).to.equal(true);
    expect(await bury(hands, nodeId)).to.equal(false);
  });

  script('rule 18: a proven death waits for nothing', async (hands) => {
    expect(await bury(hands, await register(hands, 60_000), true)).to.equal(true);
  });

  // Fails where the burial does not look at the lease again after it waited.
  script('rule 18: a burial that waited for a renewal does not come about', async (hands) => {
    const nodeId = await register(hands, -2 * GUARD_MS);
    await hands.one.begin();
    await registry(hands.one).renewMany([nodeId], 5000);
    const { answer } = await hands.blocked(hands.two, hands.one, () => bury(hands, nodeId));
    await hands.one.commit();
    expect(await answer).to.equal(false);
  });

  // Fails where the renewal does not ask for the state.
  script('rule 18: a renewal that waited for a burial renews nothing', async (hands) => {
    const nodeId = await register(hands, -2 * GUARD_MS);
    await hands.two.begin();
    expect(await bury(hands, nodeId)).to.equal(true);
    const { answer } = await hands.blocked(hands.one, hands.two, () =>
      registry(hands.one).renewMany([nodeId], 5000),
    );
    await hands.two.commit();
    expect(await answer).to.deep.equal([]);
    expect(await registry(hands.one).renewMany([nodeId], 5000)).to.deep.equal([]);
  });
});

/** What the leader reads, ends, revives and buries is right beside any other transaction. */
export const LEADER_SCRIPTS = [...RULE_6, ...RULE_11, ...EXPIRES, ...RULE_13, ...RULE_18];
