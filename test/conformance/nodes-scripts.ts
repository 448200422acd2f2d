import { BUILT_IN_TYPES } from '../../node/core/handler.ts';
import { expect } from 'chai';
import { changes, completed, facts, lease, leader, node, NODE, OTHER_NODE } from './hands.ts';
import { reader, refusal, registry, settled } from './hands.ts';
import type { Hands, HandSession } from './hands.ts';
import { scripts } from './scripts.ts';

/** Beside the built-in types, which are handled wherever a node has registered. */
async function handledBy(hand: HandSession): Promise<readonly string[]> {
  const handled = await reader(hand).handledTypes();
  return [...handled.keys()].filter((name) => !BUILT_IN_TYPES.includes(name));
}

const NODES = scripts((script) => {
  const HOUR_MS = 3_600_000;
  const register = (hand: HandSession, types: readonly string[] = [], leaseMs = HOUR_MS) =>
    registry(hand).register(facts(1, types), leaseMs);
  const bury = ({ two }: Hands, nodeId: number) => leader(two).buryNode(nodeId, true, 0);

  script('a node is there once its row is committed', async (hands) => {
    await hands.one.begin();
    const nodeId = await register(hands.one);
    expect(await reader(hands.two).nodes([])).to.deep.equal([]);
    expect(await registry(hands.two).renewMany([nodeId], HOUR_MS)).to.deep.equal([]);
    await hands.one.commit();
    const [row] = await reader(hands.two).nodes([]);
    expect(row).to.deep.include({ nodeId, name: 'node-1', state: 'alive', isExpired: false });
    expect(row).to.deep.include({ pid: 1, pidStarted: '1', bootId: 'boot', processGroups: [] });
  });

  script('the dead are read where they are asked for', async (hands) => {
    const nodeId = await register(hands.one, [], -HOUR_MS);
    expect(await reader(hands.one).nodes([])).to.deep.include.members([
      (await reader(hands.two).nodes([nodeId]))[0],
    ]);
    await bury(hands, nodeId);
    expect(await reader(hands.one).nodes([])).to.deep.equal([]);
    const [row] = await reader(hands.one).nodes([nodeId]);
    expect(row).to.deep.include({ state: 'dead', isExpired: true });
  });

  script('a change of state that waited for a burial is refused', async (hands) => {
    const { one, two } = hands;
    const nodeId = await register(one);
    await two.begin();
    expect(await bury(hands, nodeId)).to.equal(true);
    const { answer } = await hands.blocked(one, two, () =>
      registry(one).setState(nodeId, 'draining'),
    );
    await two.commit();
    expect(await answer).to.equal(false);
  });

  script('a burial that waited for a node to leave finds none', async (hands) => {
    const { one, two } = hands;
    const nodeId = await register(one);
    await one.begin();
    expect(await registry(one).setState(nodeId, 'left')).to.equal(true);
    const { answer } = await hands.blocked(two, one, () => bury(hands, nodeId));
    await one.commit();
    expect(await answer).to.equal(false);
    expect(await registry(one).renewMany([nodeId], HOUR_MS)).to.deep.equal([]);
  });

  script('a node that drains is renewed and buried as any other', async (hands) => {
    const nodeId = await register(hands.one);
    await registry(hands.one).setState(nodeId, 'draining');
    expect(await registry(hands.one).renewMany([nodeId, 99], HOUR_MS)).to.have.length(1);
    expect(await bury(hands, nodeId)).to.equal(true);
  });

  script('process groups are written down beside a renewal, also of the dead', async (hands) => {
    const { one, two } = hands;
    const nodeId = await register(one);
    await two.begin();
    await registry(two).renewMany([nodeId], -HOUR_MS);
    const { answer } = await hands.blocked(one, two, () =>
      registry(one).setProcessGroups(nodeId, [41, 42]),
    );
    await two.commit();
    await answer;
    await bury(hands, nodeId);
    await registry(one).setProcessGroups(nodeId, [43]);
    const [row] = await reader(one).nodes([nodeId]);
    expect(row).to.deep.include({ isExpired: true, state: 'dead', processGroups: [43] });
  });

  // In orders that differ, each would then hold what the other wants.
  script('renewals take the nodes by their number, in whatever order given', async (hands) => {
    const { one, two } = hands;
    for (const number of [1, 2, 3]) await registry(one).register(facts(number), HOUR_MS);
    const third = await hands.open('third');
    await third.begin();
    await registry(third).renewMany([2], HOUR_MS);
    const a = await hands.blocked(one, third, () => registry(one).renewMany([1, 2, 3], HOUR_MS));
    const b = await hands.blocked(two, one, () => registry(two).renewMany([3, 2, 1], HOUR_MS));
    await third.commit();
    expect([(await a.answer).length, (await b.answer).length]).to.deep.equal([3, 3]);
  });

  script('a type is handled once a node that handles it has registered', async (hands) => {
    await hands.submit(hands.one, [{ id: 'x', type: 'work' }]);
    expect(await handledBy(hands.one)).to.deep.equal([]);
    await hands.one.begin();
    await register(hands.one, ['work', 'other']);
    const second = registry(hands.two).register(facts(2, ['other', 'work']), HOUR_MS);
    const { answer } = await hands.blocked(hands.two, hands.one, () => second);
    await hands.one.commit();
    await answer;
    expect(await handledBy(hands.one)).to.have.members(['work', 'other']);
    const [work] = await node(hands.one).work([1]);
    expect(work).to.include({ type: 'work', isTypeHandled: true });
  });

  script('a type whose node did not register is not handled', async (hands) => {
    const { one, two } = hands;
    await one.begin();
    await register(one, ['work']);
    const { answer } = await hands.blocked(two, one, () =>
      registry(two).register(facts(2, ['other', 'work']), HOUR_MS),
    );
    await one.rollback();
    await answer;
    expect(await handledBy(one)).to.have.members(['other', 'work']);
  });

  // Fails where a conflict is looked for among the rows of the snapshot alone.
  script('a type that is stored while its node waits becomes handled', async (hands) => {
    const { one, two } = hands;
    await one.begin();
    await register(one, ['a']);
    const { answer } = await hands.blocked(two, one, () =>
      registry(two).register(facts(2, ['a', 'b']), HOUR_MS),
    );
    await hands.submit(hands.aside, [{ id: 'x', type: 'b' }]);
    await one.commit();
    await answer;
    expect(await handledBy(one)).to.have.members(['a', 'b']);
  });

  script('an incarnation registers once', async (hands) => {
    await register(hands.one);
    expect(await refusal(register(hands.two))).to.include({ code: '23505' });
  });
});

