import { expect } from 'chai';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import {
  clientOf,
  expectRightRun,
  lostLeasesByNode,
  PATIENCE_MS,
  submitRecorded,
  until,
  untilWorkflowEnds,
  withDatabase,
  WORKFLOWS,
} from '../../cluster/setup.ts';

const montage = WORKFLOWS[3];
const SLOTS = 16;

// Goal: what dies takes nothing with it but its own running tasks. Method: kill -9 of real processes
// in the middle of a recorded workflow of 1,738 tasks.
describe('a cluster outlives its nodes', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  afterEach(async () => {
    await cluster.stop();
  });

  it('kill -9 of the leader: another leads, all complete, survivors start nothing twice', async () => {
    cluster = await startCluster({ slots: SLOTS, simulate: true });
    await submitRecorded(clientOf(cluster), montage.file, 'run', 0.02);
    await untilCompleted(cluster, 400);
    const leader = await cluster.leader();
    const killedAt = await databaseTime(cluster);
    await cluster.kill(leader);
    const client = clientOf(cluster);
    expect(await untilWorkflowEnds(client, 'run')).to.equal('COMPLETED');
    expect(await cluster.leader()).to.not.equal(leader);
    console.log(`      first start of the new term ${await msUntilFirstStart(cluster, killedAt)}`);
    await expectRightRun(client, 'run', montage, 3 * SLOTS);
    await expectNothingRanTwice(cluster, leader);
    await expectTerms(cluster, 2);
  });

  it('kill -9 of a follower: its tasks run again elsewhere, nobody else notices', async () => {
    cluster = await startCluster({ slots: SLOTS, simulate: true });
    await submitRecorded(clientOf(cluster), montage.file, 'run', 0.02);
    await untilCompleted(cluster, 400);
    const leader = await cluster.leader();
    const victim = cluster.nodes.find(({ name }) => name !== leader)?.name ?? '';
    await cluster.kill(victim);
    const client = clientOf(cluster);
    expect(await untilWorkflowEnds(client, 'run')).to.equal('COMPLETED');
    await expectRightRun(client, 'run', montage, 3 * SLOTS);
    await expectNothingRanTwice(cluster, victim);
    await expectTerms(cluster, 1);
  });

  it('kill -9 of all: a new cluster on the same data completes the run', async () => {
    cluster = await startCluster({ slots: SLOTS, simulate: true });
    await submitRecorded(clientOf(cluster), montage.file, 'run', 0.02);
    await untilCompleted(cluster, 400);
    await Promise.all(cluster.nodes.map(({ name }) => cluster.kill(name)));
    await Promise.all([cluster.add(), cluster.add(), cluster.add()]);
    const client = clientOf(cluster);
    expect(await untilWorkflowEnds(client, 'run')).to.equal('COMPLETED');
    await expectRightRun(client, 'run', montage, 3 * SLOTS);
  });

  it('SIGTERM of the leader under load: it resigns, drains, and no attempt is charged', async () => {
    cluster = await startCluster({ slots: SLOTS, simulate: true });
    await submitRecorded(clientOf(cluster), montage.file, 'run', 0.02);
    await untilCompleted(cluster, 400);
    const leader = await cluster.leader();
    await cluster.kill(leader, 'SIGTERM');
    expect(cluster.node(leader).process.exitCode).to.equal(0);
    const client = clientOf(cluster);
    expect(await untilWorkflowEnds(client, 'run')).to.equal('COMPLETED');
    await expectRightRun(client, 'run', montage, 3 * SLOTS);
    const charged = await withDatabase(cluster, async (database) => {
      const { rows } = await database.query('select 1 from skein.task where attempt <> 1');
      return rows.length;
    });
    expect(charged).to.equal(0);
  });
});

async function untilCompleted(cluster: TestCluster, count: number): Promise<void> {
  await withDatabase(cluster, (database) =>
    until(
      async () => {
        const { rows } = await database.query<{ done: boolean }>(
          'select count(*) filter (where status = 1) >= $1 as done from skein.task',
          [count],
        );
        return rows[0]?.done === true ? true : undefined;
      },
      `${String(count)} completed tasks`,
    ),
  );
}

/**
 * On the survivors no task ran under a lease that was taken away, which would show as a stale outcome;
 * the victim lost at most what it held.
 */
async function expectNothingRanTwice(cluster: TestCluster, victim: string): Promise<void> {
  const survivors = cluster.nodes.filter((node) => !node.hasEnded());
  expect(survivors).to.have.length(2);
  for (const { url } of survivors) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).to.match(/^skein_stale_outcomes_total(\{.*\})? 0$/m);
  }
  const lost = await lostLeasesByNode(cluster);
  expect([...lost.keys()].filter((name) => name !== victim)).to.deep.equal([]);
  // Behind a slot that runs a quick task eight more may wait.
  expect(lost.get(victim) ?? 0).to.be.at.most(9 * SLOTS);
}

function databaseTime(cluster: TestCluster): Promise<Date> {
  return withDatabase(cluster, async (database) => {
    const { rows } = await database.query<{ now: Date }>('select clock_timestamp() as now');
    return rows[0]?.now ?? new Date(NaN);
  });
}

/** From the kill to the first start of a task after the new leader took its office. */
function msUntilFirstStart(cluster: TestCluster, killedAt: Date): Promise<string> {
  return withDatabase(cluster, async (database) => {
    const { rows } = await database.query<{ first: Date | null }>(
      'select min(started_at) as first from skein.task, skein.term where started_at > since',
    );
    const first = rows[0]?.first ?? new Date(NaN);
    return `${String(first.getTime() - killedAt.getTime())} ms after the kill`;
  });
}

async function expectTerms(cluster: TestCluster, term: number): Promise<void> {
  expect((await cluster.view()).term).to.equal(term);
}
