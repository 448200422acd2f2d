import { expect } from 'chai';
import { halfALease } from '../../outages/database.ts';
import { cut, freeze, kill } from '../../outages/failovers.ts';
import type { Part } from '../../outages/part.ts';
import type { PartReport } from '../../outages/report.ts';
import { rolling } from '../../outages/rolling.ts';

/**
 * Goal: whatever ends a term, and when PostgreSQL has been away, all that was acknowledged ends once and in
 * order, and nobody pays for it. Method: the parts of `npm run outages`, a few times each. How long it took
 * is printed and not judged: that is for a quiet machine.
 */
describe('outages', function () {
  this.timeout(240_000);

  const run = async (part: Part, count: number): Promise<PartReport> => {
    const report = await part({
      ...{ count, queued: 0, main: undefined, say: () => undefined },
      signal: new AbortController().signal,
    });
    for (const [name, { p50, max }] of Object.entries(report.figures)) {
      console.log(`      ${name}: p50 ${String(p50)} ms, max ${String(max)} ms`);
    }
    expect(report.faults).to.deep.equal([]);
    const counts = Object.values(report.figures).map((figures) => figures.count);
    expect(counts[0]).to.equal(count);
    expect(report.facts['acknowledged']).to.be.greaterThan(0);
    expect(report.facts['charged attempts']).to.be.oneOf([0, undefined]);
    return report;
  };

  it('kill -9 of leaders: another leads each time, nothing is lost or runs twice at once', async () => {
    await run(kill, 5);
  });

  it('frozen leaders: another leads each time, and none of their work is done again', async () => {
    const { facts } = await run(freeze, 2);
    expect(facts['extra executions']).to.equal(0);
  });

  it('leaders cut off: another leads each time, and none of their work is done again', async () => {
    const { facts } = await run(cut, 2);
    expect(facts['extra executions']).to.equal(0);
  });

  it('rolling restarts under load: clean exits, nothing lost, no attempt charged', async () => {
    await run(rolling, 3);
  });

  it('PostgreSQL away for half a lease: nothing runs again', async () => {
    await run(halfALease, 1);
  });
});
