import { expect } from 'chai';
import { seededRng } from '../support/seeded-rng.ts';
import { compareHistory, describeHistory, drawHistory } from './random-histories.ts';
import { RealBackend } from './real-hands.ts';

/**
 * Goal: the model answers as PostgreSQL does, also where nobody has thought of it. Method: random
 * histories (random-histories.ts), every answer and the tables at the end compared, times left out.
 */
const HISTORIES = 200;

describe('random histories', function () {
  this.timeout(120_000);
  let backend: RealBackend;
  before(async () => {
    backend = await RealBackend.open();
  });
  after(() => backend.close());

  it(`${String(HISTORIES)} of them come out the same on the model and on PostgreSQL`, async () => {
    const met = { waits: 0, circles: 0, deposed: 0, failed: 0 };
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const history = await drawHistory(seededRng(seed));
      for (const { answers, waiting } of history.outcomes) {
        const all = Object.values(answers);
        met.waits += Object.keys(waiting).length;
        met.circles += all.includes('error 40P01') ? 1 : 0;
        met.deposed += all.includes('deposed') ? 1 : 0;
        met.failed += all.includes('error 25P02') ? 1 : 0;
      }
      const difference = await compareHistory(backend, history);
      if (difference === undefined) continue;
      const { at, model, real } = difference;
      const story = `seed ${String(seed)}, step ${String(at)}\n${describeHistory(history)}`;
      expect(real, story).to.deep.equal(model);
    }
    // What they are there for: histories that never meet it prove nothing.
    for (const [what, times] of Object.entries(met)) expect(times, what).to.be.above(0);
  });

  it('come out otherwise on a model that does not look again at what it waited for', async () => {
    let found = 0;
    for (let seed = 1; seed <= HISTORIES && found === 0; seed++) {
      const history = await drawHistory(seededRng(seed), { rechecks: false });
      if ((await compareHistory(backend, history)) !== undefined) found = seed;
    }
    expect(found, 'the first seed that shows it').to.be.within(1, HISTORIES);
  });
});
