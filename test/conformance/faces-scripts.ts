import { expect } from 'chai';
import { changes, completed, lease, leader, node, NODE, reader, settled, types } from './hands.ts';
import type { Hands } from './hands.ts';
import { scripts } from './scripts.ts';

const inboxOf = async ({ aside }: Hands): Promise<readonly (readonly unknown[])[]> =>
  (await reader(aside).inbox(10)).map(({ kind, seqs }) => [kind, seqs]);

/** What users ask of stored tasks. */
const CHANGES = scripts(
  (script) => {
    script('a patch that waited for a lease that was rolled back goes through', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).leaseMany([1], [0], [NODE]);
      const { answer } = await hands.blocked(two, one, () =>
        changes(two).tryPatch(1, { priority: 3, payload: '"new"' }),
      );
      await one.rollback();
      expect(await answer).to.equal(true);
      expect((await hands.tables())['task']?.[0]?.slice(6, 8)).to.deep.equal([3, '"new"']);
      expect(await inboxOf(hands)).to.deep.equal([['patched', [1]]]);
    });

    script('a patch that waited for a cancel is refused', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).cancelMany([1]);
      const { answer } = await hands.blocked(two, one, () =>
        changes(two).tryPatch(1, { priority: 3 }),
      );
      await one.commit();
      expect(await answer).to.equal(false);
      expect(await inboxOf(hands)).to.deep.equal([]);
    });

    script('of two patches the later one has the last word, and both are told', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await changes(one).tryPatch(1, { priority: 3 });
      const { answer } = await hands.blocked(two, one, () =>
        changes(two).tryPatch(1, { payload: '"new"' }),
      );
      await one.commit();
      expect(await answer).to.equal(true);
      // What the first one wrote stays where the second one says nothing.
      expect((await hands.tables())['task']?.[0]?.slice(6, 8)).to.deep.equal([3, '"new"']);
      expect(await inboxOf(hands)).to.have.length(2);
    });

    script('a patch that waits for a skip finds nothing to change', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).skipMany([1]);
      const { answer } = await hands.blocked(two, one, () =>
        changes(two).tryPatch(1, { priority: 3 }),
      );
      await one.commit();
      expect(await answer).to.equal(false);
    });

    script('a skip that waited for a lease leaves the task alone', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).leaseMany([1], [0], [NODE]);
      const { answer } = await hands.blocked(two, one, () => leader(two).skipMany([1, 2]));
      await one.commit();
      expect(await answer).to.deep.equal({ seqs: [2], leaseSeqs: [0] });
      expect((await hands.how(1)).live).to.include({ lease: 1, node: NODE });
    });

    script('a cancel is asked for while the task is live, whoever holds it', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await lease(hands, 1);
      await node(one).completeMany(completed(1, 1));
      expect(await changes(two).tryCancel(1)).to.equal(true);
      expect(await changes(one).tryCancel(1)).to.equal(false);
      await one.commit();
      expect(await changes(two).tryCancel(1)).to.equal(false);
      expect(await inboxOf(hands)).to.deep.equal([['cancel', [1]]]);
    });

    script('a retry is asked for once the task has ended badly, and not before', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).skipMany([1]);
      expect(await changes(two).tryRetry(1)).to.equal(false);
      await one.commit();
      expect(await changes(two).tryRetry(1)).to.equal(true);
      await leader(one).reviveMany([1]);
      expect(await changes(two).tryRetry(1)).to.equal(false);
      expect(await inboxOf(hands)).to.deep.equal([['retry', [1]]]);
    });

    script('what is not committed is in no inbox', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await changes(one).tryCancel(1);
      await changes(two).tryCancel(2);
      expect(await inboxOf(hands)).to.deep.equal([['cancel', [2]]]);
      await leader(two).deleteInboxMany([1, 2]);
      await one.commit();
      // Numbered first, committed last: the deletion did not see it.
      expect(await inboxOf(hands)).to.deep.equal([['cancel', [1]]]);
    });

    script(
      'of what is in bulk the inbox shows the first, and a reader of it the rest',
      async (hands) => {
        for (const seq of [1, 2, 3]) await changes(hands.aside).tryCancel(seq);
        for (const inboxId of [3, 1]) await hands.markBulk(inboxId);
        const shown = (await reader(hands.one).inbox(10)).map((row) => [row.inboxId, row.isBulk]);
        expect(shown).to.deep.equal([
          [2, false],
          [1, true],
        ]);
        const idsAfter = async (afterId: number, limit: number): Promise<readonly number[]> =>
          (await reader(hands.one).bulk(afterId, limit)).flatMap(({ seqs }) => seqs);
        expect(await idsAfter(0, 10)).to.deep.equal([1, 3]);
        expect(await idsAfter(1, 10)).to.deep.equal([3]);
        expect(await idsAfter(0, 1)).to.deep.equal([1]);
      },
    );

    script('of two that delete the same row of the inbox one waits', async (hands) => {
      const { one, two } = hands;
      for (const seq of [1, 2, 3]) await changes(hands.aside).tryCancel(seq);
      const third = await hands.open('third');
      await third.begin();
      await leader(third).deleteInboxMany([2]);
      // In orders that differ, each would then hold what the other wants.
      const a = await hands.blocked(one, third, () => leader(one).deleteInboxMany([1, 2, 3]));
      const b = await hands.blocked(two, one, () => leader(two).deleteInboxMany([3, 2, 1]));
      await third.rollback();
      await a.answer;
      await b.answer;
      expect(await inboxOf(hands)).to.deep.equal([]);
    });
  },
  (hands) => hands.add([1, 2, 3]),
);

