import { expect } from 'chai';
import { GraphReader } from '../../node/store/graph-reader.ts';
import { NodeRegistry } from '../../node/store/node-registry.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { completed, NODE, settled, startHands } from './statements-setup.ts';
import type { Hands, HandSession } from './statements-setup.ts';

/**
 * Goal: what the leader reads, ends, revives and buries is right beside any other transaction.
 * Method: sessions interleaved by hand (statements-setup.ts).
 */
describe('statements of the leader between two sessions', () => {
  let hands: Hands;
  beforeEach(async () => {
    hands = await startHands();
  });
  afterEach(async () => {
    await hands.close();
  });

  describe('rule 6', () => {
    const resolve = async (seq: number, hand = hands.two): Promise<number | undefined> =>
      (await new GraphReader(hand).resolve([seq])).codes[0];

    // Fails where the answer for a task in neither table is not COMPLETED.
    it('rule 6: a parent is live until its settle commits, and ended from then on', async () => {
      await hands.add([1, 2]);
      await hands.lease(1, 2);
      await hands.one.begin();
      await hands.node(hands.one).completeMany(completed(1, 1));
      await hands.node(hands.one).settleMany(settled(2, 1, 2));
      expect([await resolve(1), await resolve(2)]).to.deep.equal([0, 0]);
      await hands.one.commit();
      expect([await resolve(1), await resolve(2)]).to.deep.equal([1, 2]);
    });

    // Fails where not_completed and live are read by two statements, one after the other.
    for (const table of ['live', 'not_completed']) {
      it(`rule 6: a failure that commits while ${table} is read is no COMPLETED`, async () => {
        await hands.add([1, 2, 3]);
        await hands.lease(2, 3);
        await hands.node(hands.one).settleMany(settled(2, 1, 2));
        await holdReadsOf(table);
        const reader = await hands.open('held');
        await hands.aside.sql('select pg_advisory_lock(1)');
        // The first two are read before the third: one of them holds the statement up.
        const { answer } = await hands.blocked(reader, hands.aside, () =>
          new GraphReader(reader).resolve([1, 2, 3]),
        );
        await hands.node(hands.one).settleMany(settled(3, 1, 2));
        await hands.aside.sql('select pg_advisory_unlock(1)');
        expect((await answer).codes).to.deep.equal([0, 2, 0]);
        expect(await resolve(3)).to.equal(2);
      });
    }

    /** A view in the place of the table, whose rows wait for a lock where that session reads them. */
    const holdReadsOf = (table: string) =>
      hands.aside.sql(`
        create function skein.hold() returns boolean language plpgsql volatile as $$
        begin
          if current_setting('application_name') = 'held' then
            perform pg_advisory_lock(1);
            perform pg_advisory_unlock(1);
          end if;
          return true;
        end $$;
        alter table skein.${table} rename to held;
        create view skein.${table} as select * from skein.held where skein.hold()`);
  });

  describe('rule 11', () => {
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
      cancelMany: (hand, seqs) => hands.leader(hand).cancelMany(seqs),
      takeBackMany: (hand, seqs) => hands.leader(hand).takeBackMany(NODE, seqs, ones(seqs), 'lost'),
      markStarted: (hand, seqs) => hands.node(hand).markStarted(seqs, ones(seqs), zeros(seqs)),
      completeMany: (hand, seqs) =>
        hands.node(hand).completeMany({ ...done(seqs), results: seqs.map(() => 'null') }),
      settleMany: (hand, seqs) =>
        hands.node(hand).settleMany({
          ...done(seqs),
          settledAs: seqs.map(() => 2),
          delayMs: zeros(seqs),
          errors: seqs.map(() => null),
        }),
    };
    const UNHELD: Readonly<Record<string, Run>> = {
      cancelMany: (hand, seqs) => hands.leader(hand).cancelMany(seqs),
      skipMany: (hand, seqs) => hands.leader(hand).skipMany(seqs),
    };

    /** The middle row is held; in orders that differ, each would then hold what the other wants. */
    const cross = async (first: Run, second: Run): Promise<void> => {
      const third = await hands.open('third');
      await third.begin();
      await third.sql('select 1 from skein.live where seq = 2 for update');
      const a = await hands.blocked(hands.one, third, () => first(hands.one, [1, 2, 3]));
      const b = await hands.blocked(hands.two, hands.one, () => second(hands.two, [3, 2, 1]));
      await third.commit();
      await a.answer;
      await b.answer;
    };

    // Each fails where its statement takes its locks in the order given, or downwards.
    for (const [name, run] of Object.entries(HELD)) {
      it(`rule 11: ${name} takes held rows by their number, in whatever order given`, async () => {
        await hands.add([1, 2, 3]);
        await hands.lease(1, 2, 3);
        await cross(HELD['cancelMany'] as Run, run);
      });
    }
    for (const [name, run] of Object.entries(UNHELD)) {
      it(`rule 11: ${name} takes unheld rows by their number, in whatever order given`, async () => {
        await hands.add([1, 2, 3]);
        await cross(UNHELD['cancelMany'] as Run, run);
      });
    }

    // Fails where the skip passes over what is locked.
    it('rule 11: chunk by chunk, a skip waits for one patch and then ends its row too', async () => {
      const all = Array.from({ length: 2500 }, (_, i) => i + 1);
      await hands.add(all);
      await hands.one.begin();
      await new TaskChanges(hands.one.asSession()).tryPatch(1500, { priority: 1 });
      const leader = hands.leader(hands.two);
      expect((await leader.skipMany(all.slice(0, 1000))).seqs).to.have.length(1000);
      const second = await hands.blocked(hands.two, hands.one, () =>
        leader.skipMany(all.slice(1000, 2000).reverse()),
      );
      await hands.one.commit();
      expect((await second.answer).seqs).to.have.length(1000);
      expect((await leader.skipMany(all.slice(2000))).seqs).to.have.length(500);
      expect(await hands.aside.sql('select 1 from skein.live')).to.deep.equal([]);
      expect(await hands.how(1500)).to.deep.include({ listed: 4 });
    });
  });

  describe('rule 13', () => {
    beforeEach(async () => {
      await hands.add([1]);
      await hands.add([2], [1]);
      await hands.add([3], [2]);
      await hands.add([4]);
      await hands.lease(1);
      await hands.node(hands.one).settleMany(settled(1, 1, 2));
      await hands.leader(hands.one).skipMany([2, 3, 4]);
    });
    const below = async (): Promise<readonly number[]> => {
      const reader = new GraphReader(hands.two);
      return reader.skippedBelow([1], await reader.firstEndMs([1]));
    };

    // Fails where the revived rows have no dependencies, or the number of their last lease.
    it('rule 13: a retry brings back what was SKIPPED below it, and nothing else', async () => {
      const seqs = await below();
      expect(seqs).to.deep.equal([1, 2, 3]);
      expect(await hands.leader(hands.two).reviveMany(seqs)).to.deep.equal([1, 2, 3]);
      const rows = await new GraphReader(hands.two).live([1, 2, 3, 4]);
      const order = rows.seqs.map((seq, at) => [seq, rows.leaseSeqs[at], rows.deps[at]]);
      expect(order.sort()).to.deep.equal([
        [1, 2, []],
        [2, 1, [1]],
        [3, 1, [2]],
      ]);
      for (const seq of seqs) expect(await hands.how(seq)).to.deep.include({ listed: null });
      expect((await hands.how(4)).listed).to.equal(4);
    });

    // Fails where the revive takes whatever has ended.
    it('rule 13: a task that was retried before and has COMPLETED since stays so', async () => {
      const leader = hands.leader(hands.two);
      await leader.reviveMany([1]);
      await leader.leaseMany([1], [2], [NODE]);
      expect(await hands.node(hands.one).completeMany(completed(1, 3))).to.deep.equal([1]);
      expect(await leader.reviveMany([1])).to.deep.equal([]);
      expect((await hands.how(1)).live).to.equal(null);
    });

    // Fails where the revive does not ask how the task ended.
    it('rule 13: of two revives of the same tasks one brings them back', async () => {
      const seqs = await below();
      await hands.one.begin();
      await hands.leader(hands.one).reviveMany(seqs);
      const { answer } = await hands.blocked(hands.two, hands.one, () =>
        hands.leader(hands.two).reviveMany([...seqs].reverse()),
      );
      await hands.one.commit();
      expect(await answer).to.deep.equal([]);
      expect((await hands.how(1)).live).to.include({ lease: 2 });
    });
  });

  describe('rule 18', () => {
    const GUARD_MS = 30_000;
    const FACTS = {
      incarnation: '00000000-0000-4000-8000-000000000001',
      name: 'node-1',
      bootId: 'boot',
      pidNamespace: 'pid:[1]',
      pid: 1,
      pidStarted: '1',
      httpUrl: 'http://127.0.0.1:1',
      grpcAddress: '127.0.0.1:1',
      slots: 1,
      types: [],
      simulates: true,
      version: '0',
    };
    const register = (leaseMs: number) => new NodeRegistry(hands.aside).register(FACTS, leaseMs);
    const bury = (nodeId: number, isProven = false) =>
      hands.leader(hands.two).buryNode(nodeId, isProven, GUARD_MS);

    // Fails where the guard is not added.
    it('rule 18: a node is buried when its lease and the guard are over', async () => {
      const nodeId = await register(-GUARD_MS / 2);
      expect(await bury(nodeId)).to.equal(false);
      await hands.aside.sql(`update skein.node set lease_until = lease_until - interval '15 s'`);
      expect(await bury(nodeId)).to.equal(true);
      expect(await bury(nodeId)).to.equal(false);
    });

    it('rule 18: a proven death waits for nothing', async () => {
      expect(await bury(await register(60_000), true)).to.equal(true);
    });

    // Fails where the burial does not look at the lease again after it waited.
    it('rule 18: a burial that waited for a renewal does not come about', async () => {
      const nodeId = await register(-2 * GUARD_MS);
      await hands.one.begin();
      await new NodeRegistry(hands.one).renewMany([nodeId], 5000);
      const { answer } = await hands.blocked(hands.two, hands.one, () => bury(nodeId));
      await hands.one.commit();
      expect(await answer).to.equal(false);
    });

    // Fails where the renewal does not ask for the state.
    it('rule 18: a renewal that waited for a burial renews nothing', async () => {
      const nodeId = await register(-2 * GUARD_MS);
      await hands.two.begin();
      expect(await bury(nodeId)).to.equal(true);
      const { answer } = await hands.blocked(hands.one, hands.two, () =>
        new NodeRegistry(hands.one).renewMany([nodeId], 5000),
      );
      await hands.two.commit();
      expect(await answer).to.deep.equal([]);
      expect(await new NodeRegistry(hands.one).renewMany([nodeId], 5000)).to.deep.equal([]);
    });
  });
});
