import { expect } from 'chai';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { fireAmidKills, NODE } from '../schedules/kills.ts';
import { PATIENCE_MS, until } from './setup.ts';

// Goal: a change of leaders costs no fire and doubles none; a change of a schedule is heard. Method:
// three real nodes, kill -9 of the leader at a full second. The thousand fires are in test/full/cluster.
describe('schedules of a cluster', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ main: NODE });
  });

  after(async () => {
    await cluster.stop();
  });

  it('fire once each while the leader is killed', async () => {
    const kills = await fireAmidKills(cluster, { tasks: 8, workflows: 2, seconds: 5 });
    expect(kills).to.be.above(0);
  });

  it('are heard of through any node, and counted by the leader', async () => {
    const put = (url: string, body: object): Promise<Response> =>
      fetch(`${url}/schedules/soon`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ task: { type: 'noop' }, ...body }),
      });
    const urls = cluster.nodes.map(({ url }) => url);
    await put(urls[0] ?? '', { cron: '@yearly' });
    await put(urls[1] ?? '', { every_ms: 1000 });
    await until(async () => {
      const schedule = (await (await fetch(`${urls[2] ?? ''}/schedules/soon`)).json()) as {
        readonly last_run: { readonly status: string } | null;
      };
      return schedule.last_run?.status === 'COMPLETED' ? true : undefined;
    }, 'a run of the schedule');
    await fetch(`${urls[2] ?? ''}/schedules/soon/pause`, { method: 'POST' });
    const leader = cluster.node(await cluster.leader());
    const metrics = await (await fetch(`${leader.url}/metrics`)).text();
    expect(metrics).to.match(/^skein_schedule_fires_total\{outcome="fired"\} [1-9]/m);
  });
});
