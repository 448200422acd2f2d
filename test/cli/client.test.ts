import { expect } from 'chai';
import { ClientError } from '../../node/client/client-error.ts';
import { SkeinClient } from '../../node/client/client.ts';
import type { Clock } from '../../node/base/clock.ts';
import { systemClock } from '../../node/base/clock.ts';
import { deadUrl, startScripted } from './support.ts';
import type { Reply, Request, ScriptedNode } from './support.ts';

/**
 * Goal: a client of several nodes loses no request and doubles none, whichever node fails how. Method:
 * real HTTP against nodes that follow a script; pauses between rounds take no time.
 */
const noPauses: Clock = { ...systemClock, sleep: () => Promise.resolve() };

const problem = (status: number, code: string, more: object = {}): Reply => ({
  status,
  body: { type: `urn:skein:problem:${code}`, status, detail: `it is ${code}`, code, ...more },
});
const cluster: Reply = { status: 200, body: { term: 1, leader: 'node-1', nodes: [], counts: {} } };
const idOf = ({ body }: Request): string => String((JSON.parse(body) as { id?: unknown }).id);

describe('SkeinClient', () => {
  const nodes: ScriptedNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });

  async function node(reply: (request: Request, count: number) => Reply): Promise<ScriptedNode> {
    const started = await startScripted(reply);
    nodes.push(started);
    return started;
  }

  function clientOf(...urls: readonly string[]): SkeinClient {
    return new SkeinClient({ urls, clock: noPauses, timeoutMs: 20_000 });
  }

  async function failureOf(action: Promise<unknown>): Promise<ClientError> {
    try {
      await action;
    } catch (error) {
      if (error instanceof ClientError) return error;
      throw error;
    }
    throw new Error('it did not fail');
  }

  it('turns a problem document into an error with its code and its faults', async () => {
    const errors = [{ pointer: '#/priority', detail: 'must be at most 100' }];
    const { url } = await node(() => problem(400, 'invalid', { errors }));
    const error = await failureOf(clientOf(url).submitTask({ type: 'noop' }));
    expect(error).to.include({ status: 400, code: 'invalid', message: 'it is invalid' });
    expect(error.errors).to.deep.equal(errors);
    expect(error.isTransient).to.equal(false);
  });

  it('says which node cannot be reached, and asks a single one that is not there only once', async () => {
    const url = await deadUrl();
    const error = await failureOf(clientOf(url).cluster());
    expect(error).to.include({ status: 0, code: 'unreachable', isTransient: true });
    expect(error.message).to.equal(`cannot reach ${url} (ECONNREFUSED)`);
  });

  it('says so when what answers is no node', async () => {
    const page = await node(() => ({ status: 200, text: '<html>' }));
    const other = await node(() => ({ status: 404, text: 'no' }));
    expect(await failureOf(clientOf(page.url).cluster())).to.include({ code: 'not_skein' });
    expect(await failureOf(clientOf(other.url).cluster())).to.include({
      code: 'not_skein',
      status: 404,
    });
  });

  for (const [what, fault] of [
    ['that drops the connection', 'drop'],
    ['that is busy', problem(503, 'stopping')],
  ] as const) {
    it(`goes on to the next node after one ${what}, and stays there`, async () => {
      const bad = await node(() => fault);
      const good = await node(() => cluster);
      const client = clientOf(await deadUrl(), bad.url, good.url);
      expect(await client.cluster()).to.include({ leader: 'node-1' });
      await client.cluster();
      expect([bad.requests.length, good.requests.length]).to.deep.equal([1, 2]);
    });
  }

  it('asks busy nodes again, three times in all', async () => {
    const slow = await node((_request, count) => (count < 3 ? problem(503, 'stopping') : cluster));
    expect(await clientOf(slow.url).cluster()).to.include({ term: 1 });
    const never = await node(() => problem(429, 'overloaded'));
    expect(await failureOf(clientOf(never.url).cluster())).to.include({ code: 'overloaded' });
    expect(never.requests).to.have.lengthOf(3);
  });

  it('gives no node the time of all: one that is silent is left for the next', async () => {
    const silent = await node(() => 'silence');
    const good = await node(() => cluster);
    const client = new SkeinClient({ urls: [silent.url, good.url], timeoutMs: 400 });
    expect(await client.cluster()).to.include({ term: 1 });
  });

  it('ends every call by its deadline', async () => {
    const silent = await node(() => 'silence');
    const client = new SkeinClient({ urls: [silent.url], timeoutMs: 50 });
    expect(await failureOf(client.cluster())).to.include({ code: 'deadline', status: 0 });
  });

  it('needs a url', () => {
    expect(() => new SkeinClient({ urls: [] })).to.throw(RangeError);
  });

  describe('submitting', () => {
    it('sends a task under one id to every node it tries, chosen here if need be', async () => {
      const bad = await node(() => 'drop');
      const good = await node((request) => ({
        status: 201,
        body: { id: idOf(request), status: 'QUEUED' },
      }));
      const { id } = await clientOf(bad.url, good.url).submitTask({ type: 'noop' });
      expect([...bad.requests, ...good.requests].map(idOf)).to.deep.equal([id, id]);
    });

    const conflict = (sameBody: boolean): Reply =>
      problem(409, 'conflict', { existing: { id: 'a', status: 'RUNNING', same_body: sameBody } });

    it('takes its own task for accepted when the first answer was lost', async () => {
      const lost = await node(() => 'drop');
      const good = await node(() => conflict(true));
      const answer = await clientOf(lost.url, good.url).submitTask({ id: 'a', type: 'noop' });
      expect(answer).to.deep.equal({ id: 'a', status: 'RUNNING' });
    });

    it("does not take another's task for its own", async () => {
      const lost = await node(() => 'drop');
      const good = await node(() => conflict(false));
      const task = { id: 'a', type: 'noop' };
      const error = await failureOf(clientOf(lost.url, good.url).submitTask(task));
      expect(error).to.include({ status: 409, isRepeated: true });
    });

    it('reports a conflict at the first try, and after one that was certainly not carried out', async () => {
      const good = await node(() => conflict(true));
      const stopping = await node(() => problem(503, 'stopping'));
      const task = { id: 'a', type: 'noop' };
      for (const urls of [[good.url], [await deadUrl(), good.url], [stopping.url, good.url]]) {
        const error = await failureOf(clientOf(...urls).submitTask(task));
        expect(error).to.include({ status: 409, isRepeated: false });
      }
    });

    it('knows a batch by the ids it made', async () => {
      const lost = await node(() => 'drop');
      const stored = await node((request) =>
        problem(409, 'conflict', {
          existing_count: (JSON.parse(request.body) as unknown[]).length,
        }),
      );
      const client = clientOf(lost.url, stored.url);
      const { count, ids } = await client.submitBatch([
        { id: 'a', type: 'noop' },
        { type: 'noop' },
      ]);
      expect(count).to.equal(2);
      expect(ids[0]).to.equal('a');
      expect(ids[1]).to.match(/^[0-9a-f-]{36}$/);
    });

    it('cannot know a batch whose ids are all of the caller', async () => {
      const lost = await node(() => 'drop');
      const stored = await node(() => problem(409, 'conflict', { existing_count: 1 }));
      const client = clientOf(lost.url, stored.url);
      const error = await failureOf(client.submitBatch([{ id: 'a', type: 'noop' }]));
      expect(error).to.include({ status: 409, isRepeated: true });
    });

    it('does not take a batch for stored of which only a part exists', async () => {
      const lost = await node(() => 'drop');
      const stored = await node(() => problem(409, 'conflict', { existing_count: 1 }));
      const client = clientOf(lost.url, stored.url);
      const tasks = [{ id: 'a', type: 'noop' }, { type: 'noop' }];
      expect(await failureOf(client.submitBatch(tasks))).to.include({ status: 409 });
    });

    it('knows a workflow by the id it made', async () => {
      const lost = await node(() => 'drop');
      const stored = await node(({ method }) =>
        method === 'POST'
          ? problem(409, 'conflict')
          : { status: 200, body: { id: 'w', name: 'nightly', status: 'RUNNING', counts: {} } },
      );
      const client = clientOf(lost.url, stored.url);
      const workflow = { name: 'nightly', tasks: [{ type: 'noop' }] };
      expect(await client.submitWorkflow(workflow)).to.include({ name: 'nightly', count: 1 });
      const error = await failureOf(client.submitWorkflow({ ...workflow, id: 'mine' }));
      expect(error).to.include({ status: 409 });
    });

    it('streams lines to the first node that is ready, once', async () => {
      const busy = await node(() => ({ status: 503, body: { ready: false, reasons: [] } }));
      const good = await node(({ path }) =>
        path === '/readyz' ? { status: 200, body: {} } : { status: 201, body: { count: 2 } },
      );
      const lines = ['{"type":"a"}', '{"type":"ü"}'];
      const client = clientOf(await deadUrl(), busy.url, good.url);
      expect(await client.submitNdjson(lines)).to.deep.equal({ count: 2 });
      expect(good.requests.at(-1)).to.deep.equal({
        method: 'POST',
        path: '/tasks/batch',
        body: '{"type":"a"}\n{"type":"ü"}\n',
      });
      const broken = await node(({ path }) =>
        path === '/readyz' ? { status: 200, body: {} } : 'drop',
      );
      const error = await failureOf(clientOf(broken.url, good.url).submitNdjson(lines));
      expect(error).to.include({ code: 'unreachable' });
      expect(broken.requests).to.have.lengthOf(2);
    });
  });

  it('takes a repeated retry for done when the task is on its way again', async () => {
    const lost = await node(() => 'drop');
    const good = await node(() =>
      problem(409, 'conflict', { existing: { id: 'a', status: 'QUEUED' } }),
    );
    expect(await clientOf(lost.url, good.url).retryTask('a')).to.deep.equal({
      id: 'a',
      status: 'QUEUED',
    });
    expect(await failureOf(clientOf(good.url).retryTask('a'))).to.include({ status: 409 });
  });

  it('follows the pages of a list, no further than they are read', async () => {
    const { url, requests } = await node(({ path }) => {
      const page = Number(new URL(path, 'http://x').searchParams.get('cursor') ?? '1');
      return {
        status: 200,
        // A page may be empty and still have a next one.
        body: page === 2 ? [] : [{ id: `t${String(page)}` }],
        ...(page === 4 ? {} : { next: `/tasks?tag=a%20b&cursor=${String(page + 1)}` }),
      };
    });
    const client = clientOf(url);
    const ids: string[] = [];
    for await (const { id } of client.listTasks({ tag: 'a b', pageSize: 1 })) ids.push(id);
    expect(ids).to.deep.equal(['t1', 't3', 't4']);
    expect(requests.map(({ path }) => path)).to.deep.equal([
      '/tasks?tag=a+b&limit=1',
      ...[2, 3, 4].map((page) => `/tasks?tag=a%20b&cursor=${String(page)}`),
    ]);
    for await (const { id } of client.listTasks()) {
      expect(id).to.equal('t1');
      break;
    }
    expect(requests).to.have.lengthOf(5);
  });

  it('keeps ids whole in paths, and asks for waits in pieces that a node takes', async () => {
    const task = { id: 'a/b c', status: 'COMPLETED' };
    const { url, requests } = await node((_request, count) => ({
      status: count < 3 ? 202 : 200,
      body: task,
    }));
    expect(await clientOf(url).getTask('a/b c', { waitMs: 600_000 })).to.deep.equal(task);
    const paths = requests.map(({ path }) => path);
    expect(paths.slice(0, 2)).to.deep.equal(Array(2).fill('/tasks/a%2Fb%20c?wait=300000ms'));
    expect(paths).to.have.lengthOf(3);
  });
});
