import { proveGraphs } from './graphs.ts';

// Goal: whatever users ask of a graph at whatever moment, and whatever dies, it ends as the reference of
// graph-reference.ts allows, and every step on the way is one that it allows. Method: graphs, plans, asks
// and orders of events by fast-check, which shrinks what it finds; test/full has ten thousand of them.
describe('random graphs', () => {
  it('end as a reference of the contract says', async function () {
    this.timeout(120_000);
    await proveGraphs(300, 20_261_121);
  });
});
