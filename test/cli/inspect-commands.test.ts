import { expect } from 'chai';
import { COUNTS, ok, skein, startScripted, taskBody as task } from './support.ts';
import type { Reply, Request, ScriptedNode } from './support.ts';

/**
 * Goal: what the commands around tasks and types ask and print. Method: the program in this process, over
 * real HTTP to nodes that follow a script.
 */
describe('the commands around tasks and types', () => {
  const nodes: ScriptedNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });
  async function node(reply: (request: Request, count: number) => Reply): Promise<ScriptedNode> {
    const started = await startScripted(reply);
    nodes.push(started);
    return started;
  }

  it('says why a task waits, in one sentence or as the cluster said it', async () => {
    const body = { id: 'x', status: 'QUEUED', sentence: 'It waits.', reasons: [] };
    const { url } = await node(({ path }) => {
      expect(path).to.equal('/tasks/x/explain');
      return ok(body);
    });
    expect((await skein(['explain', 'x', '--url', url])).out).to.equal('It waits.\n');
    const { out } = await skein(['explain', 'x', '--json', '--url', url]);
    expect(JSON.parse(out)).to.deep.equal(body);
  });

  it('changes a task that waits, and refuses what it cannot mean', async () => {
    const asked: unknown[] = [];
    const { url } = await node(({ method, path, body }) => {
      asked.push([method, path, JSON.parse(body)]);
      return ok({ ...task('x', 'QUEUED'), priority: 7 });
    });
    const changes = ['--priority', '7', '--payload', '{"n":1}', '--run-at', 'now'];
    const { out } = await skein(['edit', 'x', ...changes, '--url', url]);
    expect(out).to.equal('x: priority 7, QUEUED\n');
    const patch = { priority: 7, payload: { n: 1 }, run_at: null };
    expect(asked).to.deep.equal([['PATCH', '/tasks/x', patch]]);
    for (const [args, message] of [
      [[], '--priority, --payload or --run-at is needed'],
      [['--priority', '101'], 'from 1 (the most urgent) to 100'],
      [['--payload', '{'], 'It must be JSON.'],
      [['--run-at', 'soon'], 'ISO 8601'],
    ] as const) {
      const refused = await skein(['edit', 'x', ...args, '--url', url]);
      expect(refused.code).to.equal(2);
      expect(refused.err).to.include(message);
    }
  });

  it('lists tries, dependents, workflows and events', async () => {
    const at = '2026-11-21T10:00:00.000Z';
    const error = { code: 'timeout', message: 'too long', retryable: true };
    const attempt = { attempt: 1, outcome: 'failed', lease_seq: 1, node: 'node-1', error };
    const bodies: Readonly<Record<string, unknown>> = {
      '/tasks/x/attempts': [
        { ...attempt, started_at: at, finished_at: '2026-11-21T10:00:02.000Z' },
      ],
      '/tasks/x/dependents': [task('y', 'QUEUED')],
      '/workflows': [
        { ...{ id: 'w', name: 'report', status: 'RUNNING', created_at: at, finished_at: null } },
      ].map((workflow) => ({ ...workflow, counts: { ...COUNTS, COMPLETED: 3, QUEUED: 1 } })),
      '/events': [{ id: 1, at, kind: 'elected', node: 'node-2', term: 4, detail: { pid: 7 } }],
    };
    const { url } = await node(({ path }) => ok(bodies[path.replace(/\?.*/, '')]));
    const lineOf = async (...args: string[]): Promise<string | undefined> =>
      (await skein([...args, '--url', url])).out.split('\n')[1];
    expect(await lineOf('attempts', 'x')).to.match(
      /1 +failed +node-1 +.* 2\.00? s +timeout: too long/,
    );
    expect(await lineOf('dependents', 'x')).to.match(/^QUEUED .* y$/);
    expect(await lineOf('workflows')).to.match(/^RUNNING +3\/4 .* report +w$/);
    expect(await lineOf('events')).to.match(/elected +node-2 +4 +\{"pid":7\}$/);
  });

  it('lists types with what holds them back, and changes that', async () => {
    const type = {
      type: 'render',
      paused: true,
      max_running: null,
      handled: true,
      nodes: ['a', 'b'],
    };
    const asked: string[] = [];
    const { url } = await node(({ method, path, body }) => {
      asked.push(`${method} ${path} ${body}`);
      return ok(method === 'GET' ? [type] : { ...type, paused: false, max_running: 4 });
    });
    const { out } = await skein(['types', '--url', url]);
    expect(out.split('\n').slice(0, 2)).to.deep.equal([
      'TYPE    STATE   MAX RUNNING  NODES',
      'render  paused         none  a, b',
    ]);
    const limited = await skein(['limit', 'render', '4', '--url', url]);
    expect(limited.out).to.equal('render: runs, 4 at the same time at most\n');
    await skein(['limit', 'render', 'none', '--url', url]);
    await skein(['pause', 'render', '--url', url]);
    await skein(['resume', 'render', '--url', url]);
    expect(asked.slice(1)).to.deep.equal([
      'PATCH /types/render {"max_running":4}',
      'PATCH /types/render {"max_running":null}',
      'PATCH /types/render {"paused":true}',
      'PATCH /types/render {"paused":false}',
    ]);
  });
});
