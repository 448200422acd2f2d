import { expect } from 'chai';
import type { Clock } from '../../node/base/clock.ts';
import { systemClock } from '../../node/base/clock.ts';
import { ok, skein, startScripted, taskBody as task } from './support.ts';
import type { Reply, Request, ScriptedNode } from './support.ts';

/** Goal: what `submit` sends, prints, and ends with. Method: real HTTP to nodes that follow a script. */
const noPauses: Clock = { ...systemClock, sleep: () => Promise.resolve() };

describe('skein submit', () => {
  const nodes: ScriptedNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });
  async function node(reply: (request: Request, count: number) => Reply): Promise<ScriptedNode> {
    const started = await startScripted(reply);
    nodes.push(started);
    return started;
  }

  it('prints the id alone, so that another command can take it', async () => {
    const { url, requests } = await node(() => ({
      status: 201,
      body: { id: 'a', status: 'QUEUED' },
    }));
    const input = '{"id":"a","type":"noop"}';
    expect(await skein(['submit', '-', '--url', url], { input })).to.include({
      code: 0,
      out: 'a\n',
    });
    expect(requests[0]).to.deep.equal({
      method: 'POST',
      path: '/tasks',
      body: '{"id":"a","type":"noop"}',
    });
    const asJson = await skein(['submit', '-', '--url', url, '--json'], { input });
    expect(asJson).to.deep.equal({ code: 0, out: '{"id":"a","status":"QUEUED"}\n', err: '' });
  });

  it('names every fault of a file that is refused', async () => {
    const errors = ['a', 'b', 'c', 'd'].map((field) => ({
      pointer: `#/${field}`,
      detail: 'is not a known field',
    }));
    const body = { status: 400, code: 'invalid', detail: 'the first few', errors };
    const { url } = await node(() => ({ status: 400, body }));
    const ran = await skein(['submit', '-', '--url', url], { input: '{}' });
    expect(ran).to.include({ code: 1, out: '' });
    for (const field of ['a', 'b', 'c', 'd']) expect(ran.err).to.include(`#/${field}: is not`);
  });

  for (const [last, code] of [
    ['COMPLETED', 0],
    ['FAILED', 1],
  ] as const) {
    it(`with --wait ends with ${String(code)} when the task is ${last}`, async () => {
      const error = { code: 'boom', message: 'no\u001b[31mred', retryable: false };
      const { url } = await node(({ method }, count) => {
        if (method === 'POST') return { status: 201, body: { id: 'a', status: 'QUEUED' } };
        if (count < 4) return { status: 202, body: task('a', 'RUNNING') };
        return ok(task('a', last, code === 1 ? { error } : {}));
      });
      const args = ['submit', '-', '--wait', '--url', url];
      const ran = await skein(args, { input: '{"type":"noop"}', clock: noPauses });
      const fault = code === 1 ? '  boom: no [31mred' : '';
      expect(ran).to.include({ code, out: `${last}${fault}  in 500 ms  a\n` });
    });
  }

  it('with --wait counts how the tasks of a batch ended', async () => {
    const { url } = await node(({ method, path }, count) => {
      if (method === 'POST') return { status: 201, body: { count: 2, ids: ['a', 'b'] } };
      const id = path.slice('/tasks/'.length);
      if (id === 'a' && count < 5) return ok(task(id, 'QUEUED'));
      return ok(task(id, id === 'a' ? 'COMPLETED' : 'SKIPPED'));
    });
    const args = ['submit', '-', '--wait', '--url', url];
    const input = '[{"type":"noop"},{"type":"noop"}]';
    const ran = await skein(args, { input, clock: noPauses });
    expect(ran).to.include({ code: 1, out: 'NOT COMPLETED  2 tasks  1 completed  1 skipped\n' });
    const asJson = await skein([...args, '--json'], { input, clock: noPauses });
    expect(asJson).to.deep.equal({
      code: 1,
      out: '{"counts":{"COMPLETED":1,"FAILED":0,"CANCELLED":0,"SKIPPED":1},"count":2}\n',
      err: '',
    });
  });

  it('with --wait gives an id to every line that has none', async () => {
    const { url, requests } = await node(({ path }) =>
      path === '/tasks/batch'
        ? { status: 201, body: { count: 2 } }
        : ok(task(path.slice('/tasks/'.length), 'COMPLETED')),
    );
    const input = '{"id":"a","type":"noop"}\n{"type":"noop"}\n';
    const ran = await skein(['submit', '-', '--wait', '--url', url], { input });
    expect(ran).to.include({ code: 0 });
    const sent =
      requests
        .find(({ path }) => path === '/tasks/batch')
        ?.body.trim()
        .split('\n') ?? [];
    const ids = sent.map((line) => (JSON.parse(line) as { id: string }).id);
    const asked = requests.filter(
      ({ path }) => path.startsWith('/tasks/') && path !== '/tasks/batch',
    );
    expect(asked.map(({ path }) => path)).to.have.members(ids.map((id) => `/tasks/${id}`));
    expect(ids[0]).to.equal('a');
  });
});
