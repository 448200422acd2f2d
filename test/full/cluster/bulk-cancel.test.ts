import { expect } from 'chai';
import { systemClock } from '../../../node/base/clock.ts';
import { spreadOf } from '../../bench/report.ts';
import { clientOf, until, withDatabase } from '../../cluster/setup.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';

const TASKS = 200_000;
const BATCH = 50_000;
const PROBES = 40;

// Goal: who cancels, and retries, very many tasks at once does not stop the others. Method: tasks that no
// node runs, one call for all of them, and meanwhile others that must still be leased; how long those take
// is printed beside what they took before. That the leader keeps its office is expected.
describe('a cancel and a retry of very many tasks', function () {
  this.timeout(600_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ slots: 4 });
  });
  after(async () => {
    await cluster.stop();
  });

  const liveCount = (): Promise<number> =>
    withDatabase(cluster, async (sql) => {
      const { rows } = await sql.query<{ n: string }>(
        `select count(*) as n from skein.live l join skein.type y using (type_id)
         where y.name = 'of-no-node'`,
      );
      return Number(rows[0]?.n);
    });

  /** Milliseconds from the call to the end of tasks that come one after the other. */
  const probe = async (isOver: () => boolean): Promise<string> => {
    const client = clientOf(cluster);
    const took: number[] = [];
    while (!isOver() || took.length < PROBES) {
      const beganMs = systemClock.monotonicMs();
      const { id } = await client.submitTask({ type: 'noop' });
      const { status } = await client.getTask(id, { waitMs: 60_000 });
      expect(status).to.equal('COMPLETED');
      took.push(systemClock.monotonicMs() - beganMs);
    }
    const { median, max } = spreadOf(took);
    return `${String(took.length)} others, median ${median.toFixed(1)} ms, ${max.toFixed(0)} at most`;
  };

  const during = async (what: string, change: () => Promise<void>): Promise<void> => {
    const beganMs = systemClock.monotonicMs();
    let isOver = false;
    const [others] = await Promise.all([
      probe(() => isOver),
      change().finally(() => {
        isOver = true;
      }),
    ]);
    const seconds = (systemClock.monotonicMs() - beganMs) / 1000;
    console.log(`      ${what}: ${seconds.toFixed(1)} s; meanwhile ${others}`);
  };

  it('leaves the leader to the others', async () => {
    const client = clientOf(cluster);
    const { term } = await cluster.view();
    for (let from = 0; from < TASKS; from += BATCH) {
      const lines = Array<string>(BATCH).fill('{"type":"of-no-node","tags":["crowd"]}');
      await client.submitNdjson(lines);
    }
    console.log(`      before: ${await probe(() => true)}`);
    await during(`cancel of ${String(TASKS)}`, async () => {
      expect(await client.cancelTasks({ type: 'of-no-node' })).to.deep.equal({ count: TASKS });
      await until(async () => ((await liveCount()) === 0 ? true : undefined), 'the cancels');
    });
    await during(`retry of ${String(TASKS)}`, async () => {
      expect(await client.retryTasks({ tag: 'crowd' })).to.deep.equal({ count: TASKS });
      await until(async () => ((await liveCount()) === TASKS ? true : undefined), 'the retries');
    });
    expect((await cluster.view()).term, 'the leader kept its office').to.equal(term);
  });
});
