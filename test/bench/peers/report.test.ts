import { expect } from 'chai';
import type { PeersReport } from './compare.ts';
import { peersText, ratiosTo } from './report.ts';

/** Goal: ours beside theirs, of the same round. Method: rounds small enough for the head. */
describe('the report of the peers', () => {
  const round = (ours: number, theirs: number) => ({
    ours: { drain: ours, insert: 2 * ours },
    theirs: { 'graphile-worker': { drain: theirs, insert: ours } },
  });
  const report: PeersReport = {
    tasks: 20_000,
    // In the second round the machine had half as much to give.
    rounds: [round(40_000, 20_000), round(20_000, 10_000), round(60_000, 20_000)],
    settings: { 'graphile-worker': { processes: 4, concurrency: 24 } },
    skipped: ['bullmq: skipped, there is no redis-server on the path'],
  };

  it('compares round by round', () => {
    expect(ratiosTo(report, 'graphile-worker', 'drain')).to.deep.equal([2, 2, 3]);
    expect(ratiosTo(report, 'graphile-worker', 'insert')).to.deep.equal([2, 2, 2]);
  });

  it('has no ratio to one that was not measured', () => {
    expect(ratiosTo(report, 'bullmq', 'drain')).to.deep.equal([NaN, NaN, NaN]);
  });

  it('says with what each was measured, and why one was not', () => {
    const lines = peersText(report).split('\n');
    const cells = lines.map((line) => line.split(' | ').length);
    expect(cells.slice(2, 6)).to.deep.equal([6, 6, 6, 6]);
    expect(lines[5]).to.match(/^\| graphile-worker@\S+ \| 20,000 tasks\/s \(10,000 – 20,000\) \|/);
    expect(lines[5]).to.contain('| 2.00 × (2.00 – 3.00) | 2.00 × (2.00 – 2.00) |');
    expect(lines[5]).to.contain('processes 4, concurrency 24');
    expect(lines.at(-1)).to.equal(report.skipped[0]);
  });
});
