import { expect } from 'chai';
import { FakeLink, setup } from './setup.ts';

/**
 * Goal: what the leader makes of the frames of a node (rule 8): an inventory speaks of the grants that
 * it says were processed, and of no other.
 * Method: the real roster and mailbox; the test is the node and the scheduler.
 */
describe('the roster of a leader', () => {
  const grants = { seqs: [1], leaseSeqs: [1], attempts: [0], losses: [0] };

  // Seen to fail with `throughStep: this.sentThrough` in onHeartbeat.
  it('lets an inventory speak only of the grants that its node has processed', async () => {
    const { roster, mailbox, join } = setup();
    const node = await join(7);
    const throughStep = (): unknown =>
      mailbox.take().events.map((event) => 'throughStep' in event && event.throughStep);
    roster.sendGrants(7, grants, 5);
    roster.sendGrants(7, grants, 6);
    roster.sentThrough = 6;
    const [first, second] = [node.frames.length - 1, node.frames.length];
    node.beats(1, first - 1);
    expect(throughStep()).to.deep.equal([4]);
    node.beats(2, first);
    expect(throughStep()).to.deep.equal([5]);
    node.beats(3, second);
    expect(throughStep()).to.deep.equal([6]);
  });

  const told = {
    ...{ number: 3, seqs: [1], leaseSeqs: [1], settledAs: [1] as const, nextLeaseSeqs: [0] },
    ...{ attempts: [1], runAtMs: [0], runMs: [1] },
  };

  // Seen to fail with an acknowledgement of what is handed to nobody.
  it('acknowledges what a node has settled, and hands it to the loop', async () => {
    const { mailbox, join } = setup();
    const node = await join(7);
    node.says({ told });
    expect(mailbox.take().events).to.deep.equal([{ kind: 'outcomes-settled', nodeId: 7, told }]);
    expect(node.frames.at(-1)).to.deep.include({ toldThrough: 3 });
  });

  // Seen to fail without the row.
  it('hands a task that a node has just committed to the loop, as its row was then', async () => {
    const { mailbox, join } = setup();
    const node = await join(7);
    const task = { seq: 5, typeId: 2, priority: 40, hasDuration: true, expectedMs: 9 };
    node.says({ look: true, submitted: task });
    const rows = {
      ...{ seqs: [5], typeIds: [2], priorities: [40], hasDuration: [true], expectedMs: [9] },
      ...{ triggerRules: [0], runAtMs: [0], leaseSeqs: [0], nodeIds: [0], attempts: [0] },
      ...{ losses: [0], labels: [null], expiresAtMs: [0], cancels: [false], deps: [[]] },
    };
    expect(mailbox.take().events).to.deep.equal([{ kind: 'tasks-loaded', rows }]);
  });

  // Seen to fail where the frames of a node that is not yet a member are dropped.
  it('heeds what a node said before it was a member, once it is one', async () => {
    const { clock, mailbox, roster } = setup();
    const link = new FakeLink(7);
    const accepted = roster.accept(link);
    if ('refused' in accepted) throw new Error(accepted.refused);
    accepted.onMessage({ told });
    expect(mailbox.take().events).to.deep.equal([]);
    await clock.advance(0);
    const kinds = mailbox.take().events.map(({ kind }) => kind);
    expect(kinds).to.deep.equal(['types-handled', 'node-joined', 'outcomes-settled']);
  });

  // Seen to fail without the look at `isTrusted`.
  it('hands nothing out once the trust in its lock is over, term or not', async () => {
    const { roster, join, trust } = setup();
    const node = await join(7);
    const before = node.frames.length;
    trust.holds = false;
    roster.sendGrants(7, grants, 5);
    expect(node.frames).to.have.length(before);
    trust.holds = true;
    roster.sendGrants(7, grants, 5);
    expect(node.frames.at(-1)).to.deep.include({ grants });
  });

  // Seen to fail without the look at the number of the heartbeat.
  it('ignores an inventory that comes twice, or after a later one', async () => {
    const { roster, mailbox, join } = setup();
    const node = await join(7);
    const before = node.frames.length;
    roster.sendGrants(7, grants, 5);
    roster.sentThrough = 5;
    node.beats(2, before + 1, [1]);
    mailbox.take();
    roster.takeHeartbeats();
    node.beats(2, before + 1, [1]);
    node.beats(1, before);
    expect(mailbox.take().events).to.deep.equal([]);
    expect([...roster.takeHeartbeats()]).to.deep.equal([]);
    const again = await join(7);
    again.beats(1, 0);
    expect(mailbox.take().events).to.have.length(1);
  });
});
