import { expect } from 'chai';
import { systemClock } from '../../../node/base/clock.ts';
import { rssOf } from '../../bench/machine.ts';
import { spreadOf } from '../../bench/report.ts';
import { withDatabase } from '../../cluster/setup.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';

const SINGLE_CALLERS = 100;
/** More than may wait at one node. */
const BATCH_CALLERS = 300;
const BATCH = 50;
const OVERLOAD_MS = 15_000;
const SAMPLE_MS = 250;
/** What the leader may need for a task that waits, twice over. */
const BYTES_A_QUEUED_TASK = 500;
const MIB = 1024 * 1024;

// Goal: who submits far more than can run is told to come again, and costs the nodes no memory but that
// of the tasks they took. Method: hundreds of clients post to one node without pause; the tasks are slow.
// Seen to fail without the bound of the gate in submissions.ts, and with answers that name no time.
describe('a node that is given far more than it can take', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  const statuses = new Map<number, number>();
  const withoutTime: number[] = [];
  const acknowledged: string[] = [];

  before(async () => {
    cluster = await startCluster({ nodes: 2, slots: 2 });
  });
  after(async () => {
    await cluster.stop();
  });

  it('says so, keeps its memory, and loses nothing that it took', async () => {
    const { term } = await cluster.view();
    const over = new AbortController();
    const url = cluster.node('node-1').url;
    const callers = [
      ...Array.from({ length: SINGLE_CALLERS }, (_, at) => call(`s${String(at)}`, 1)),
      ...Array.from({ length: BATCH_CALLERS }, (_, at) => call(`b${String(at)}`, BATCH)),
    ];
    const samples: number[] = [];
    for (let ms = 0; ms < OVERLOAD_MS; ms += SAMPLE_MS) {
      await systemClock.sleep(SAMPLE_MS);
      samples.push(...cluster.nodes.map(({ pid }) => rssOf(pid)));
    }
    over.abort();
    await Promise.all(callers);
    console.log(
      `      ${[...statuses].map(([code, count]) => `${String(code)}: ${String(count)}`).join(', ')}`,
    );

    expect(
      [...statuses.keys()].filter((status) => ![201, 429, 503].includes(status)),
    ).to.deep.equal([]);
    expect(statuses.get(429) ?? 0, 'told to come again').to.be.greaterThan(0);
    expect(withoutTime, 'refusals that say no time').to.deep.equal([]);
    const half = samples.length / 2;
    const [early, late] = [spreadOf(samples.slice(0, half)), spreadOf(samples.slice(half))];
    const room = 1.5 * early.max + BYTES_A_QUEUED_TASK * acknowledged.length + 100 * MIB;
    expect(late.max, 'memory of a node').to.be.lessThan(room);
    expect((await cluster.view()).term, 'elections').to.equal(term);
    await withDatabase(cluster, async (database) => {
      const { rows } = await database.query<{ count: number }>(
        'select count(*)::int as count from skein.task where id = any ($1::text[])',
        [acknowledged],
      );
      expect(rows[0]?.count, 'stored').to.equal(acknowledged.length);
    });

    async function call(name: string, size: number): Promise<void> {
      for (let round = 0; !over.signal.aborted; round += 1) {
        const tasks = Array.from({ length: size }, (_, at) => ({
          id: `${name}-${String(round)}-${String(at)}`,
          ...{ type: 'sleep', duration_ms: 60_000 },
        }));
        const answer = await fetch(`${url}/tasks${size === 1 ? '' : '/batch'}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(size === 1 ? tasks[0] : tasks),
        });
        await answer.text();
        const { status } = answer;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status === 201) for (const { id } of tasks) acknowledged.push(id);
        else if (answer.headers.get('retry-after') === null) withoutTime.push(status);
      }
    }
  });
});
