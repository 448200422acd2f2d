import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { newKeyOrThrow } from '../../node/api/access/keys.ts';
import { assertRoles } from '../../node/api/endpoint.ts';
import { mayDo, ROLES } from '../../node/core/access.ts';
import type { Needed, Role } from '../../node/core/access.ts';
import { KeyStore } from '../../node/store/key-store.ts';
import { eventually, request, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: whoever calls gets in where their key says so, and nowhere else. Method: a node that asks for
 * keys, over real HTTP; the table of who may do what is made of the calls that the server has.
 */

async function keyOf(
  api: Api,
  role: Role,
  more: { readonly namespace?: string; readonly expires_in_s?: number } = {},
): Promise<string> {
  const spec = { role, ...(role === 'admin' ? {} : { namespace: '*' }), ...more };
  const { key, text } = newKeyOrThrow(spec, 'a test');
  expect(await new KeyStore(api.database).tryCreate(key)).not.to.equal(null);
  return text;
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** What an upgrade is answered with: 101, or the status of its refusal. */
function upgrade(api: Api, headers: Record<string, string>, protocols?: string[]): Promise<number> {
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}/ws`, protocols ?? [], { headers });
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.terminate();
      resolve(101);
    });
    socket.once('unexpected-response', (_sent, answer) => {
      answer.resume();
      socket.terminate();
      resolve(answer.statusCode ?? 0);
    });
    socket.once('error', reject);
  });
}

describe('a node that asks for keys', () => {
  let api: Api;
  let pageDir: string;
  before(async () => {
    pageDir = await mkdtemp(path.join(tmpdir(), 'skein-page-'));
    await writeFile(path.join(pageDir, 'index.html'), '<!doctype html>');
    api = await startApi({ door: { needsKeys: true }, pageDir, docsDir: pageDir });
  });
  after(async () => {
    await api.close();
    await rm(pageDir, { recursive: true });
  });

  // Seen to fail with the check of the role taken out of the door, and with a role of one call changed.
  it('lets each role do what it may, on every call that there is', async () => {
    const keys = new Map<Role, string>();
    for (const role of ROLES) keys.set(role, await keyOf(api, role));
    const seen: string[] = [];
    for (const { method, path: route, role: needed } of api.server.endpoints) {
      const url = api.url + route.replace(/:\w+/g, 'nothing');
      const call = (headers: Record<string, string>): Promise<number> =>
        request(url, { method, headers }).then(({ status }) => status);
      const isOpen = needed === 'open';
      expect(await call({}), `${method} ${route} without a key`).to.satisfy((status: number) =>
        isOpen ? status !== 401 : status === 401,
      );
      for (const [role, key] of keys) {
        const status = await call(bearer(key));
        const isRefused = status === 403 || status === 401;
        expect(isRefused, `${method} ${route} with ${role}: ${String(status)}`).to.equal(
          !mayDo(role, needed),
        );
      }
      seen.push(`${needed} ${method} ${route}`);
    }
    expect(seen.toSorted()).to.deep.equal(TABLE.toSorted());
    const routed = seen.map((line) => line.replace(/^\w+ /, ''));
    expect(routed).to.have.members([...api.server.routes]);
  });

  it('gives one namespace nothing that concerns all of them', async () => {
    const key = await keyOf(api, 'operate', { namespace: 'default' });
    const shared = api.server.endpoints.filter(({ isForAll, role }) => {
      return isForAll === true && mayDo('operate', role);
    });
    expect(shared.map((call) => call.path)).to.include.members(['/metrics', '/events']);
    for (const { method, path: route } of shared) {
      const { status } = await request(api.url + route, { method, headers: bearer(key) });
      expect(status, route).to.equal(403);
    }
  });

  it('opens a live connection to whoever may read, by header or subprotocol', async () => {
    const key = await keyOf(api, 'read');
    expect(await upgrade(api, {})).to.equal(401);
    expect(await upgrade(api, bearer('skein_000000000000_wrong'))).to.equal(401);
    expect(await upgrade(api, bearer(key))).to.equal(101);
    expect(await upgrade(api, {}, ['skein', `skein.key.${key}`])).to.equal(101);
    expect(await upgrade(api, {}, ['skein', 'skein.key.no'])).to.equal(401);
  });

  it('does not send a key back that came as a subprotocol', async () => {
    const key = await keyOf(api, 'read');
    const url = `${api.url.replace('http', 'ws')}/ws`;
    const socket = new WebSocket(url, [`skein.key.${key}`, 'skein']);
    await new Promise((resolve) => socket.once('open', resolve));
    expect(socket.protocol).to.equal('skein');
    socket.terminate();
  });

  it('refuses what is no key, or not quite one, and says so without a hint', async () => {
    const key = await keyOf(api, 'admin');
    const last = key.at(-1) === 'A' ? 'B' : 'A';
    const wrong = [
      key.slice(0, -1) + last,
      key.replace(/^skein_[0-9a-f]{12}/, 'skein_000000000000'),
      'nothing',
      `${key}x`,
    ];
    const details = new Set<unknown>();
    for (const text of wrong) {
      const { status, headers, body } = await api.get('/tasks', bearer(text));
      expect(status, text).to.equal(401);
      expect(headers.get('www-authenticate')).to.match(/^Bearer/);
      details.add(body['detail']);
    }
    expect(details).to.have.property('size', 1);
    expect((await api.get('/tasks', { authorization: `Basic ${btoa('a:b')}` })).status).to.equal(
      401,
    );
    expect((await api.get('/tasks', bearer(key))).status).to.equal(200);
  });

  it('shows a key once, and keeps nothing that it could be made of', async () => {
    const admin = bearer(await keyOf(api, 'admin'));
    const { status, body, headers } = await request(`${api.url}/keys`, {
      method: 'POST',
      headers: { ...admin, 'content-type': 'application/json' },
      body: JSON.stringify({ role: 'submit', name: 'ci', expires_in_s: 3600 }),
    });
    expect(status).to.equal(201);
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(body).to.include({ role: 'submit', name: 'ci', namespace: 'default', status: 'valid' });
    const key = String(body['key']);
    const secret = key.split('_').slice(2).join('_');
    const listed = await api.get('/keys', admin);
    expect(listed.text).to.include(String(body['id'])).and.not.include(secret);
    const rows = await api.rows(
      'select k.*, encode(secret_sha256, $1) as hex from skein.api_key k',
      ['escape'],
    );
    expect(JSON.stringify(rows)).not.to.include(secret);
    expect((await api.get('/tasks', bearer(key))).status).to.equal(200);
  });

  it('lets nobody in by a key that was revoked or has expired, soon after', async () => {
    const admin = bearer(await keyOf(api, 'admin'));
    const expiring = await keyOf(api, 'read', { expires_in_s: 1 });
    const revoked = await keyOf(api, 'read');
    for (const key of [expiring, revoked]) {
      expect((await api.get('/tasks', bearer(key))).status).to.equal(200);
    }
    const id = revoked.split('_')[1] ?? '';
    const done = await request(`${api.url}/keys/${id}/revoke`, { method: 'POST', headers: admin });
    expect(done.body).to.include({ id, status: 'revoked' });
    for (const key of [expiring, revoked]) {
      await eventually(async () => (await api.get('/tasks', bearer(key))).status === 401);
    }
    const again = await request(`${api.url}/keys/nope/revoke`, { method: 'POST', headers: admin });
    expect(again.status).to.equal(404);
  });

  it('notes that a key is used', async () => {
    const key = await keyOf(api, 'read');
    await api.get('/tasks', bearer(key));
    await eventually(async () => {
      const [row] = await api.rows<{ at: Date | null }>(
        'select last_used_at as at from skein.api_key where key_id = $1',
        [key.split('_')[1]],
      );
      return row?.at !== null;
    });
  });
});

describe('a node on loopback', () => {
  let api: Api;
  before(async () => {
    api = await startApi();
  });
  after(() => api.close());

  it('needs no key, and holds to the role of one that is given', async () => {
    expect((await api.get('/keys')).status).to.equal(200);
    const key = await keyOf(api, 'read');
    expect((await api.get('/keys', bearer(key))).status).to.equal(403);
    expect((await api.get('/tasks', bearer(key))).status).to.equal(200);
    expect((await api.get('/tasks', bearer('nothing'))).status).to.equal(401);
  });

  // A proxy on the same machine would otherwise make the whole world local.
  it('answers nobody for whom a proxy asks', async () => {
    const { status, body } = await api.get('/tasks', { 'x-forwarded-for': '203.0.113.9' });
    expect(status).to.equal(401);
    expect(body['detail']).to.include('--behind-tls-proxy');
  });
});

describe('a call that does not say who may make it', () => {
  it('keeps the server from starting', () => {
    const call = { method: 'GET', path: '/new', role: undefined as unknown as Needed } as const;
    expect(() => assertRoles([call])).to.throw('GET /new does not say who may call it');
  });
});

describe('the methods of gRPC', () => {
  // Nodes speak it among themselves; no key of the API is of use there.
  it('are those of peers alone', () => {
    const proto = readFileSync(new URL('../../proto/skein.proto', import.meta.url), 'utf8');
    const methods = [...proto.matchAll(/^\s*rpc (\w+)/gm)].map(([, name]) => name);
    expect(methods).to.deep.equal(['Link']);
  });
});

/** Who may make which call. A new one is added here by whoever has thought about it. */
const TABLE: readonly string[] = [
  'admin GET /audit',
  'admin GET /keys',
  'admin POST /keys',
  'admin POST /keys/:id/revoke',
  'open GET /',
  'open GET /assets/:file',
  'open GET /docs',
  'open GET /docs/:file',
  'open GET /healthz',
  'open GET /leader',
  'open GET /openapi.json',
  'open GET /readyz',
  'operate DELETE /schedules/:id',
  'operate PATCH /tasks/:id',
  'operate PATCH /types/:type',
  'operate POST /nodes/:name/drain',
  'operate POST /nodes/:name/undrain',
  'operate POST /schedules/:id/pause',
  'operate POST /schedules/:id/resume',
  'operate POST /schedules/:id/run',
  'operate POST /tasks/:id/cancel',
  'operate POST /tasks/:id/retry',
  'operate POST /tasks/cancel',
  'operate POST /tasks/retry',
  'operate POST /types/:type/pause',
  'operate POST /types/:type/resume',
  'operate POST /workflows/:id/cancel',
  'operate POST /workflows/:id/retry',
  'operate PUT /schedules/:id',
  'read GET /cluster',
  'read GET /events',
  'read GET /metrics',
  'read GET /nodes',
  'read GET /nodes/:name',
  'read GET /schedules',
  'read GET /schedules/:id',
  'read GET /tasks',
  'read GET /tasks/:id',
  'read GET /tasks/:id/attempts',
  'read GET /tasks/:id/dependents',
  'read GET /tasks/:id/explain',
  'read GET /tasks/:id/logs',
  'read GET /types',
  'read GET /types/:type',
  'read GET /workflows',
  'read GET /workflows/:id',
  'read GET /workflows/:id/graph',
  'submit POST /tasks',
  'submit POST /tasks/batch',
  'submit POST /workflows',
];
