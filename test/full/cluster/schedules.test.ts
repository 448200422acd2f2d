import { expect } from 'chai';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import { fireAmidKills, NODE } from '../../schedules/kills.ts';

// Goal: each fire of a schedule runs once, whichever leader dies when. Method: a thousand fires, 20 a
// second for 50 s, and kill -9 of the leader again and again, a few milliseconds before and after they
// are due.
describe('a thousand fires, with the leaders killed around them', function () {
  this.timeout(300_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ main: NODE });
  });

  after(async () => {
    await cluster.stop();
  });

  it('are a thousand runs', async () => {
    const kills = await fireAmidKills(cluster, { tasks: 16, workflows: 4, seconds: 50 });
    expect(kills).to.be.above(1);
    console.log(`      1000 fires, ${String(kills)} leaders killed meanwhile`);
  });
});
