import { expect } from 'chai';
import { runFuzz } from '../../fuzz/run.ts';

/**
 * Goal: nothing that anybody can send ends a node, is answered with an error of the node, or leaves a task
 * that cannot be ended. Method: a short form of `npm run fuzz`, with a seed of its own each time, which the
 * failure names.
 */
describe('a cluster that is sent everything', function () {
  this.timeout(300_000);

  it('refuses what is wrong, and goes on', async () => {
    const seed = Math.floor(Math.random() * 1_000_000);
    const say = (): void => undefined;
    const report = await runFuzz({ calls: 4000, frames: 1000, seed, say });
    expect(report.faults, `seed ${String(seed)}`).to.deep.equal([]);
    expect(report.by_status).to.include.keys('200', '201', '400', '404', '409');
  });
});
