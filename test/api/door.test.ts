import { expect } from 'chai';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { hostNamesOf } from '../../node/exposure.ts';
import { Door } from '../../node/api/access/door.ts';
import { networkOf, RateLimiter } from '../../node/api/access/rate-limiter.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { request, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: nobody gets past the door who must not, and nobody who comes through it wears a node out.
 * Method: real sockets; what a browser would send is written by hand, as no client of ours would.
 */
interface Raw {
  readonly status: number;
  readonly text: string;
}

/** A request with headers that `fetch` does not let one choose. */
async function raw(
  { url }: Api,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
  body = '',
): Promise<Raw> {
  const sent = httpRequest(url + path, { method, headers, setHost: headers['host'] === undefined });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode ?? 0, text };
}

/** The status of an upgrade to `/ws` with these headers. */
async function upgraded(api: Api, headers: Record<string, string>): Promise<number> {
  const sent = httpRequest(`${api.url}/ws`, {
    headers: {
      ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
      ...{ 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers },
    },
    setHost: headers['host'] === undefined,
  });
  sent.end();
  return new Promise((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
  });
}

describe('the door of a node', () => {
  let api: Api;
  before(async () => {
    api = await startApi({ door: { allowedHosts: ['skein.example'], hostNames: NAMES } });
  });
  after(() => api.close());
  const NAMES = new Set(['localhost', '127.0.0.1', '::1', 'skein.example']);

  // Seen to fail with the check of Host left out: a page of that site could have done everything.
  it('knows its own names, and none that begins or ends like one of them', async () => {
    for (const host of [
      'localhost',
      'LOCALHOST:80',
      '127.0.0.1:1',
      '[::1]:8080',
      'skein.example',
    ]) {
      expect((await raw(api, '/tasks', { host })).status, host).to.equal(200);
    }
    for (const host of [
      ...['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil-localhost'],
      ...['127.0.0.2', 'localhost@evil.example', '[::2]', '127.0.0.1:8080:1', 'skein.example.', ''],
    ]) {
      const { status, text } = await raw(api, '/tasks', { host });
      expect(status, host).to.equal(403);
      expect(text, host).not.to.include('evil');
      expect(await upgraded(api, { host }), host).to.equal(403);
    }
    expect((await raw(api, '/nothing-here', { host: 'evil.example' })).status).to.equal(403);
    expect((await raw(api, '/healthz', { host: 'evil.example' })).status).to.equal(403);
  });

  it('lets no page of another site change anything, or listen', async () => {
    const port = new URL(api.url).port;
    const foreign = ['http://evil.example', `http://127.0.0.1:${String(Number(port) + 1)}`, 'null'];
    const body = '{"type":"noop"}';
    const type = { 'content-type': 'application/json' };
    for (const origin of foreign) {
      const submit = await raw(api, '/tasks', { ...type, origin }, 'POST', body);
      expect(submit.status, origin).to.equal(403);
      expect((await raw(api, '/types/noop/pause', { origin }, 'POST')).status, origin).to.equal(
        403,
      );
      expect(await upgraded(api, { origin }), origin).to.equal(403);
    }
    const site = { 'sec-fetch-site': 'cross-site' };
    expect((await raw(api, '/types/noop/pause', site, 'POST')).status).to.equal(403);
    for (const origin of [api.url, 'https://skein.example']) {
      expect((await raw(api, '/tasks', { ...type, origin }, 'POST', body)).status).to.equal(201);
      expect(await upgraded(api, { origin }), origin).to.equal(101);
    }
    const [row] = await api.rows<{ n: string }>(
      'select count(*) as n from skein.type where paused',
    );
    expect(row?.n).to.equal('0');
  });

  it('lets no page of another site read an answer', async () => {
    const { headers, status } = await api.get('/tasks', { origin: 'http://evil.example' });
    expect(status).to.equal(200);
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).to.deep.equal(
      [],
    );
    const asked = await request(`${api.url}/tasks`, { method: 'OPTIONS' });
    expect(asked.status).to.equal(405);
    expect(asked.headers.get('access-control-allow-origin')).to.equal(null);
  });

  it('says with every answer what a browser must not do with it', async () => {
    for (const path of ['/tasks', '/nothing', '/healthz', '/metrics']) {
      const { headers } = await api.get(path);
      expect(headers.get('content-security-policy'), path).to.include("default-src 'none'");
      expect(headers.get('x-content-type-options'), path).to.equal('nosniff');
      expect(headers.get('x-frame-options'), path).to.equal('DENY');
      expect(headers.get('x-powered-by'), path).to.equal(null);
    }
  });

  it('refuses what is too deep, too large, too many, or a prototype, and never with a stack', async () => {
    const post = (text: string): Promise<Raw> =>
      raw(api, '/tasks', { 'content-type': 'application/json' }, 'POST', text);
    const bombs: readonly (readonly [string, number])[] = [
      ['['.repeat(1_000_000), 400],
      [`{"type":"noop","payload":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}`, 400],
      ['{"type":"noop","payload":{"__proto__":{"x":1}}}', 400],
      ['{"type":"noop","payload":{"constructor":{"prototype":{"x":1}}}}', 400],
      ['{"__proto__":{"type":"noop"}}', 400],
      [`"${'x'.repeat(17 * 1024 * 1024)}"`, 413],
      [`{"type":"noop","payload":"${'x'.repeat(300_000)}"}`, 413],
    ];
    for (const [text, status] of bombs) {
      const answer = await post(text);
      expect(answer.status, text.slice(0, 60)).to.equal(status);
      expect(answer.text).not.to.match(/\bat .*\.(ts|js):\d+/);
    }
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${String(i)}`, '1']));
    expect((await raw(api, '/tasks', many)).status).to.equal(431);
    expect((await raw(api, '/tasks', { 'x-long': 'x'.repeat(20_000) })).status).to.equal(431);
    expect((await api.get('/tasks?__proto__=1')).status).to.equal(400);
    expect((await api.get('/tasks/__proto__')).status).to.equal(404);
    expect((await api.get('/healthz')).status).to.equal(200);
  });

  it('answers others while a hundred clients send their headers and bodies slowly', async () => {
    const { port } = new URL(api.url);
    const open = 'POST /tasks HTTP/1.1\r\nhost: localhost\r\n';
    const withBody = `${open}content-type: application/json\r\ncontent-length: 100\r\n\r\n{"type`;
    const slow = Array.from({ length: 100 }, (_, i) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(i % 2 === 0 ? open : withBody);
      return socket;
    });
    for (let i = 0; i < 20; i++) expect((await api.get('/tasks?limit=1')).status).to.equal(200);
    for (const socket of slow) socket.destroy();
  });
});