const READS = scripts((script) => {
  script('a statement sees what was committed before it, and its own', async (hands) => {
    const { one, two } = hands;
    await hands.add([1, 2]);
    await one.begin();
    expect((await reader(one).liveAfter(0, 10, 10)).nodeIds).to.deep.equal([0, 0]);
    await leader(two).leaseMany([1], [0], [NODE]);
    expect((await reader(one).liveAfter(0, 10, 10)).nodeIds).to.deep.equal([NODE, 0]);
    await leader(one).leaseMany([2], [0], [OTHER_NODE]);
    expect((await reader(one).liveAfter(0, 10, 10)).nodeIds).to.deep.equal([NODE, OTHER_NODE]);
    expect((await reader(two).liveAfter(0, 10, 10)).nodeIds).to.deep.equal([NODE, 0]);
    await one.rollback();
    expect((await reader(two).live([2])).nodeIds).to.deep.equal([0]);
  });

  script('pages are of a range, by number', async (hands) => {
    await hands.add([1, 2, 3, 4, 5]);
    expect((await reader(hands.one).liveAfter(1, 4, 2)).seqs).to.deep.equal([2, 3]);
    expect((await reader(hands.one).liveAfter(3, 4, 2)).seqs).to.deep.equal([4]);
    expect((await reader(hands.one).liveAfter(5, 9, 2)).seqs).to.deep.equal([]);
  });

  // The model leaves out which types the nodes handle: in the simulation each handles all.
  script('what looks ready is unheld, due, and has no live parent', async (hands) => {
    const { one, two } = hands;
    const ready = async () => {
      const { rows, lastSeq } = await reader(two).liveReadyAfter(0, 10, 10);
      return [[...rows.seqs].sort(), lastSeq];
    };
    expect(await ready()).to.deep.equal([[], 0]);
    await registry(one).register(facts(1, ['noop']), 60_000);
    await hands.add([1, 2, 3, 4]);
    await hands.add([5, 6], [1]);
    await hands.alter(3, { runInMs: 3_600_000 });
    await hands.alter(4, { cancel: true });
    await lease(hands, 1);
    expect(await ready()).to.deep.equal([[2], 6]);
    await one.begin();
    await node(one).completeMany(completed(1, 1));
    expect(await ready()).to.deep.equal([[2], 6]);
    await one.commit();
    expect(await ready()).to.deep.equal([[2, 5, 6], 6]);
    const few = await reader(two).liveReadyAfter(2, 2, 10);
    expect([few.rows.seqs, few.lastSeq]).to.deep.equal([[], 4]);
    expect((await reader(two).liveReadyAfter(2, 10, 1)).rows.seqs).to.have.length(1);
  });

  script('a task is among the live or among the ended, at every instant', async (hands) => {
    const { one, two } = hands;
    await hands.add([1, 2]);
    await lease(hands, 1, 2);
    await one.begin();
    await node(one).completeMany(completed(1, 1));
    await node(one).settleMany(settled(2, 1, 2));
    expect((await reader(two).reread([1, 2])).rows.seqs).to.have.members([1, 2]);
    await one.commit();
    const { rows, endedSeqs, endedCodes } = await reader(two).reread([1, 2, 3]);
    expect(rows.seqs).to.deep.equal([]);
    expect([...endedSeqs].map((seq, at) => [seq, endedCodes[at]]).sort()).to.deep.equal([
      [1, 1],
      [2, 2],
    ]);
  });

  script('the first end is that of the ended, and none where one has not', async (hands) => {
    const { one } = hands;
    await hands.add([1, 2, 3]);
    await lease(hands, 1);
    const beforeMs = await reader(one).clockMs();
    await node(one).settleMany(settled(1, 1, 2));
    await leader(one).skipMany([2]);
    expect(await reader(one).firstEndMs([1, 3])).to.equal(0);
    const firstMs = await reader(one).firstEndMs([2, 1]);
    expect(firstMs).to.be.within(Math.floor(beforeMs), await reader(one).clockMs());
    expect((await hands.times(1)).finishedAtMs).to.be.closeTo(firstMs, 0.01);
  });

  script('the deaths of a task are those of its own child process', async (hands) => {
    const { one } = hands;
    await hands.add([1, 2]);
    for (const [leaseSeq, code] of [
      [1, 'process_died'],
      [3, 'thrown'],
      [5, 'process_died'],
    ] as const) {
      await leader(one).leaseMany([1], [leaseSeq - 1], [NODE]);
      const failed = settled(1, leaseSeq, 5);
      await node(one).settleMany({ ...failed, errors: [`{"code":"${code}"}`] });
      // The next lease is under the number that the settle has left.
      await hands.alter(1, { leaseSeq: leaseSeq + 1 });
    }
    expect(await node(one).deaths(1)).to.equal(2);
    expect(await node(one).deaths(2)).to.equal(0);
  });

  script('a start is marked once, by the holder of the lease', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await lease(hands, 1);
    await node(one, OTHER_NODE).markStarted([1], [1], [0]);
    await node(one).markStarted([1], [2], [0]);
    expect((await hands.times(1)).liveStartedAtMs).to.equal(null);
    await one.begin();
    await node(one).markStarted([1], [1], [0]);
    const { answer } = await hands.blocked(two, one, () =>
      node(two).markStarted([1], [1], [-5000]),
    );
    await one.commit();
    await answer;
    const { liveStartedAtMs } = await hands.times(1);
    expect(liveStartedAtMs).to.be.below((await reader(one).clockMs()) + 1);
  });

  script('a start that waited for a take-back is not written down', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await lease(hands, 1);
    await two.begin();
    await leader(two).takeBackMany(NODE, [1], [1], 'lost');
    const { answer } = await hands.blocked(one, two, () => node(one).markStarted([1], [1], [0]));
    await two.commit();
    await answer;
    expect((await hands.times(1)).liveStartedAtMs).to.equal(null);
  });
});

