import { expect } from 'chai';
import type { Effect, SchedulerEvent } from '../../node/core/events.ts';
import type { Follow, News } from '../../node/core/messages.ts';
import { Herald } from '../../node/leader/herald.ts';
import { FakeClock } from '../support/fake-clock.ts';

// Goal: a node at which people watch hears soon, and in bounded messages, of the tasks that it asked for.
// Method: the herald alone; the test is the scheduler and the stream.
const follow = (seqs: readonly number[], more: Partial<Follow> = {}): Follow => ({
  ...{ isOn: true, isAnew: false, seqs, dropped: [] },
  ...more,
});
const ended = (...seqs: number[]): Effect => ({
  kind: 'tell-ended',
  seqs,
  codes: seqs.map(() => 1 as const),
});
const granted = (nodeId: number, ...seqs: number[]): Effect => {
  const zeros = seqs.map(() => 0);
  const grants = { seqs, leaseSeqs: zeros, attempts: zeros, losses: zeros };
  return { kind: 'send-grants', nodeId, grants, step: 1 };
};
const lost = (...seqs: number[]): SchedulerEvent => ({
  ...{ kind: 'leases-ended', asked: seqs, seqs, nextLeaseSeqs: seqs, losses: seqs },
  cancelledSeqs: [],
});

function setup() {
  const clock = new FakeClock();
  const sent: { readonly nodeId: number; readonly news: News }[] = [];
  const idle: boolean[] = [];
  const herald = new Herald({
    clock,
    send: (nodeId, news) => sent.push({ nodeId, news }),
    standing: () => ({ isWhole: true, queued: 5, holderIds: [7], held: [2] }),
    takeReadyMs: () => [],
    onIdle: (isIdle) => idle.push(isIdle),
  });
  return { clock, herald, sent, idle };
}

describe('the herald of a leader', () => {
  it('says how all stand to whom begins to follow, and nothing more while nothing changes', async () => {
    const { clock, herald, sent, idle } = setup();
    expect(herald.isIdle).to.equal(true);
    herald.follow(7, follow([1]));
    await clock.advance(1000);
    expect(sent).to.have.length(1);
    expect(sent[0]?.news).to.deep.include({ queued: 5, holderIds: [7], seqs: [], isWhole: true });
    herald.leave(7);
    expect(idle).to.deep.equal([false, true]);
  });

  it('tells each node of the tasks that it follows, with the latest of each', async () => {
    const { clock, herald, sent } = setup();
    herald.follow(7, follow([1, 2]));
    herald.follow(8, follow([2, 3]));
    await clock.advance(1000);
    sent.length = 0;
    herald.note([lost(3)], [granted(9, 1, 2), ended(2)]);
    await clock.advance(1000);
    const told = sent.map(({ nodeId, news }) => [nodeId, news.seqs, news.changedTo, news.nodeIds]);
    expect(told).to.deep.equal([
      [7, [1, 2], [5, 1], [9, 0]],
      [8, [3, 2], [0, 1], [0, 0]],
    ]);
  });

  it('says the first change soon, and what follows a few times a second', async () => {
    const { clock, herald, sent } = setup();
    herald.follow(7, follow([1]));
    await clock.advance(1000);
    sent.length = 0;
    herald.note([], [ended(1)]);
    await clock.advance(20);
    expect(sent).to.have.length(1);
    for (let ms = 0; ms < 1000; ms += 10) {
      herald.note([], [ended(1)]);
      await clock.advance(10);
    }
    expect(sent.length).to.be.within(4, 7);
  });

  it('says that there is more than it says', async () => {
    const { clock, herald, sent } = setup();
    const seqs = Array.from({ length: 5000 }, (_, at) => at + 1);
    herald.follow(7, follow(seqs));
    herald.note([], [ended(...seqs)]);
    await clock.advance(1000);
    expect(sent[0]?.news.isPartial).to.equal(true);
    expect(sent[0]?.news.seqs).to.have.length(2000);
    expect(sent[0]?.news.ended).to.deep.equal([5000, 0, 0, 0]);
    expect(sent[0]?.news.endedSeqs).to.have.length(32);
  });

  it('forgets what is dropped, what was asked before a new stream, and all of a node that left', async () => {
    const { clock, herald, sent } = setup();
    herald.follow(7, follow([1, 2]));
    herald.follow(7, follow([], { dropped: [1] }));
    herald.follow(8, follow([1, 2]));
    herald.follow(8, follow([3], { isAnew: true }));
    herald.follow(9, follow([1, 2, 3]));
    herald.follow(9, follow([], { isOn: false }));
    await clock.advance(1000);
    sent.length = 0;
    herald.note([], [ended(1, 2, 3)]);
    await clock.advance(1000);
    expect(sent.map(({ nodeId, news }) => [nodeId, news.seqs])).to.deep.equal([
      [7, [2]],
      [8, [3]],
    ]);
  });
});