const SUBMITS = scripts((script) => {
  const submitted = async (hands: Hands): Promise<readonly unknown[]> =>
    (await hands.tables())['task']?.map(([, id]) => id) ?? [];

  script('a submit stores tasks, their live side and one row for the leader', async (hands) => {
    await hands.submit(hands.one, [{ id: 'b', dependencies: ['a'] }, { id: 'a' }]);
    const { task, live, inbox } = await hands.tables();
    expect(task?.map((row) => [row[0], row[1]])).to.deep.equal([
      [1, 'b'],
      [2, 'a'],
    ]);
    expect(live?.map((row) => [row[0], row[9]])).to.deep.equal([
      [1, [2]],
      [2, []],
    ]);
    expect(inbox).to.deep.equal([[1, 'submitted', 1, 2, []]]);
  });

  script('of two submits of one id the one that waited finds it taken', async (hands) => {
    const { one, two } = hands;
    await one.begin();
    expect(await hands.submit(one, [{ id: 'x' }])).to.equal('stored');
    const { answer } = await hands.blocked(two, one, () =>
      hands.submit(two, [{ id: 'w' }, { id: 'x' }]),
    );
    await one.commit();
    expect(await answer).to.equal('exist');
    expect(await submitted(hands)).to.deep.equal(['x']);
  });

  script('a submit that waited for one that was rolled back is stored', async (hands) => {
    const { one, two } = hands;
    await one.begin();
    await hands.submit(one, [{ id: 'x' }]);
    const { answer } = await hands.blocked(two, one, () =>
      hands.submit(two, [{ id: 'w' }, { id: 'x' }]),
    );
    await one.rollback();
    expect(await answer).to.equal('stored');
    expect(await submitted(hands)).to.have.members(['w', 'x']);
  });

  script('submits go in by order of id, and so do not meet in a circle', async (hands) => {
    const { one, two } = hands;
    const third = await hands.open('third');
    await third.begin();
    await hands.submit(third, [{ id: 'b' }]);
    const abc = [{ id: 'a' }, { id: 'b' }, { id: 'c' }];
    const a = await hands.blocked(one, third, () => hands.submit(one, abc));
    const b = await hands.blocked(two, one, () => hands.submit(two, abc.toReversed()));
    await third.rollback();
    expect([await a.answer, await b.answer]).to.deep.equal(['stored', 'exist']);
  });

  script('a submit of an id whose task is being settled waits for that', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await lease(hands, 1);
    await one.begin();
    await node(one).completeMany(completed(1, 1));
    const { answer } = await hands.blocked(two, one, () => hands.submit(two, [{ id: 't1' }]));
    await one.rollback();
    expect(await answer).to.equal('exist');
  });

  script('a dependency that is missing is refused, and nothing stays', async (hands) => {
    const tasks = [{ id: 'x', dependencies: ['none'] }];
    expect(await hands.submit(hands.one, tasks)).to.equal('missing');
    await hands.one.begin();
    await hands.submit(hands.one, [{ id: 'none' }]);
    expect(await hands.submit(hands.two, tasks)).to.equal('missing');
    await hands.one.commit();
    expect(await submitted(hands)).to.deep.equal(['none']);
    expect(await hands.submit(hands.two, tasks)).to.equal('stored');
  });

  script('rule 15: a removal waits for a submit that depends on the task', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await one.begin();
    await hands.submit(one, [{ id: 'child', dependencies: ['t1'] }]);
    const { answer } = await hands.blocked(two, one, () => hands.removeTask(two, 1));
    await one.commit();
    expect(await answer).to.equal(1);
  });

  // Fails where the lock is asked for, and not what it found.
  script('rule 15: a submit that waited for a removal finds its dependency gone', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    const child = [{ id: 'child', dependencies: ['t1'] }];
    await one.begin();
    expect(await hands.removeTask(one, 1)).to.equal(1);
    const { answer } = await hands.blocked(two, one, () => hands.submit(two, child));
    await one.commit();
    expect(await answer).to.equal('missing');
    expect(await submitted(hands)).to.deep.equal([]);
  });

  script('rule 15: a submit that waited for a removal that was rolled back', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await one.begin();
    await hands.removeTask(one, 1);
    const { answer } = await hands.blocked(two, one, () =>
      hands.submit(two, [{ id: 'child', dependencies: ['t1'] }]),
    );
    await one.rollback();
    expect(await answer).to.equal('stored');
  });

  script('rule 15: a dependency ends and is revived under a submit, unhindered', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await lease(hands, 1);
    await one.begin();
    await hands.submit(one, [{ id: 'child', dependencies: ['t1'] }]);
    await node(two).settleMany(settled(1, 1, 2));
    expect(await leader(two).reviveMany([1])).to.deep.equal([1]);
    await one.commit();
  });

  script('rule 11: dependencies are locked by their number', async (hands) => {
    const { one, two } = hands;
    await hands.submit(one, [{ id: 'z' }]);
    await hands.submit(one, [{ id: 'a' }]);
    await one.begin();
    await hands.removeTask(one, 1);
    const third = await hands.open('third');
    const { answer } = await hands.blocked(two, one, () =>
      hands.submit(two, [{ id: 'child', dependencies: ['a', 'z'] }]),
    );
    // It waits for the first with empty hands.
    expect(await hands.removeTask(third, 2)).to.equal(1);
    await one.rollback();
    expect(await answer).to.equal('missing');
  });

  script('a number that was drawn first may become visible last', async (hands) => {
    const { one, two, aside } = hands;
    await one.begin();
    await hands.submit(one, [{ id: 'slow' }]);
    await hands.submit(two, [{ id: 'fast' }]);
    expect((await reader(aside).inbox(10)).map((row) => row.firstSeq)).to.deep.equal([2]);
    await one.commit();
    expect((await reader(aside).inbox(10)).map((row) => row.firstSeq)).to.deep.equal([1, 2]);
  });
});

