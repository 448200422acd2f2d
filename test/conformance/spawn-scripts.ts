import { expect } from 'chai';
import { completed, lease, leader, NODE, node } from './hands.ts';
import type { Hands } from './hands.ts';
import { scripts } from './scripts.ts';

const AB = [{ id: 't1/a' }, { id: 't1/b', dependencies: ['t1/a', 't1'] }];

const added = async (hands: Hands): Promise<readonly unknown[]> =>
  (await hands.tables())['task']?.map((row) => [row[1], row.at(-1)]) ?? [];
const inbox = async (hands: Hands): Promise<number> => (await hands.tables())['inbox']?.length ?? 0;

/** Tasks that task 1 adds under its lease 1: node/store/spawned-batch.ts. */
export const SPAWN_SCRIPTS = scripts(
  (script) => {
    script(
      'what a task adds is stored with it as the parent, and told by one row',
      async (hands) => {
        expect(await hands.spawn(hands.one, 1, AB)).to.equal('stored');
        expect(await added(hands)).to.deep.equal([
          ['t1', 0],
          ['t1/a', 1],
          ['t1/b', 1],
        ]);
        expect((await hands.tables())['live']?.map((row) => row[9])).to.deep.equal([
          [],
          [],
          [2, 1],
        ]);
        expect((await hands.tables())['inbox']).to.deep.equal([[1, 'submitted', 2, 3, []]]);
      },
    );

    script('what was added before is left as it is, and only the rest is added', async (hands) => {
      await hands.spawn(hands.one, 1, AB.slice(0, 1));
      expect(await hands.spawn(hands.one, 1, AB)).to.equal('stored');
      expect(await hands.spawn(hands.two, 1, AB)).to.equal('stored');
      expect((await added(hands)).length).to.equal(3);
      expect(await inbox(hands)).to.equal(2);
    });

    script('nothing is added without the lease, whatever took it', async (hands) => {
      const { one, two } = hands;
      await hands.alter(1, { cancel: true });
      expect(await hands.spawn(one, 1, AB)).to.equal('lease_lost');
      await hands.alter(1, { cancel: false });
      await leader(two).takeBackMany(NODE, [1], [1], 'lost');
      expect(await hands.spawn(one, 1, AB)).to.equal('lease_lost');
      expect(await added(hands)).to.deep.equal([['t1', 0]]);
      expect(await inbox(hands)).to.equal(0);
    });

    script('who adds waits for a reclaim under way, and then adds nothing', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).takeBackMany(NODE, [1], [1], 'lost');
      const { answer } = await hands.blocked(two, one, () => hands.spawn(two, 1, AB));
      await one.commit();
      expect(await answer).to.equal('lease_lost');
      expect(await added(hands)).to.deep.equal([['t1', 0]]);
    });

    script('who adds waits for a reclaim, and goes on when that is rolled back', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await leader(one).takeBackMany(NODE, [1], [1], 'lost');
      const { answer } = await hands.blocked(two, one, () => hands.spawn(two, 1, AB));
      await one.rollback();
      expect(await answer).to.equal('stored');
    });

    script('a reclaim waits for who adds, and finds the tasks there', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      expect(await hands.spawn(one, 1, AB)).to.equal('stored');
      const { answer } = await hands.blocked(two, one, () =>
        leader(two).takeBackMany(NODE, [1], [1], 'lost'),
      );
      await one.commit();
      expect((await answer).seqs).to.deep.equal([1]);
      expect((await added(hands)).length).to.equal(3);
    });

    script('of two that add the same the later one finds it added', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await hands.spawn(one, 1, AB);
      const { answer } = await hands.blocked(two, one, () => hands.spawn(two, 1, AB));
      await one.commit();
      expect(await answer).to.equal('stored');
      expect((await added(hands)).length).to.equal(3);
      expect(await inbox(hands)).to.equal(1);
    });

    script(
      'an id that another has is refused, a dependency that is not there too',
      async (hands) => {
        const { one } = hands;
        await hands.submit(one, [{ id: 't1/a' }]);
        expect(await hands.spawn(one, 1, AB)).to.equal('exist');
        const lonely = [{ id: 't1/c', dependencies: ['none'] }];
        expect(await hands.spawn(one, 1, lonely)).to.equal('missing');
        expect((await added(hands)).length).to.equal(2);
      },
    );

    script('a parent that has completed adds nothing more', async (hands) => {
      const { one, two } = hands;
      await one.begin();
      await node(one).completeMany(completed(1, 1));
      const { answer } = await hands.blocked(two, one, () => hands.spawn(two, 1, AB));
      await one.commit();
      expect(await answer).to.equal('lease_lost');
    });
  },
  async (hands) => {
    await hands.add([1]);
    await lease(hands, 1);
  },
);
