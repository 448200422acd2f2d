import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { countOf } from '../../bench/heartbeats.ts';
import { onRig } from '../../bench/measure.ts';
import { comparePeers } from '../../bench/peers/compare.ts';
import { ratiosTo } from '../../bench/peers/report.ts';
import { costATaskOf, spreadOf } from '../../bench/report.ts';
import { DRAIN } from '../../bench/scenarios/drain.ts';
import { CHAIN, FAN_IN, LAYERS } from '../../bench/scenarios/graphs.ts';

/**
 * Goal: a change that makes the cluster much slower than its nearest peer is seen, and the benchmark that
 * says so can be trusted. Method: the benchmark itself at a small size; no rate is asserted, only ratios
 * within the same minutes, wide enough for a machine that is busy.
 */
describe('the benchmark', function () {
  this.timeout(280_000);

  const main = fileURLToPath(new URL('../../../dist/node/main.js', import.meta.url));
  const options = (tasks: number, runs: number) => ({
    ...{ main, tasks, runs, say: () => undefined },
    signal: new AbortController().signal,
  });

  before(() => {
    if (!existsSync(main)) throw new Error('there is no build: npm run build');
  });

  it('a drain is at least as fast as that of graphile-worker at its best', async function () {
    const compared = await comparePeers(options(20_000, 3), ['graphile-worker']).catch(
      (thrown: unknown) => {
        if (!String(thrown).includes('npm could not install')) throw thrown;
        console.log(`      ${String(thrown)}`);
        return undefined;
      },
    );
    if (compared === undefined) return this.skip();
    const { median, min, max } = spreadOf(ratiosTo(compared, 'graphile-worker', 'drain'));
    console.log(`      ${[median, min, max].map((ratio) => ratio.toFixed(2)).join(', ')} times`);
    expect(compared.skipped).to.deep.equal([]);
    expect(median).to.be.at.least(1);
  });

  it('says what a drain has cost: each task is leased and settled, and no more than that', async () => {
    const { rows, heartbeats } = await DRAIN.measure(options(10_000, 2));
    const [row] = rows;
    const cost = row && costATaskOf(row);
    expect(row?.values).to.have.length(2);
    expect(Math.min(...(row?.values ?? [0]))).to.be.greaterThan(0);
    expect(cost?.rowVersions).to.be.within(2, 3);
    expect(cost?.hotUpdates).to.be.within(1.5, cost?.rowVersions ?? 0);
    expect(cost?.walBytesLessPages).to.be.within(100, cost?.walBytes ?? 0);
    for (const micros of [cost?.postgresMicros, cost?.leaderMicros, cost?.othersMicros]) {
      expect(micros).to.be.within(0.1, 10_000);
    }
    expect(countOf(heartbeats)).to.be.greaterThan(0);
  });

  it('runs graphs in their order', async () => {
    for (const scenario of [FAN_IN, LAYERS, CHAIN]) {
      const { rows } = await scenario.measure(options(2000, 1));
      expect(rows[0]?.values[0], scenario.name).to.be.greaterThan(0);
    }
  });

  it('has no figure of a run with an election in it', async () => {
    const measuring = onRig(options(100, 1), {}, async (rig, round) => {
      if (round === 0) return [];
      const leader = await rig.cluster.leader();
      await rig.cluster.restart(leader);
      return [{ what: 'a run', unit: 'ms', value: 1 }];
    });
    const thrown: unknown = await measuring.catch((error: unknown) => error);
    expect(String(thrown)).to.match(/no figure: \d+ elections/);
  });
});
