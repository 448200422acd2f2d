import { expect } from 'chai';
import { checkRun, scheduledTasksOf } from '../../node/cli/check-run.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { criticalPathMs } from '../../node/core/ideal-schedule.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { WORKFLOW_FILES, skein } from './support.ts';
import type { Ran } from './support.ts';

/** Goal: command line and client speak what a real node speaks. Method: one node, one database. */
describe('the command line on a real node', () => {
  let cluster: TestCluster | undefined;
  let url = '';
  before(async () => {
    cluster = await startCluster({ nodes: 1, slots: 16, simulate: true });
    url = cluster.nodes[0]?.url ?? '';
  });
  after(() => cluster?.stop());

  const run = (args: readonly string[], input = ''): Promise<Ran> =>
    skein([...args, '--url', url], { input });

  it('runs a recorded workflow, every edge respected', async () => {
    const submit = ['submit', WORKFLOW_FILES.montageSmall, '--time-scale', '0.002', '--id', 'm'];
    const ran = await run([...submit, '--wait', '--name', 'small']);
    expect(ran.out).to.match(/^COMPLETED {2}103 tasks {2}in .* {2}m\n$/);
    expect(ran.code).to.equal(0);
    const graph = await new SkeinClient({ urls: [url] }).getWorkflowGraph('m');
    const check = checkRun(graph);
    expect(check).to.deep.include({ tasks: 103, edges: 231, violations: [], notCompleted: [] });
    // What slept cannot have taken less than its longest path.
    expect(check.makespanMs).to.be.at.least(criticalPathMs(scheduledTasksOf(graph)) - 1);
    expect(await run(['watch', 'm'])).to.include({ code: 0 });
    const again = await run(submit);
    expect(again).to.include({ code: 1, err: 'skein: the workflow m exists already\n' });
  });

  it('submits a task, a list and lines, and waits for each', async () => {
    const task = await run(['submit', '-', '--wait', '--json'], '{"id":"one","type":"noop"}');
    expect(JSON.parse(task.out)).to.include({ id: 'one', status: 'COMPLETED' });
    const list = await run(['submit', '-', '--wait'], '[{"id":"x","type":"noop"},{"type":"noop"}]');
    expect(list).to.include({ code: 0, out: 'COMPLETED  2 tasks\n' });
    const lines = '{"id":"l1","type":"noop"}\n{"type":"noop","dependencies":["l1"]}\n';
    const streamed = await run(['submit', '-', '--wait'], lines);
    expect(streamed).to.include({ code: 0, out: 'COMPLETED  2 tasks\n' });
  });

  it('says what is wrong with a file by its pointers, also of lines', async () => {
    const ran = await run(['submit', '-'], '{"type":"noop","priority":101,"frob":1}');
    expect(ran.code).to.equal(1);
    expect(ran.err).to.include('#/priority: ').and.to.include('#/frob: is not a known field');
    const lines = await run(['submit', '-'], '{"type":"noop"}\n{"type":7}\n');
    expect(lines.err).to.include('#/1/type: ');
  });

  it('streams a refusal back while the lines are still going out', async () => {
    const endless = '{"type":"noop","x":1}\n'.repeat(20_000);
    const ran = await run(['submit', '-'], endless);
    expect(ran.code).to.equal(1);
    expect(ran.err).to.include('#/0/x: is not a known field');
  });

  it('submits once what is repeated under a key', async () => {
    const once = ['submit', '-', '--idempotency-key', 'nightly-1', '--json'];
    const first = await run(once, '{"type":"noop"}');
    expect(await run(once, '{"type":"noop"}')).to.deep.equal(first);
    const other = await run(once, '{"type":"sleep"}');
    expect([other.code, other.err]).to.deep.equal([
      1,
      'skein: the Idempotency-Key nightly-1 was used for another request\n',
    ]);
  });

  it('cancels what waits, and retries it', async () => {
    // No node handles the type, and without a duration nothing simulates it.
    expect(await run(['submit', '-'], '{"id":"stuck","type":"unheard-of"}')).to.include({
      code: 0,
    });
    expect((await run(['get', 'stuck', '--wait', '1ms'])).code).to.equal(1);
    expect(await run(['cancel', 'stuck'])).to.include({ code: 0 });
    const ended = await run(['get', 'stuck', '--wait', '20s', '--json']);
    expect(JSON.parse(ended.out)).to.include({ status: 'CANCELLED' });
    expect(ended.code).to.equal(1);
    expect(await run(['retry', 'stuck'])).to.include({ code: 0 });
    const named = await run(['cancel', '--type', 'unheard-of', '--status', 'queued']);
    expect(named.out).to.match(/^[01] tasks?: the cancel is accepted\n$/);
    expect((await run(['retry', '--tag', 'of-nothing', '--dry-run'])).out).to.include('0 tasks');
    expect(await run(['cancel', 'no-such-task'])).to.include({ code: 1 });
    expect((await run(['retry', 'one'])).err).to.include('COMPLETED');
  });

  it('changes a task that waits', async () => {
    const client = new SkeinClient({ urls: [url] });
    const task = { type: 'noop', delay_ms: 3_600_000, tags: ['later'] };
    const { id } = await client.submitTask(task);
    expect(await client.patchTask(id, { priority: 1 })).to.include({
      priority: 1,
      status: 'QUEUED',
    });
    const listed = await run(['list', '--tag', 'later', '--json']);
    expect(JSON.parse(listed.out)).to.include({ id, priority: 1 });
  });

  it('lists page by page, and workflows too', async () => {
    const client = new SkeinClient({ urls: [url] });
    const ids: string[] = [];
    for await (const { id } of client.listTasks({ workflow: 'm', pageSize: 10 })) ids.push(id);
    expect(new Set(ids).size).to.equal(103);
    const names: string[] = [];
    for await (const { name } of client.listWorkflows({ pageSize: 1 })) names.push(name);
    expect(names).to.deep.equal(['small']);
  });

  it('shows the cluster', async () => {
    const { code, out } = await run(['cluster']);
    expect(code).to.equal(0);
    expect(out).to.match(/^leader node-1 · term \d+ · 1 node alive · \d+ of 16 slots used\n/);
  });
});
