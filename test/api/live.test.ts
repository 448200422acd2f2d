import { expect } from 'chai';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import { LiveClient } from '../../node/api/live/client.ts';
import { Topic } from '../../node/api/live/topic.ts';
import { LiveServer } from '../../node/api/live/server.ts';
import { systemClock } from '../../node/base/clock.ts';
import { LOCAL_CALLER } from '../../node/core/access.ts';
import { AttentionReader } from '../../node/store/attention-reader.ts';
import { ClusterReader } from '../../node/store/cluster-reader.ts';
import { Schedules } from '../../node/store/schedules.ts';
import { TaskReader } from '../../node/store/task-reader.ts';
import { WorkflowReader } from '../../node/store/workflow-reader.ts';
import { connect, isA } from './live-support.ts';
import type { Seen } from './live-support.ts';
import { eventually, startApi } from './support.ts';
import type { Api, Body } from './support.ts';

/**
 * Goal: a client of `/ws` sees what REST would answer, soon after it changes, and is told when not.
 * Method: real sockets against a real database; what a leader would do is done by hand.
 */
const ignore = (): void => undefined;

/** The status that an upgrade is refused with. */
async function refusalOf(api: Api, path: string, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}${path}`, { headers });
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    { statusCode: number; resume(): void },
  ];
  response.resume();
  socket.terminate();
  return response.statusCode;
}

describe('the live protocol', () => {
  let api: Api;
  const open: Seen[] = [];
  const join = async (headers: Record<string, string> = {}): Promise<Seen> => {
    const seen = connect(api, headers);
    open.push(seen);
    await seen.hear('hello', (message) => message['type'] === 'hello');
    return seen;
  };
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    for (const { socket } of open.splice(0)) socket.terminate();
    await api.close();
  });

  it('greets with its epoch and the addresses of the living nodes', async () => {
    await api.post('/tasks', { id: 'x', type: 'noop' });
    await api.lease('x', 'node-7');
    const { messages } = await join();
    expect(messages[0]).to.include({ type: 'hello', protocol: 1 });
    expect(messages[0]?.['peers']).to.deep.equal(['http://127.0.0.1:1']);
  });

  it('sends a list as REST answers it, and then what has changed', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop', tags: ['blue'] });
    await api.post('/tasks', { id: 'other', type: 'noop' });
    const client = await join();
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'tasks', tag: 'blue' } });
    const snapshot = await client.hear('a snapshot', isA('snapshot'));
    const { body } = await api.get('/tasks?tag=blue');
    expect(snapshot['rows']).to.deep.equal(body);
    await api.end('one', 'COMPLETED');
    const delta = await client.hear('a delta', isA('delta'));
    expect(delta['from']).to.equal(snapshot['seq']);
    expect((delta['rows'] as Body[])[0]).to.include({ id: 'one', status: 'COMPLETED' });
    expect(delta).not.to.have.property('order');
  });

  it('tells of a new row by the order, and of one that left the view', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    const client = await join();
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'tasks', status: 'QUEUED' } });
    await client.hear('a snapshot', isA('snapshot'));
    await api.post('/tasks', { id: 'two', type: 'noop' });
    const grown = await client.hear('two', isA('delta'));
    expect(grown['order']).to.deep.equal(['two', 'one']);
    expect((grown['rows'] as Body[]).map(({ id }) => id)).to.deep.equal(['two']);
    await api.end('one', 'COMPLETED');
    await client.hear('one is gone', ({ order }) => JSON.stringify(order) === '["two"]');
  });

  it('shows one task with its attempts, follows it, and shows its end', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop', payload: { text: '<b>' } });
    const client = await join();
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'task', id: 'one' } });
    const { fields } = await client.hear('a snapshot', isA('snapshot'));
    expect(fields).to.deep.include({ id: 'one', status: 'QUEUED', payload: { text: '<b>' } });
    const seq = await api.seqOf('one');
    await eventually(() =>
      Promise.resolve(api.feed.follows.some(({ seqs }) => seqs.includes(seq))),
    );
    await api.end('one', 'COMPLETED');
    api.feed.sayNews({ seqs: [seq], changedTo: [1], nodeIds: [0] });
    const delta = await client.hear('a delta', isA('delta'));
    expect(delta['fields']).to.include({ status: 'COMPLETED' });
    expect(delta['fields']).not.to.have.property('payload');
  });

  it('shows a workflow with the edges of its graph, and counts', async () => {
    await api.post('/workflows', {
      id: 'w',
      tasks: [
        { id: 'a', type: 'noop' },
        { id: 'b', type: 'noop', dependencies: ['a'] },
      ],
    });
    const client = await join();
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'workflow', id: 'w' } });
    const { fields, rows } = await client.hear('a snapshot', isA('snapshot'));
    expect((fields as Body)['counts']).to.include({ QUEUED: 2 });
    expect((rows as Body[])[1]).to.deep.include({ id: 'w/b', dependencies: ['w/a'] });
  });

  it('shows the cluster with its history, its nodes, its workflows and its events', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await api.lease('one', 'node-7');
    const client = await join();
    for (const view of ['overview', 'nodes', 'workflows', 'events']) {
      client.say({ type: 'subscribe', sub: view, to: { view } });
    }
    const { fields } = await client.hear('overview', isA('snapshot', 'overview'));
    expect((fields as Body)['counts']).to.include({ RUNNING: 1 });
    expect((fields as Body)['history']).to.have.length(1);
    const nodes = await client.hear('nodes', isA('snapshot', 'nodes'));
    expect((nodes['rows'] as Body[])[0]).to.include({ id: 'node-7', running: 1 });
    await client.hear('workflows', isA('snapshot', 'workflows'));
    await client.hear('events', isA('snapshot', 'events'));
  });

  it('resumes by the sequence number, and begins anew for a number of another node', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    const first = await join();
    const to = { view: 'tasks', status: 'QUEUED' };
    first.say({ type: 'subscribe', sub: 'a', to });
    const { seq, epoch } = await first.hear('a snapshot', isA('snapshot'));
    first.socket.close();
    await once(first.socket, 'close');
    await api.post('/tasks', { id: 'two', type: 'noop' });
    const second = await join();
    second.say({ type: 'subscribe', sub: 'a', to, resume: { epoch, seq } });
    await second.hear('what was missed', ({ type, order }) => {
      return type === 'delta' && JSON.stringify(order) === '["two","one"]';
    });
    second.say({ type: 'subscribe', sub: 'b', to, resume: { epoch: 'another', seq } });
    await second.hear('a snapshot', isA('snapshot', 'b'));
    expect(second.messages.some(isA('snapshot'))).to.equal(false);
  });

  it('reads once for all that watch the same, and not at all when nobody does', async () => {
    let reads = 0;
    const workflows = new WorkflowReader(api.database);
    const live = new LiveServer({
      clock: systemClock,
      log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      feed: api.feed,
      door: { check: ignore, admit: () => Promise.resolve(LOCAL_CALLER) },
      clientsMax: 10,
      cluster: new ClusterReader({ session: api.database, clock: systemClock }),
      tasks: new TaskReader(api.database),
      schedules: new Schedules(api.database),
      attention: new AttentionReader({ session: api.database, clock: systemClock }),
      workflows: {
        find: (id) => workflows.find(id),
        unfinished: (id, limit) => workflows.unfinished(id, limit),
        graph: (id, most) => workflows.graph(id, most),
        list: (limit, before) => {
          reads += 1;
          return workflows.list(limit, before);
        },
      },
    });
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    live.attach(server);
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect(live.isAwake).to.equal(false);
    const clients = Array.from({ length: 6 }, () => connect({ url }));
    for (const client of clients) {
      await client.hear('hello', ({ type }) => type === 'hello');
      client.say({ type: 'subscribe', sub: 'a', to: { view: 'workflows' } });
    }
    for (const client of clients) await client.hear('a snapshot', isA('snapshot'));
    expect(reads).to.be.lessThan(clients.length);
    for (const { socket } of clients) socket.terminate();
    await eventually(() => Promise.resolve(!live.isAwake));
    await live.stop();
    server.close();
  });

  it('says what is wrong with a view, and mends it when it can be read', async () => {
    const client = await join();
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'task', id: 'late' } });
    const { fault } = await client.hear('a fault', isA('fault'));
    expect(fault).to.include({ code: 'not_found' });
    await api.post('/tasks', { id: 'late', type: 'noop' });
    await client.hear('a snapshot', isA('snapshot'));
  });

  it('refuses what is no message, and goes on', async () => {
    const client = await join();
    client.socket.send('{"type":"subscribe"');
    const { fault } = await client.hear('a fault', ({ type }) => type === 'fault');
    expect(fault).to.include({ code: 'invalid' });
    client.say({ type: 'ping' });
    await client.hear('pong', ({ type }) => type === 'pong');
  });

  it('closes on a frame above 64 KiB', async () => {
    const client = await join();
    const closed = once(client.socket, 'close');
    client.socket.send('x'.repeat(64 * 1024 + 1));
    expect((await closed)[0]).to.equal(1009);
  });

  it('closes on a client that talks without end', async () => {
    const client = await join();
    const closed = once(client.socket, 'close');
    for (let said = 0; said < 200; said++) client.say({ type: 'ping' });
    expect((await closed)[0]).to.equal(1008);
  });

  it('gives a client a bounded number of views', async () => {
    const client = await join();
    for (let view = 0; view < 9; view++) {
      const to = { view: 'task', id: String(view) };
      client.say({ type: 'subscribe', sub: String(view), to });
    }
    const { fault } = await client.hear('a refusal', ({ type, sub, fault: said }) => {
      return type === 'fault' && sub === '8' && (said as Body)['code'] === 'overloaded';
    });
    expect(fault).to.be.an('object');
  });

  it('refuses pages of another origin, other paths, and one client too many', async () => {
    const { host } = new URL(api.url);
    expect(await refusalOf(api, '/ws', { origin: 'http://elsewhere.example' })).to.equal(403);
    expect(await refusalOf(api, '/ws', { origin: 'null' })).to.equal(403);
    expect(await refusalOf(api, '/other', {})).to.equal(404);
    await join({ origin: `http://${host}` });
    await api.close();
    api = await startApi({ limits: { liveClientsMax: 1 } });
    await join();
    expect(await refusalOf(api, '/ws', {})).to.equal(503);
  });

  it('tells its clients to go elsewhere when it stops', async () => {
    const client = await join();
    const closed = once(client.socket, 'close');
    await api.server.stop();
    expect((await closed)[0]).to.equal(1001);
  });
});

