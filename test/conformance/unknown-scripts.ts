import { expect } from 'chai';
import { changes, completed, facts, lease, leader, node, NODE, OTHER_NODE } from './hands.ts';
import { reader, registry, settled } from './hands.ts';
import { scripts } from './scripts.ts';

/** Committed, and nobody has heard of it: how it is found out (rules 1 and 3). */
export const UNKNOWN_SCRIPTS = scripts(
  (script) => {
    script('a completion is found by its number, and is not accepted again', async (hands) => {
      await hands.loseAnswer((lost) => node(lost).completeMany(completed(1, 1)));
      expect(await node(hands.one).completeMany(completed(1, 1))).to.deep.equal([]);
      expect((await node(hands.one).verifyMany([1], [1]))[0]).to.include({ settledAs: 1 });
      expect(await node(hands.one, OTHER_NODE).verifyMany([1], [1])).to.deep.equal([]);
    });

    for (const [settledAs, nextLeaseSeq] of [
      [2, 0],
      [5, 2],
      [6, 2],
    ] as const) {
      script(`an outcome ${String(settledAs)} is found by its number`, async (hands) => {
        await hands.loseAnswer((lost) => node(lost).settleMany(settled(1, 1, settledAs)));
        expect(await node(hands.one).settleMany(settled(1, 1, settledAs))).to.deep.equal([]);
        const [found] = await node(hands.one).verifyMany([1], [1]);
        expect(found).to.include({ seq: 1, settledAs, nextLeaseSeq });
      });
    }

    script('an outcome of a marked lease is found as CANCELLED', async (hands) => {
      await leader(hands.one).cancelMany([1]);
      await hands.loseAnswer((lost) => node(lost).settleMany(settled(1, 1, 5)));
      expect((await node(hands.one).verifyMany([1], [1]))[0]).to.include({ settledAs: 3 });
    });

    script('what was not committed is not found', async (hands) => {
      const third = await hands.open('third');
      await third.begin();
      await node(third).completeMany(completed(1, 1));
      await third.terminate();
      expect(await node(hands.one).verifyMany([1], [1])).to.deep.equal([]);
      expect(await node(hands.one).completeMany(completed(1, 1))).to.deep.equal([1]);
    });

    script('a lease is read again by the leader, and not written twice', async (hands) => {
      await hands.add([2]);
      await hands.loseAnswer((lost) => leader(lost).leaseMany([2], [0], [NODE]));
      expect((await leader(hands.one).leaseMany([2], [0], [NODE])).seqs).to.deep.equal([]);
      const { rows } = await reader(hands.one).reread([2]);
      expect([rows.leaseSeqs, rows.nodeIds]).to.deep.equal([[1], [NODE]]);
    });

    script('a take-back is done once', async (hands) => {
      await hands.loseAnswer((lost) => leader(lost).takeBackMany(NODE, [1], [1], 'lost'));
      const again = await leader(hands.one).takeBackMany(NODE, [1], [1], 'lost');
      expect(again.seqs).to.deep.equal([]);
      expect((await hands.how(1)).live).to.include({ lease: 2, losses: 1 });
    });

    script('a submit is found stored', async (hands) => {
      await hands.loseAnswer((lost) => hands.submit(lost, [{ id: 'x' }]), 'commit');
      expect(await hands.submit(hands.one, [{ id: 'x' }])).to.equal('exist');
      expect(await reader(hands.one).inbox(10)).to.have.length(1);
    });

    script('a patch is there, and is told', async (hands) => {
      await hands.add([2]);
      await hands.loseAnswer((lost) => changes(lost).tryPatch(2, { priority: 9 }));
      expect((await reader(hands.one).live([2])).priorities).to.deep.equal([9]);
      expect(await reader(hands.one).inbox(10)).to.have.length(1);
    });

    script('a renewal has happened', async (hands) => {
      const nodeId = await registry(hands.one).register(facts(1), -3_600_000);
      await hands.loseAnswer((lost) => registry(lost).renewMany([nodeId], 3_600_000));
      expect(await leader(hands.one).buryNode(nodeId, false, 0)).to.equal(false);
    });
  },
  async (hands) => {
    await hands.add([1]);
    await lease(hands, 1);
  },
);
