import net from 'node:net';
import { expect } from 'chai';
import { addNode, eventually, request, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: what every call has in common, the probes, the cluster, overload, and stopping.
 * Method: real HTTP; the database is cut off by a TCP proxy that stands in between.
 */
describe('the REST face of a node', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  it('answers 404 to an unknown route and 405 to an unknown method, with what is allowed', async () => {
    const unknown = await api.get('/nothing/here');
    expect(unknown.status).to.equal(404);
    expect(unknown.headers.get('content-type')).to.equal('application/problem+json');
    expect(unknown.body).to.include({ type: 'urn:skein:problem:not_found', status: 404 });
    const method = await request(`${api.url}/tasks/a`, { method: 'DELETE' });
    expect(method.status).to.equal(405);
    expect(method.headers.get('allow')).to.equal('GET, HEAD, PATCH');
    expect((await request(`${api.url}/tasks`, { method: 'PUT' })).headers.get('allow')).to.equal(
      'GET, HEAD, POST',
    );
  });

  it('logs what made a request fail unexpectedly, also one whose body was read', async () => {
    await api.close();
    const errors: string[] = [];
    api = await startApi({
      onError: (message, fields) => errors.push(`${message} ${JSON.stringify(fields)}`),
    });
    await api.sql.query('drop table skein.inbox');
    const answer = await api.post('/tasks', { id: 'a', type: 'noop' });
    expect([answer.status, answer.body['code']]).to.deep.equal([500, 'internal']);
    expect(errors.join()).to.include('skein.inbox').and.include(String(answer.body['request_id']));
  });

  it('echoes the id of a request, or makes one, also in problems', async () => {
    const given = await api.get('/tasks/none', { 'x-request-id': 'trace:1.a' });
    expect(given.headers.get('x-request-id')).to.equal('trace:1.a');
    expect(given.body['request_id']).to.equal('trace:1.a');
    const odd = await api.get('/healthz', { 'x-request-id': 'no spaces, please' });
    expect(odd.headers.get('x-request-id')).to.match(/^[0-9a-f-]{36}$/);
  });

  it('answers HEAD like GET without the body', async () => {
    const head = await request(`${api.url}/tasks`, { method: 'HEAD' });
    expect(head.status).to.equal(200);
    expect(head.text).to.equal('');
  });

  it('counts each request by its route, never by its path', async () => {
    await api.get('/tasks/some-id');
    await api.get('/what/ever');
    expect(api.requests).to.deep.equal(['GET /tasks/{id} 404', 'GET other 404']);
  });

  it('says that it lives, whether it is ready, and whether it leads', async () => {
    expect((await api.get('/healthz')).body).to.deep.equal({ status: 'ok' });
    expect((await api.get('/readyz')).body).to.deep.equal({ ready: true, reasons: [] });
    api.state.ready = false;
    const unready = await api.get('/readyz');
    expect(unready.status).to.equal(503);
    expect(unready.body['reasons']).to.deep.equal(['not migrated']);
    expect((await api.get('/leader')).status).to.equal(404);
    api.state.isLeader = true;
    expect((await api.get('/leader')).status).to.equal(200);
    const metrics = await api.get('/metrics');
    expect(metrics.headers.get('content-type')).to.equal('text/plain; version=0.0.4');
    expect(metrics.text).to.equal('up 1\n');
  });

  it('shows the cluster: term, leader, nodes by their latest incarnation, counts', async () => {
    expect((await api.get('/cluster')).body).to.deep.include({ term: 0, leader: null, nodes: [] });
    await api.post(
      '/tasks/batch',
      ['a', 'b', 'c', 'd'].map((id) => ({ id, type: 'noop' })),
    );
    await api.sql.query(`update skein.node set state = 'dead'`);
    await addNode(api.sql, 'node-1');
    const leader = await addNode(api.sql, 'node-1');
    await api.sql.query(
      `update skein.term set term = 4, leader_node_id = $1, leader_name = 'node-1'`,
      [leader],
    );
    await api.lease('a', 'node-2');
    await api.end('b', 'COMPLETED');
    await api.end('c', 'SKIPPED');
    await eventually(async () => {
      const { counts } = (await api.get('/cluster')).body as { counts: { RUNNING: number } };
      return counts.RUNNING === 1;
    });
    const { body } = await api.get('/cluster');
    expect(body).to.deep.include({
      term: 4,
      leader: 'node-1',
      counts: { QUEUED: 1, RUNNING: 1, COMPLETED: 1, FAILED: 0, CANCELLED: 0, SKIPPED: 1 },
    });
    const nodes = body['nodes'] as Record<string, unknown>[];
    expect(nodes.map(({ name }) => name)).to.deep.equal(['node-1', 'node-2']);
    expect(nodes[0]).to.deep.include({
      id: leader,
      pid: 42,
      state: 'alive',
      is_leader: true,
      slots: 3,
      running: 0,
      types: ['noop'],
      version: '0.1.0',
    });
    expect(nodes[1]).to.include({ is_leader: false, running: 1 });
    expect((await api.get('/nodes')).body).to.have.length(2);
    expect((await api.get('/nodes/node-2')).body).to.include({ name: 'node-2' });
    expect((await api.get('/nodes/node-9')).status).to.equal(404);
    await api.sql.query(`update skein.node set state = 'dead' where name = 'node-1'`);
    expect((await api.get('/cluster')).body['leader']).to.equal(null);
  });

  it('lists events newest first, page by page', async () => {
    await api.sql.query(
      `insert into skein.event (kind, node_name, term, detail)
       values ('elected', 'node-1', 1, '{"reason":"start"}'), ('joined', 'node-2', 1, '{}')`,
    );
    const first = await api.get('/events?limit=1');
    expect((first.body as unknown as object[])[0]).to.deep.include({
      kind: 'joined',
      node: 'node-2',
      term: 1,
      detail: {},
    });
    const link = /^<([^>]+)>/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    const second = await api.get(link);
    expect((second.body as unknown as object[])[0]).to.deep.include({
      kind: 'elected',
      detail: { reason: 'start' },
    });
  });

  it('ends a wait with the task as it is when the node stops, and takes no more requests', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const waiting = api.get('/tasks/a?wait=60s');
    await eventually(() => Promise.resolve(api.feed.watched.size === 1));
    await api.server.stop();
    const answer = await waiting;
    expect(answer.status).to.equal(202);
    expect(answer.body).to.include({ status: 'QUEUED' });
    expect(await api.get('/healthz').catch(() => 'refused')).to.equal('refused');
  });

  it('lets a running submit finish when it stops', async () => {
    await api.post('/tasks', { id: 'p', type: 'noop' });
    const other = await api.session();
    await other.query('begin');
    await other.query(`select from skein.task where id = 'p' for update`);
    const submit = api.post('/tasks/batch', [{ id: 'c', type: 'noop', dependencies: ['p'] }]);
    await eventually(
      async () =>
        (await api.rows(`select 1 from pg_stat_activity where wait_event = 'transactionid'`))
          .length > 0,
    );
    const stopped = api.server.stop();
    await other.query('rollback');
    expect((await submit).status).to.equal(201);
    await stopped;
  });
});