describe('a topic of the live protocol', () => {
  const row = (id: string, n: number): { id: string; n: number } => ({ id, n });
  const parse = (text: string | null): Body => JSON.parse(`{${text ?? ''}}`) as Body;

  it('joins the deltas that were missed into one, with the latest of each row', () => {
    const topic = new Topic(0);
    topic.take({ fields: { a: 1, b: 1 }, rows: [row('x', 1)] });
    topic.take({ fields: { a: 2 }, rows: [row('x', 2), row('y', 2)] });
    topic.take({ fields: { a: 3 }, rows: [row('y', 3)] });
    expect(parse(topic.since(1))).to.deep.equal({
      ...{ seq: 3, from: 1, fields: { a: 3 }, dropped: ['b'] },
      ...{ rows: [row('y', 3)], order: ['y'] },
    });
  });

  it('keeps its number when nothing has changed', () => {
    const topic = new Topic(7);
    expect(topic.take({ fields: { a: [1] }, rows: [] })).to.equal(0);
    expect(topic.take({ fields: { a: [1] }, rows: [] })).to.equal(null);
    expect(topic.seq).to.equal(8);
  });

  it('knows nothing of numbers before its own, after its own, or out of its ring', () => {
    const topic = new Topic(7);
    for (let n = 0; n < 200; n++) topic.take({ fields: { n }, rows: [] });
    expect(topic.since(7)).to.equal(null);
    expect(topic.since(208)).to.equal(null);
    expect(parse(topic.since(200))).to.deep.include({ seq: 207, fields: { n: 199 } });
    expect(parse(topic.since(207))).to.deep.equal({ seq: 207, from: 207 });
  });
});

