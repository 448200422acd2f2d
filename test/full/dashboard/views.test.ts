import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { startApi } from '../../api/support.ts';
import type { Api } from '../../api/support.ts';
import { faultsOf, maybeStage, obstaclesOf } from '../../dashboard/browser.ts';
import type { Stage } from '../../dashboard/browser.ts';

/**
 * Goal: each view of the page shows what the cluster does, as it does it, in a real browser, without
 * an error on the console and without a request to anywhere else.
 * Method: the built page, served by a node's REST face over a real database; what a leader would do is
 * done by hand. Text is awaited, never slept for.
 */
const HOSTILE = `<img src=x onerror="alert(1)">`;

describe('the page in a browser', function () {
  this.timeout(60_000);
  let stage: Stage;
  let api: Api;
  let page: Page;
  let faults: readonly string[];

  before(async function () {
    const found = await maybeStage();
    if (found === undefined) this.skip();
    stage = found;
  });
  after(async () => {
    // Undefined where there is no browser, whatever the type says: `before` has skipped then.
    await (stage as Stage | undefined)?.close();
  });
  beforeEach(async () => {
    api = await startApi({ pageDir: stage.pageDir });
    page = await stage.browser.newPage();
    page.setDefaultTimeout(15_000);
    faults = faultsOf(page, [api.url]);
  });
  afterEach(async () => {
    await page.close();
    await api.close();
    expect(faults).to.deep.equal([]);
  });
  const open = async (place: string): Promise<void> => {
    await page.goto(`${api.url}/#/${place}`);
    await page.locator('.line.live').waitFor();
  };
  const obstacles = (): Promise<readonly string[]> => obstaclesOf(stage.browser, page);

  it('comes with a policy that allows nothing inline, in less than 80 KB', async () => {
    const { headers, text } = await api.get('/');
    expect(headers.get('content-security-policy')).to.include("default-src 'none'");
    expect(headers.get('content-security-policy')).not.to.include('unsafe');
    expect(text).not.to.match(/<script(?![^>]*src=)/);
    const files = readdirSync(stage.pageDir, { recursive: true, withFileTypes: true });
    const bytes = files
      .filter((file) => file.isFile())
      .map((file) => gzipSync(readFileSync(path.join(file.parentPath, file.name))).length);
    expect(bytes.reduce((sum, each) => sum + each, 0)).to.be.lessThan(80 * 1024);
  });

  it('shows the cluster, and what happens in it while one looks', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await api.lease('one', 'node-7');
    await open('overview');
    await page.locator('.tile', { hasText: 'Running' }).getByText('1', { exact: true }).waitFor();
    await api.end('one', 'FAILED');
    await page.getByText('1 task has FAILED.').waitFor();
    expect(await page.getByRole('link', { name: 'Look and retry' }).getAttribute('href')).to.equal(
      '#/tasks?status=FAILED',
    );
    await page.locator('.charts canvas').first().waitFor();
    expect(await obstacles()).to.deep.equal([]);
  });

  it('filters tasks by the address, and cancels all that match after a question', async () => {
    await api.post('/tasks/batch', [
      { id: 'red', type: 'noop', tags: ['red'] },
      { id: 'blue-1', type: 'noop', tags: ['blue'] },
      { id: 'blue-2', type: 'noop', tags: ['blue'] },
    ]);
    await open('tasks');
    await page.getByRole('link', { name: 'red', exact: true }).waitFor();
    await page.getByLabel('Search').fill('tag:blue');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.waitForURL(/tag=blue/);
    await page.getByRole('link', { name: 'red', exact: true }).waitFor({ state: 'detached' });
    await page.getByLabel('all that match the filter').check();
    await page.getByRole('button', { name: 'Cancel …' }).click();
    await page.getByText('Cancel 2 tasks?').waitFor();
    await page.getByRole('button', { name: 'Yes, cancel 2' }).click();
    await page.getByText('The cancel of 2 tasks is accepted.').waitFor();
    const asked = await api.rows(
      `select t.id from skein.inbox i join skein.task t on t.seq = any(i.seqs)
      where i.kind = 'cancel' order by t.id`,
    );
    expect(asked).to.deep.equal([{ id: 'blue-1' }, { id: 'blue-2' }]);
    expect(await obstacles()).to.deep.equal([]);
  });

  it('holds few rows in the document, and reaches the oldest of a thousand tasks', async () => {
    const tasks = Array.from({ length: 1000 }, (_, n) => ({ id: `t${String(n)}`, type: 'noop' }));
    await api.post('/tasks/batch', tasks);
    await open('tasks');
    await page.getByRole('link', { name: 't999', exact: true }).waitFor();
    const rows = page.locator('.rows');
    await expectSoon(page, async () => {
      await rows.press('End');
      return page.getByRole('link', { name: 't0', exact: true }).isVisible();
    });
    expect(await page.locator('.row').count()).to.be.lessThan(80);
  });

  it('shows a task with its attempts and its end, and what is hostile as text', async () => {
    const id = `x${HOSTILE}`;
    await api.post('/tasks', { id, type: HOSTILE, payload: { html: HOSTILE }, tags: [HOSTILE] });
    await open(`task/${encodeURIComponent(id)}`);
    await page.getByRole('heading', { name: id }).waitFor();
    await api.lease(id);
    await page.locator('.status.running').first().waitFor();
    await api.end(id, 'COMPLETED');
    await page.locator('.status.completed').first().waitFor();
    expect(await page.locator('main img').count()).to.equal(0);
    expect(await obstacles()).to.deep.equal([]);
    await page.goto(`${api.url}/#/tasks`);
    await page.getByRole('link', { name: id }).waitFor();
    expect(await page.locator('main img').count()).to.equal(0);
  });

  it('draws a workflow, follows it, and shows a task of it beside the graph', async () => {
    await api.post('/workflows', {
      id: 'w',
      name: 'mosaic',
      tasks: [
        { id: 'a', type: 'noop' },
        { id: 'b', type: 'noop', dependencies: ['a'] },
      ],
    });
    await open('workflows');
    await page.getByRole('link', { name: 'mosaic' }).click();
    await page.locator('g.node').nth(1).waitFor();
    await api.end('w/a', 'COMPLETED');
    await page.locator('g.node.completed').click();
    await page.getByRole('complementary', { name: 'Task' }).getByText('noop').waitFor();
    expect(await obstacles()).to.deep.equal([]);
  });

  it('draws a graph above 400 tasks on a canvas', async () => {
    const tasks = Array.from({ length: 450 }, (_, n) => ({
      ...{ id: `t${String(n)}`, type: 'noop' },
      dependencies: n === 0 ? [] : [`t${String(Math.floor((n - 1) / 3))}`],
    }));
    await api.post('/workflows', { id: 'large', tasks });
    await open('workflow/large');
    await page.locator('.graph canvas').waitFor();
    expect(await page.locator('.graph svg').count()).to.equal(0);
  });

  it('shows nodes with what runs on them, and events', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await api.lease('one', 'node-7');
    await api.rows(
      `insert into skein.event (kind, node_name, term) values ('elected', 'node-7', 3)`,
    );
    await open('nodes');
    await page
      .getByRole('list', { name: 'Tasks that run on node-7' })
      .getByRole('link', { name: 'one' })
      .waitFor();
    expect(await obstacles()).to.deep.equal([]);
    await page.keyboard.press('g');
    await page.keyboard.press('e');
    await page.getByText('elected in term 3').waitFor();
    expect(await obstacles()).to.deep.equal([]);
  });

  it('submits a task, and goes to it', async () => {
    await open('new?kind=json');
    await page.getByLabel('The task').fill('{"id":"mine","type":"noop"}');
    await page.getByRole('button', { name: 'Submit' }).click();
    await page.getByRole('heading', { name: 'mine' }).waitFor();
    expect(await api.seqOf('mine')).to.be.a('number');
  });

  it('stays within a narrow window', async () => {
    await page.setViewportSize({ width: 360, height: 700 });
    for (const place of [
      ...['overview', 'tasks', 'workflows', 'schedules', 'types', 'nodes', 'events', 'new'],
    ]) {
      await open(place);
      await page.locator('main h1').waitFor();
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      expect(wide, place).to.be.at.most(360);
    }
  });
});

