import { expect } from 'chai';
import { faultsOf, LAN, WAN, type Timings } from '../../node/core/timings.ts';

describe('the timings of the protocol', () => {
  it('are safe in both profiles', () => {
    expect(faultsOf(LAN)).to.deep.equal([]);
    expect(faultsOf(WAN)).to.deep.equal([]);
    expect(WAN.leaseMs).to.equal(4 * LAN.leaseMs);
  });

  const unsafe: readonly (readonly [Partial<Timings>, string])[] = [
    [{ selfDemoteMs: 700 }, '3 × heartbeatMs'],
    [{ lockIdleMs: 850 }, 'before lockIdleMs'],
    [{ abortMs: 9500 }, 'abortMs < killMs'],
    [{ killMs: 9900 }, 'killMs < leaseMs'],
    [{ renewMs: 2500 }, '3 × renewMs'],
    [{ leaseMs: 4000, killMs: 3600, abortMs: 3000 }, '4 × (lockIdleMs + campaignMaxMs)'],
    [{ killGraceMs: 2100 }, 'abortMs + killGraceMs'],
    [{ linkSilenceMs: 1200 }, 'linkSilenceMs + campaignMaxMs'],
    [{ progressMs: 300 }, 'progressMs must be at least 400'],
    [{ campaignMinMs: 60 }, 'campaignMinMs'],
    [{ guardMs: 0 }, 'above 0'],
  ];
  for (const [change, fault] of unsafe) {
    it(`are refused with ${JSON.stringify(change)}`, () => {
      expect(faultsOf({ ...LAN, ...change }).join('\n')).to.include(fault);
    });
  }
});