const TRANSACTIONS = scripts((script) => {
  script('what a session had not committed when it ended is gone', async (hands) => {
    const { one, two } = hands;
    await hands.add([1]);
    await lease(hands, 1);
    await one.begin();
    await node(one).completeMany(completed(1, 1));
    const { answer } = await hands.blocked(two, one, () =>
      leader(two).takeBackMany(NODE, [1], [1], 'lost'),
    );
    await one.terminate();
    expect((await answer).seqs).to.deep.equal([1]);
  });

  script('a statement that waits ends with its session, and locks nothing', async (hands) => {
    const { one, two } = hands;
    await hands.add([1, 2]);
    await one.begin();
    await leader(one).cancelMany([2]);
    const { answer } = await hands.blocked(two, one, () => leader(two).cancelMany([1, 2]));
    const end = refusal(answer);
    await two.terminate();
    expect(await end).to.be.instanceOf(Error);
    expect(await changes(hands.aside).tryPatch(1, { priority: 1 })).to.equal(true);
    await one.commit();
  });

  script('after an error nothing is done until the transaction has ended', async (hands) => {
    const { one, two } = hands;
    await hands.add([1, 2]);
    await registry(one).register(facts(1), 1000);
    await one.begin();
    await leader(one).leaseMany([1], [0], [NODE]);
    expect(await refusal(registry(one).register(facts(1), 1000))).to.include({ code: '23505' });
    expect(await refusal(leader(one).leaseMany([2], [0], [NODE]))).to.include({ code: '25P02' });
    // Its locks are free already.
    expect(await changes(two).tryPatch(1, { priority: 1 })).to.equal(true);
    await one.commit();
    expect((await leader(one).leaseMany([1, 2], [0, 0], [NODE, NODE])).seqs).to.have.length(2);
  });
});

/** Nodes and their leases, what is read, and what a transaction is. */
export const NODES_SCRIPTS = [...NODES, ...READS, ...TRANSACTIONS];
