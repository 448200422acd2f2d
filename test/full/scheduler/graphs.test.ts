import { proveGraphs } from '../../scheduler/graphs.ts';

// Goal: as test/scheduler/graphs.test.ts, over ten thousand graphs, some of which nobody has seen before.
// Method: the same. Seen to fail with one look below a retried task, and with ends that stay counted of a
// dependency that is retried. Without tombstones they end well: test/rules has the moment that needs them.
describe('random graphs at length', function () {
  this.timeout(900_000);

  it('end as a reference of the contract says, 9,000 of them', () => proveGraphs(9000, 7));

  it('end as a reference of the contract says, 1,000 fresh ones', async () => {
    const seed = Math.floor(Math.random() * 1_000_000_000);
    console.log(`      seed ${String(seed)}`);
    await proveGraphs(1000, seed);
  });
});