describe('a node under too much load', () => {
  it('refuses more waiting requests than it may hold', async () => {
    const api = await startApi({ limits: { waitersMax: 1 } });
    try {
      await api.post('/tasks', { id: 'a', type: 'noop' });
      const waiting = api.get('/tasks/a?wait=60s');
      await eventually(() => Promise.resolve(api.feed.watched.size === 1));
      const refused = await api.get('/tasks/a?wait=1s');
      expect(refused.status).to.equal(429);
      expect(refused.headers.get('retry-after')).to.equal('1');
      await api.end('a', 'COMPLETED');
      expect((await waiting).status).to.equal(200);
    } finally {
      await api.close();
    }
  });

  it('refuses bodies beyond what it may hold in memory, and holds none when they are done', async () => {
    const api = await startApi({ limits: { bodyBytesMax: 100_000 } });
    try {
      const big = { type: 'noop', payload: 'x'.repeat(120_000) };
      expect((await api.post('/tasks', big)).status).to.equal(429);
      for (let i = 0; i < 5; i++) {
        const answer = await api.post('/tasks', { type: 'noop', payload: 'x'.repeat(60_000) });
        expect(answer.status).to.equal(201);
      }
      const lines = Array.from({ length: 1000 }, () => '{"type":"noop"}').join('\n');
      const many = await api.postRaw('/tasks/batch', lines, 'application/x-ndjson');
      expect(many.status).to.equal(429);
      expect((await api.rowCounts())['task']).to.equal(5);
    } finally {
      await api.close();
    }
  });
});

