import { expect } from 'chai';
import type { SkeinClient } from '../../node/client/client.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, submitRecorded, until, WORKFLOWS } from './setup.ts';

// Goal: every node says why a task is not running, and about when things end, as the leader knows it.
// Method: a cluster of processes, asked through its followers; recorded workflows for the forecasts.
describe('a cluster that explains itself', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;
  let client: SkeinClient;

  before(async () => {
    cluster = await startCluster({ nodes: 3, slots: 2, simulate: true });
    client = clientOf(cluster);
  });
  after(async () => {
    await cluster.stop();
  });

  async function follower(): Promise<string> {
    const leader = await cluster.leader();
    return cluster.nodes.find(({ name }) => name !== leader)?.url ?? '';
  }

  async function explained(id: string): Promise<Record<string, unknown>> {
    const answer = await fetch(`${await follower()}/tasks/${id}/explain`);
    expect(answer.status).to.equal(200);
    return (await answer.json()) as Record<string, unknown>;
  }

  // Seen to fail with a question that no leader answers, and with reasons that end at the first.
  it('names what a task waits for: others, its type, labels, a slot', async () => {
    await client.patchType('halted', { paused: true });
    await client.submitBatch([
      ...Array.from({ length: 8 }, (_, at) => ({
        ...{ id: `long-${String(at)}`, type: 'sleep', duration_ms: 4000, priority: 10 },
      })),
      { id: 'next', type: 'sleep', duration_ms: 50, priority: 20 },
      { id: 'child', type: 'halted', dependencies: ['next', 'long-0'], labels: { gpu: 'a100' } },
      { id: 'alone', type: 'nobody-runs-this' },
    ]);
    await until(async () => {
      const tasks = [];
      for await (const task of client.listTasks({ status: 'RUNNING' })) tasks.push(task);
      return tasks.length === 6 ? true : undefined;
    }, 'all slots to be taken');
    const next = await explained('next');
    expect(next).to.deep.include({ status: 'QUEUED', ahead: 2, ahead_is_exact: true });
    expect(next['sentence']).to.match(
      /^It is ready, and all 6 slots .* should start in about .* s\.$/,
    );
    expect(Date.parse(String(next['estimated_start_at']))).to.be.greaterThan(0);
    const child = await explained('child');
    const reasons = child['reasons'] as { reason: string; count?: number }[];
    expect(reasons.map(({ reason }) => reason)).to.deep.equal(['dependencies', 'paused', 'type']);
    expect(child['sentence']).to.match(/^It waits for 2 dependencies: next \(QUEUED\), long-0 \(/);
    expect((await explained('alone'))['sentence']).to.equal(
      'No living node runs the type nobody-runs-this.',
    );
    await client.patchType('sleep', { max_running: 6 });
    await client.submitBatch([
      { id: 'choosy', type: 'noop', labels: { gpu: 'a100' }, priority: 1 },
      { id: 'tomorrow', type: 'noop', delay_ms: 86_400_000 },
      { id: 'fifth', type: 'sleep', duration_ms: 10 },
    ]);
    const choosy = await until(async () => {
      const found = await explained('choosy');
      return found['estimated_start_at'] === undefined ? undefined : found;
    }, 'the leader to know of the tasks');
    expect(choosy['sentence']).to.equal(
      'No living node that runs its type has the label gpu=a100.',
    );
    const tomorrow = await explained('tomorrow');
    expect(tomorrow['sentence']).to.match(/^It is not to start before .* in about 24.0 h\.$/);
    expect((await explained('fifth'))['sentence']).to.match(/^6 of its type run, and 6 may\./);
    await client.patchType('sleep', { max_running: null });
    const running = await explained('long-0');
    expect(running['sentence']).to.match(/^It runs on node-\d, attempt 1 of 3, and should end in/);
    await client.cancelTask('next');
    const skipped = await client.getTask('child', { waitMs: 30_000 });
    expect(skipped.status).to.equal('SKIPPED');
    expect((await explained('child'))['sentence']).to.include('next is CANCELLED');
    expect((await explained('next'))['sentence']).to.equal('It was cancelled.');
    const missing = await fetch(`${await follower()}/tasks/none/explain`);
    expect(missing.status).to.equal(404);
  });

  // A machine that is busy makes forecasts worse, never absurd; scripts/makespan.ts measures them.
  it('forecasts the end of a recorded workflow while it runs', async () => {
    for (const { file, tasks } of WORKFLOWS.slice(0, 1)) {
      const id = `eta-${file}`;
      await submitRecorded(client, file, id, 0.03);
      const samples: { readonly atMs: number; readonly etaMs: number }[] = [];
      const finishedAt = await until(async () => {
        const { status, eta, finished_at: ended } = await client.getWorkflow(id);
        if (status !== 'RUNNING') return ended ?? undefined;
        if (eta != null) samples.push({ atMs: Date.now(), etaMs: Date.parse(eta) });
        return undefined;
      }, `the end of ${id}`);
      const endMs = Date.parse(finishedAt);
      const ratios = samples.map(({ atMs, etaMs }) => (etaMs - atMs) / (endMs - atMs));
      const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)];
      expect(median, `${file}, of ${String(tasks)} tasks`).to.be.within(0.5, 2);
    }
  });
});
