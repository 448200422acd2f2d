import { expect } from 'chai';
import { setup } from './setup.ts';

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