describe('the page when its node dies', function () {
  this.timeout(60_000);
  it('moves to another, keeps its place, and says so', async function () {
    const stage = await maybeStage();
    if (stage === undefined) this.skip();
    const [dying, living] = await Promise.all([
      startApi({ pageDir: stage.pageDir }),
      startApi({ pageDir: stage.pageDir }),
    ]);
    try {
      await dying.post('/tasks', { id: 'one', type: 'noop' });
      await dying.lease('one', 'node-2');
      await dying.rows(`update skein.node set http_url = '${living.url}'`);
      const page = await stage.browser.newPage();
      page.setDefaultTimeout(20_000);
      await page.goto(`${dying.url}/#/tasks?status=FAILED`);
      await page.locator('.line.live').waitFor();
      await dying.server.stop();
      await page.getByText('did not answer any more').waitFor();
      expect(page.url()).to.equal(`${living.url}/#/tasks?status=FAILED`);
      await page.locator('.line.live').waitFor();
    } finally {
      await Promise.all([dying.close(), living.close()]);
      await stage.close();
    }
  });
});

/** Looks again after each frame of the browser until it holds. */
async function expectSoon(page: Page, condition: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 600; looks++) {
    if (await condition()) return;
    await page.evaluate('new Promise((resolve) => requestAnimationFrame(resolve))');
  }
  throw new Error('the awaited condition never came true');
}
