import { expect } from 'chai';
import { Metrics } from '../../node/observe/metrics.ts';
import {
  addHeartbeats,
  countOf,
  heartbeatsIn,
  heartbeatsSince,
  NO_HEARTBEATS,
  quantileOf,
} from './heartbeats.ts';

/** Goal: how late heartbeats were, never said too well. Method: what a node exposes is read back. */
describe('the heartbeats of a run', () => {
  const exposed = async (seconds: readonly number[]) => {
    const metrics = new Metrics({ processMetrics: false });
    for (const each of seconds) metrics.heartbeatAnswered('lock', each);
    // Those of the leases wait for the leader's second, and say nothing here.
    metrics.heartbeatAnswered('lease', 0.9);
    return heartbeatsIn((await metrics.render()).body);
  };

  it('are at most the bound of the bucket in which the share is reached', async () => {
    const beats = await exposed([...Array<number>(999).fill(0.003), 0.18]);
    expect(countOf(beats)).to.equal(1000);
    expect(quantileOf(beats, 0.5)).to.equal(0.005);
    expect(quantileOf(beats, 0.999)).to.equal(0.005);
    expect(quantileOf(beats, 0.9991)).to.equal(0.2);
  });

  it('above the last bucket have no bound', async () => {
    expect(quantileOf(await exposed([60]), 0.999)).to.equal(Infinity);
  });

  it('of nothing have no figure', () => {
    expect(quantileOf(NO_HEARTBEATS, 0.999)).to.equal(undefined);
    expect(countOf(heartbeatsIn('nothing of the kind'))).to.equal(0);
  });

  it('are those of all nodes since the beginning', async () => {
    const before = addHeartbeats([await exposed([3]), await exposed([0.001])]);
    const after = addHeartbeats([await exposed([3, 0.03]), await exposed([0.001, 0.03])]);
    const since = heartbeatsSince(before, after);
    expect(countOf(since)).to.equal(2);
    expect(quantileOf(since, 1)).to.equal(0.05);
  });
});