describe('a door with a limit', () => {
  const setup = (isBehindProxy: boolean) => {
    const clock = new FakeClock();
    const keys = { findMany: () => Promise.resolve([]), touchMany: () => Promise.resolve() };
    const hostNames = new Set(['localhost']);
    const settings = { needsKeys: true, isBehindProxy, hostNames, allowedHosts: [], rateLimit: 10 };
    const door = new Door({ clock, log: SILENT, keys: keys as never, door: settings });
    const ask = (address: string, headers: object = {}): void => {
      const asked = { host: 'localhost', ...headers };
      door.check({
        method: 'GET',
        rawHeaders: [],
        headers: asked,
        socket: { remoteAddress: address },
      } as never);
    };
    const allowed = (address: string, headers?: object): number => {
      for (let count = 0; ; count++) {
        try {
          if (count === 1000) return Infinity;
          ask(address, headers);
        } catch (thrown) {
          expect(thrown).to.include({ httpStatus: 429 });
          return count;
        }
      }
    };
    return { clock, door, allowed };
  };
  const ignore = (): void => undefined;
  const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

  it('gives each address its share, and loopback all that it wants', async () => {
    const { clock, allowed } = setup(false);
    expect(allowed('203.0.113.1')).to.equal(20);
    expect(allowed('203.0.113.1')).to.equal(0);
    expect(allowed('203.0.113.2')).to.equal(20);
    expect(allowed('127.0.0.1')).to.equal(Infinity);
    expect(allowed('::ffff:127.0.0.1')).to.equal(Infinity);
    await clock.advance(1000);
    expect(allowed('203.0.113.1')).to.equal(10);
  });

  it('believes a proxy about the last address, and nobody else about any', () => {
    const lie = { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' };
    const behind = setup(true);
    expect(behind.allowed('127.0.0.1', lie)).to.equal(20);
    expect(behind.allowed('127.0.0.1', { 'x-forwarded-for': '1.1.1.1, 203.0.113.9' })).to.equal(0);
    const open = setup(false);
    expect(open.allowed('203.0.113.1', lie)).to.equal(20);
    expect(open.allowed('203.0.113.1', { 'x-forwarded-for': '8.8.8.8' })).to.equal(0);
  });

  it('makes wrong keys dear', async () => {
    const { door, allowed } = setup(false);
    const headers = { host: 'localhost', authorization: 'Bearer wrong' };
    const wrong = { method: 'GET', headers, socket: { remoteAddress: '203.0.113.1' } };
    const refused = await door.admit(wrong as never, 'read').catch((thrown: unknown) => thrown);
    expect(refused).to.include({ httpStatus: 401 });
    expect(allowed('203.0.113.1')).to.equal(0);
  });

  it('takes a network of IPv6 for one address, and keeps no more of them than it may', () => {
    expect(networkOf('2001:db8::1')).to.equal(networkOf('2001:db8:0:0:ffff::2'));
    expect(networkOf('2001:db8:0:1::1')).not.to.equal(networkOf('2001:db8::1'));
    expect(networkOf('::ffff:203.0.113.1')).to.equal('203.0.113.1');
    const limiter = new RateLimiter(new FakeClock(), 1);
    for (let i = 0; i < 50_000; i++) limiter.tryTake(`10.${String(i >> 8)}.${String(i & 255)}.1`);
    expect(limiter.size).to.be.at.most(10_000);
  });
});

describe('the names of a node', () => {
  it('are loopback, its own, what it advertises, and what was allowed', () => {
    const names = hostNamesOf('10.0.0.7', 'https://[2001:db8::7]:8443', {
      allowedHosts: ['a.example'],
    });
    expect([...names]).to.have.members([
      ...['localhost', '127.0.0.1', '::1', '10.0.0.7', '2001:db8::7', 'a.example'],
    ]);
    expect(hostNamesOf('0.0.0.0', null, { allowedHosts: [] }).size).to.be.greaterThan(3);
  });
});