describe('a client of the live protocol that is slow', () => {
  it('gets nothing more while its line is full, and then the latest alone', () => {
    const state = new Topic(0);
    const sent: Body[] = [];
    const socket = {
      OPEN: 1,
      readyState: 1,
      bufferedAmount: 0,
      send: (text: string) => sent.push(JSON.parse(text) as Body),
    };
    const client = new LiveClient(socket as unknown as WebSocket, 'epoch', LOCAL_CALLER);
    const topic = {
      ...{ to: { view: 'events' } as const, state, fault: null, watchers: 1 },
      ...{ readMs: 0, hastenedMs: 0, paceMs: 0, leftMs: 0, seqs: new Map<number, string>() },
    };
    client.subscriptions.set('a', { topic, seq: null, fault: null, isNew: true });
    state.take({ fields: { n: 0 }, rows: [] });
    client.flush();
    socket.bufferedAmount = 1024 * 1024;
    for (let n = 1; n <= 200; n++) {
      state.take({ fields: { n }, rows: [] });
      client.flush();
    }
    expect(sent).to.have.length(1);
    socket.bufferedAmount = 0;
    client.flush();
    expect(sent).to.have.length(2);
    expect(sent[1]).to.deep.include({ type: 'snapshot', seq: 201, fields: { n: 200 } });
  });
});