/** A TCP proxy to PostgreSQL that can be cut, silenced, and told to swallow the answer to COMMIT. */
class Proxy {
  readonly #server = net.createServer((client) => {
    this.#accept(client);
  });
  readonly #sockets = new Set<net.Socket>();
  #target = { host: '', port: 0 };
  isCut = false;
  isSilent = false;
  /** Cuts the connection instead of passing the answer to the next COMMIT on. */
  losesNextCommit = false;
  losses = 0;

  async start(url: string): Promise<string> {
    const parsed = new URL(url);
    this.#target = { host: parsed.hostname, port: Number(parsed.port) };
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    parsed.hostname = '127.0.0.1';
    parsed.port = String((this.#server.address() as net.AddressInfo).port);
    return parsed.href;
  }

  cut(): void {
    this.isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: net.Socket): void {
    if (this.isCut) {
      client.destroy();
      return;
    }
    const server = net.connect(this.#target);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (data) => {
      if (!this.isSilent) server.write(data);
    });
    server.on('data', (data) => {
      if (this.losesNextCommit && data.includes('COMMIT\0')) {
        this.losesNextCommit = false;
        this.losses += 1;
        client.destroy();
      } else if (!this.isSilent) client.write(data);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  }
}

describe('a node whose database goes away', () => {
  let proxy: Proxy;
  let api: Api;
  beforeEach(async () => {
    proxy = new Proxy();
    api = await startApi({ databaseUrl: (url) => proxy.start(url) });
  });
  afterEach(async () => {
    proxy.isSilent = false;
    await api.close();
    await proxy.stop();
  });

  it('answers 503 with Retry-After to all that needs it, and serves again when it is back', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    proxy.cut();
    const calls = [
      api.post('/tasks', { id: 'b', type: 'noop' }),
      api.post('/tasks/batch', [{ id: 'c', type: 'noop' }]),
      api.get('/tasks/a'),
      api.get('/tasks'),
      api.get('/cluster'),
      api.patch('/tasks/a', { priority: 1 }),
      api.post('/tasks/a/cancel', {}),
    ];
    for (const answer of await Promise.all(calls)) {
      expect(answer.status).to.equal(503);
      expect(answer.headers.get('retry-after')).to.equal('1');
      expect(answer.body).to.include({ code: 'database_unavailable' });
      expect(answer.text).not.to.include('127.0.0.1');
    }
    expect((await api.get('/healthz')).status).to.equal(200);
    proxy.isCut = false;
    expect((await api.post('/tasks', { id: 'b', type: 'noop' })).status).to.equal(201);
    expect((await api.rowCounts())['task']).to.equal(2);
  });

  it('answers 503 by a code of its own where the server that it reaches takes no writes', async () => {
    const alter = (value: string): Promise<unknown> =>
      api.rows(`do $$ begin execute format(
        'alter database %I set default_transaction_read_only = ${value}', current_database()); end $$`);
    await alter('on');
    const answer = await api.post('/tasks', { id: 'a', type: 'noop' });
    expect(answer.status).to.equal(503);
    expect(answer.headers.get('retry-after')).to.equal('1');
    expect(answer.body).to.include({ code: 'database_not_primary' });
    await alter('off');
    expect((await api.post('/tasks', { id: 'a', type: 'noop' })).status).to.equal(201);
  });

  it('does not hang on a connection that is open and silent', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    proxy.isSilent = true;
    const answers = await Promise.all([
      api.get('/tasks/a'),
      api.post('/tasks', { id: 'b', type: 'noop' }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal([503, 503]);
    proxy.isSilent = false;
    proxy.isCut = false;
    expect((await api.get('/tasks/a')).status).to.equal(200);
  });

  it('looks its rows up when the answer to a COMMIT is lost, and stores nothing twice', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    proxy.losesNextCommit = true;
    expect((await api.post('/tasks', { id: 'b', type: 'noop' })).status).to.equal(201);
    proxy.losesNextCommit = true;
    const batch = await api.post('/tasks/batch', [{ id: 'c', type: 'noop' }]);
    expect(batch.status).to.equal(201);
    expect(proxy.losses).to.equal(2);
    expect(await api.rowCounts()).to.include({ task: 3, live: 3, inbox: 3 });
  });
});