/** What users say about types. */
const GATES = scripts((script) => {
  script('of two gates of a type the later one has the last word, and both are told', async (h) => {
    const { one, two } = h;
    await h.submit(one, [{ id: 'x', type: 'work' }]);
    await one.begin();
    await types(one).setGate('work', { paused: true, maxRunning: 3 });
    const { answer } = await h.blocked(two, one, () =>
      types(two).setGate('work', { maxRunning: 4 }),
    );
    await one.commit();
    await answer;
    const [[typeId]] = (await h.tables())['type']?.slice(-1) as [[number]];
    expect(await reader(one).gatedTypes()).to.deep.equal({
      ...{ pausedIds: [typeId], limitedIds: [typeId], limits: [4] },
    });
    expect((await inboxOf(h)).filter((row) => row[0] === 'types')).to.have.length(2);
    await types(one).setGate('work', { paused: false, maxRunning: null });
    const free = { pausedIds: [], limitedIds: [], limits: [] };
    expect(await reader(one).gatedTypes()).to.deep.equal(free);
  });

  script('a type is held back before anybody has heard of it', async (hands) => {
    const { one, two } = hands;
    await one.begin();
    await types(one).setGate('later', { paused: true });
    expect((await reader(two).gatedTypes()).pausedIds).to.deep.equal([]);
    await one.commit();
    expect((await reader(two).gatedTypes()).pausedIds).to.have.length(1);
    expect((await hands.tables())['type']?.at(-1)).to.include.members(['later', true]);
  });
});

/** What users do, through the store's own classes. */
export const FACES_SCRIPTS = [...CHANGES, ...SUBMITS, ...GATES];
