import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { expect } from 'chai';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildDocs } from '../../scripts/setup.mjs';
import { OPERATIONS } from '../../node/api/contract/openapi.ts';
import type { OpenApiDocument } from '../../node/api/contract/openapi.ts';
import { faultsOf, maybeBrowser } from '../dashboard/browser.ts';
import { contract, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: `/openapi.json` describes every route that the router of a running node has, and no other; what a
 * node answers is as it says, and what it shows as an example is accepted.
 * Method: the router itself is walked. A scenario makes a node give every answer that the document
 * promises; `startApi` holds each to the document, here and in all other tests of the REST face.
 */
describe('the document at /openapi.json', () => {
  let api: Api;
  let docsDir: string;
  let document: OpenApiDocument;

  before(async () => {
    docsDir = await mkdtemp(path.join(tmpdir(), 'skein-docs-'));
    await buildDocs(docsDir);
    api = await startApi({ docsDir, pageDir: docsDir });
    document = (await api.get('/openapi.json')).body as unknown as OpenApiDocument;
  });
  after(async () => {
    await api.close();
    await rm(docsDir, { recursive: true });
  });

  it('has every route of the router, and no other', () => {
    const described = Object.entries(document.paths).flatMap(([at, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${at}`),
    );
    const routes = api.server.routes.map((route) => route.replace(/:(\w+)/g, '{$1}'));
    expect(routes.length).to.be.greaterThan(40);
    expect(described.toSorted()).to.deep.equal(routes.toSorted());
  });

  it('names each operation once', () => {
    const ids = OPERATIONS.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it('is valid OpenAPI 3.1', async () => {
    // The validator resolves what it is given in its place, so it gets one of its own.
    const own = JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
    const result = await new Validator().validate(own);
    expect(result.errors ?? []).to.deep.equal([]);
    expect(result.valid).to.equal(true);
  });

  it('shows examples that are as their schemas say', () => {
    const ajv = new Ajv2020({ strict: false });
    ajvFormats.default(ajv);
    ajv.addSchema({ ...document, $id: 'urn:skein:shown' });
    let count = 0;
    const visit = (value: unknown, pointer: string): void => {
      if (typeof value !== 'object' || value === null) return;
      const { schema, examples } = value as { schema?: object; examples?: Record<string, unknown> };
      if (schema !== undefined && examples !== undefined) {
        for (const [name, example] of Object.entries(examples)) {
          const validate = ajv.compile({ $ref: `urn:skein:shown#${pointer}/schema` });
          validate((example as { value: unknown }).value);
          expect(validate.errors ?? [], `${pointer}/${name}`).to.deep.equal([]);
          count += 1;
        }
      }
      for (const [key, inner] of Object.entries(value)) {
        const step = encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
        visit(inner, `${pointer}/${step}`);
      }
    };
    visit(document.paths, '/paths');
    expect(count).to.be.greaterThan(20);
  });

  it('promises only answers that a node gives', async () => {
    contract.seen.clear();
    await giveEveryAnswer(api);
    const promised = OPERATIONS.filter(({ tag }) => tag !== 'documents').flatMap(
      ({ id, answers }) => Object.keys(answers).map((status) => `${id} ${status}`),
    );
    expect(promised.filter((each) => !contract.seen.has(each))).to.deep.equal([]);
  });

  it('is right about a cursor that no type can have', async () => {
    const answer = await api.get('/types?cursor=9007199254740991');
    expect(answer.status).to.equal(400);
  });

  it('is shown by a page in a browser, under a policy that allows nothing inline', async function () {
    const browser = await maybeBrowser();
    if (browser === undefined) this.skip();
    try {
      const policy = (await api.get('/docs')).headers.get('content-security-policy');
      expect(policy).to.include("default-src 'none'");
      expect(policy).not.to.include('unsafe');
      const page = await browser.newPage();
      const faults = faultsOf(page, [api.url, 'null']);
      await page.goto(`${api.url}/docs`);
      await page.getByText('Submit many tasks, all or none').click();
      await page.getByText('All of them are stored.').first().waitFor();
      await page.getByText('Read a task, or wait for its end').click();
      await page.getByRole('button', { name: 'Try it out' }).last().waitFor();
      expect(faults).to.deep.equal([]);
    } finally {
      await browser.close();
    }
  });
});

/** Every answer that is promised, given by a node; a leader's part is done by hand. */
async function giveEveryAnswer(api: Api): Promise<void> {
  await api.post('/tasks', { id: 'a', type: 'noop', tags: ['x'], labels: { gpu: true } });
  await api.post('/tasks/batch', [
    { id: 'b', type: 'noop', dependencies: ['a'], run_at: '2040-01-01T00:00:00Z' },
    { id: 'c', type: 'other', dependencies: ['b'], payload: { deep: [1] }, duration_ms: 5 },
  ]);
  await api.postRaw('/tasks/batch', '{"id":"d","type":"noop"}\n', 'application/x-ndjson');
  await api.post('/workflows', { id: 'w', tasks: [{ id: 'x', type: 'noop' }] });
  await api.get('/tasks?limit=1');
  await api.get('/tasks/a?wait=1ms');
  for (const what of ['explain', 'attempts', 'dependents', 'logs'])
    await api.get(`/tasks/a/${what}`);
  await api.patch('/tasks/a', { priority: 1 });
  await api.lease('d');
  await api.get('/tasks/d');
  await api.get('/tasks/d/explain');
  await api.end('d', 'FAILED');
  for (const what of ['attempts', 'explain']) await api.get(`/tasks/d/${what}`);
  await api.post('/tasks/d/retry', {});
  await api.post('/tasks/a/cancel', {});
  for (const what of ['cancel', 'retry']) {
    await api.post(`/tasks/${what}`, { all: true, dry_run: true });
    await api.post(`/tasks/${what}`, { type: 'noop' });
  }
  for (const what of ['', '/w', '/w/graph']) await api.get(`/workflows${what}`);
  await api.post('/workflows/w/cancel', {});
  await api.end('w/x', 'CANCELLED');
  await api.post('/workflows/w/retry', {});
  await api.put('/schedules/s', { every_ms: 60_000, task: { type: 'noop' } });
  await api.put('/schedules/s', { cron: '0 2 * * *', task: { type: 'noop' } });
  await api.post('/schedules/s/run', {});
  for (const what of ['', '/s']) await api.get(`/schedules${what}`);
  for (const what of ['pause', 'resume']) await api.post(`/schedules/s/${what}`, {});
  await api.delete('/schedules/s');
  for (const what of ['', '/noop']) await api.get(`/types${what}`);
  await api.patch('/types/noop', { max_running: 3 });
  for (const what of ['pause', 'resume']) await api.post(`/types/noop/${what}`, {});
  const { body } = await api.post('/keys', { role: 'read', name: 'ci', namespace: '*' });
  await api.post(`/keys/${String(body['id'])}/revoke`, {});
  await api.get('/keys');
  for (const what of ['drain', 'undrain']) await api.post(`/nodes/node-7/${what}`, {});
  await api.get('/audit');
  await api.rows(`insert into skein.event (kind, detail) values ('test', '{}')`);
  for (const what of ['cluster', 'nodes', 'nodes/node-7', 'events', 'healthz', 'metrics']) {
    expect((await api.get(`/${what}`)).status, what).to.equal(200);
  }
  for (const is of [true, false]) {
    api.state.isLeader = is;
    api.state.ready = is;
    await api.get('/leader');
    await api.get('/readyz');
  }
}
