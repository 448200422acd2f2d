import { expect } from 'chai';
import type { Member } from './election-setup.ts';
import { QUICK, Ring } from './election-setup.ts';

/**
 * Goal: at no moment do two nodes trust their leadership, however it is taken from one of them.
 * Method: three electors, twenty changes by five faults in turn; at every callback all are asked;
 * and the record of gains and losses, which has one clock, must alternate.
 */
const FLIPS = 20;

const FAULTS: readonly ((ring: Ring, leader: Member) => Promise<void>)[] = [
  (ring, leader) => ring.terminate(leader),
  (_, leader) => {
    leader.elector.observeTerm(leader.elector.termSeen + 3);
    return Promise.resolve();
  },
  (_, leader) => {
    leader.proxy.pause();
    return Promise.resolve();
  },
  async (_, leader) => {
    await leader.elector.stop();
    leader.elector.start();
  },
  (_, leader) => {
    leader.schedules = false;
    return Promise.resolve();
  },
];

describe('election under forced changes', () => {
  let ring: Ring;
  before(async () => {
    ring = await Ring.open();
  });
  after(() => ring.close());

  it('never has two trusted leaders, and every term is above the last', async () => {
    for (let i = 0; i < 3; i += 1) (await ring.add(QUICK)).elector.start();
    await ring.entry((e) => e.what === 'gained');
    for (let flip = 0; flip < FLIPS; flip += 1) {
      const leader = await ring.led();
      const from = ring.record.length;
      await FAULTS[flip % FAULTS.length]?.(ring, leader);
      await ring.entry((e) => e.what === 'gained', from);
      leader.schedules = true;
      leader.proxy.resume();
    }
    const turns = ring.record.filter((e) => e.what !== 'seen');
    turns.forEach((turn, i) => {
      expect(turn.what, `turn ${String(i)}`).to.equal(i % 2 === 0 ? 'gained' : 'lost');
    });
    const terms = turns.filter((e) => e.what === 'gained').map((e) => e.term);
    expect(terms).to.deep.equal([...new Set(terms)].sort((a, b) => a - b));
    expect(terms.length).to.be.greaterThan(FLIPS);
    expect(ring.trustedAtOnceMax).to.equal(1);
  });
});
