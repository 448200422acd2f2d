import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { SkeinClient } from '../../../node/client/client.ts';
import { PATIENCE_MS, submitRecorded, until } from '../../cluster/setup.ts';
import { faultsOf, maybeBrowser, obstaclesOf } from '../../dashboard/browser.ts';
import { startCluster } from '../../support/cluster.ts';
import type { TestCluster, TestNode } from '../../support/cluster.ts';
import { handlersFolder } from '../../support/handlers-folder.ts';
import type { HandlersFolder } from '../../support/handlers-folder.ts';

/**
 * Goal: on real nodes that do real work, each view shows it; the page outlives the node that serves it, and
 * the leader; and nothing that a task says becomes anything but text.
 * Method: three processes of the build, a chromium in both colour schemes, kill -9. Pictures of each view
 * are left in .cache/page.
 */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PICTURES = path.join(ROOT, '.cache', 'page');
const HOSTILE = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
const MONTAGE = 'montage-chameleon-2mass-01d-001.json';
const SHOUT = `export default (task, ctx) => {
  ctx.log.info(task.payload.html, { field: task.payload.html });
  const error = new Error(task.payload.html);
  error.retryable = false;
  throw error;
};`;
/** Of what the browser says of a node that was killed; all else on the console is a fault. */
const OF_THE_DEAD =
  /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|WebSocket/;

describe('the page on a cluster of real nodes', function () {
  this.timeout(4 * PATIENCE_MS);
  let browser: Browser;
  let cluster: TestCluster;
  let handlers: HandlersFolder;
  let context: BrowserContext;
  let page: Page;
  let faults: readonly string[];

  before(async function () {
    const found = await maybeBrowser();
    if (found === undefined) this.skip();
    browser = found;
    mkdirSync(PICTURES, { recursive: true });
    handlers = await handlersFolder({ 'shout.mjs': SHOUT });
    cluster = await startCluster({
      ...{ slots: 4, simulate: true, execArgv: [] },
      main: path.join(ROOT, 'dist', 'node', 'main.js'),
      extraFlags: ['--handlers', handlers.path],
    });
  });
  after(async () => {
    // Undefined where there is no browser, whatever the types say: `before` has skipped then.
    await (cluster as TestCluster | undefined)?.stop();
    await (handlers as HandlersFolder | undefined)?.remove();
    await (browser as Browser | undefined)?.close();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    faults = faultsOf(
      page,
      cluster.nodes.map(({ url }) => url),
    );
  });
  afterEach(async () => {
    await context.close();
  });
  const node = (at: number): TestNode => {
    const found = cluster.nodes[at];
    if (found === undefined) throw new Error(`there is no node ${String(at)}`);
    return found;
  };
  const client = (): SkeinClient => {
    const urls = cluster.nodes.filter((each) => !each.hasEnded()).map(({ url }) => url);
    return new SkeinClient({ urls, timeoutMs: PATIENCE_MS });
  };
  const open = async (url: string, place: string): Promise<void> => {
    await page.goto(`${url}/#/${place}`);
    await page.locator('.line.live').waitFor();
  };

  it('shows each view while work runs, in both schemes, and asks nobody else', async () => {
    const { url } = node(0);
    // Slow enough to run for as long as anybody looks.
    await submitRecorded(client(), MONTAGE, 'montage', 60);
    await client().putSchedule('nightly', { cron: '0 3 * * *', task: { type: 'noop' } });
    await until(async () => {
      const { counts } = await client().getWorkflow('montage');
      return counts.RUNNING > 0 ? true : undefined;
    }, 'the first task to run');
    const places: readonly (readonly [string, string])[] = [
      ['overview', '.charts canvas'],
      ['workflows', '.workflows li'],
      ['workflow/montage', '.node.running'],
      ['workflow/montage?as=timeline', '.timeline canvas'],
      ['workflow/montage?task=montage%2FmConcatFit_ID0000023', '.panel .facts'],
      ['tasks', '.row a.id'],
      ['task/montage%2FmProject_ID0000001', '.facts'],
      ['nodes', 'ul.running a.id'],
      ['schedules', '.fires li.next'],
      ['types', 'table'],
      ['events', '.events li'],
      ['new', '#field-type'],
    ];
    try {
      for (const [place, sign] of places) {
        for (const colorScheme of ['dark', 'light'] as const) {
          await page.emulateMedia({ colorScheme });
          await open(url, place);
          await page.locator(sign).first().waitFor();
          const name = `${place.replace(/\W+/g, '-')}-${colorScheme}.png`;
          await page.screenshot({ path: path.join(PICTURES, name) });
          expect(await obstaclesOf(browser, page, sign, colorScheme), place).to.deep.equal([]);
        }
      }
    } finally {
      await client().cancelWorkflow('montage');
    }
    expect(faults).to.deep.equal([]);
  });

  it('shows what a hostile task says as text, in every field', async () => {
    const { url } = node(0);
    const id = `loud ${HOSTILE}`;
    await client().submitTask({
      ...{ id, type: 'shout', max_attempts: 1, tags: [HOSTILE] },
      payload: { html: HOSTILE },
    });
    await client().submitTask({ id: `typed ${HOSTILE}`, type: HOSTILE, labels: { zone: 'none' } });
    await client().submitWorkflow({
      ...{ id: `flow ${HOSTILE}`, name: HOSTILE },
      tasks: [{ id: HOSTILE, type: HOSTILE }],
    });
    const places = [
      `task/${encodeURIComponent(id)}`,
      `task/${encodeURIComponent(`typed ${HOSTILE}`)}`,
      `workflow/${encodeURIComponent(`flow ${HOSTILE}`)}`,
      `workflow/${encodeURIComponent(`flow ${HOSTILE}`)}?as=timeline`,
      ...['overview', 'workflows', 'tasks', 'nodes', 'types'],
      `tasks?tag=${encodeURIComponent(HOSTILE)}`,
      `new?from=${encodeURIComponent(id)}`,
    ];
    for (const place of places) {
      await open(url, place);
      await page.locator('main h1').waitFor();
      expect(await page.locator('main img, main script').count(), place).to.equal(0);
    }
    await open(url, `task/${encodeURIComponent(id)}`);
    await page.locator('main .status.failed').first().waitFor();
    await page.locator('.log', { hasText: HOSTILE }).waitFor();
    // As JSON, in which quotes are escaped.
    await page.getByRole('region', { name: 'Error' }).getByText('<img src=x').waitFor();
    expect(await page.locator('main img, main script').count()).to.equal(0);
    expect(faults).to.deep.equal([]);
  });

  it('drains a node from its lane, after a question, and takes it back', async () => {
    await open(node(0).url, 'nodes');
    const lane = page.getByRole('region', { name: 'node-3', exact: true });
    await lane.getByRole('button', { name: 'Drain' }).click();
    await page.getByRole('dialog', { name: 'Drain node-3?' }).waitFor();
    await page.getByRole('button', { name: 'Yes, drain' }).click();
    await lane.locator('.status.drained').waitFor();
    await lane.getByRole('button', { name: 'Take back' }).click();
    await lane.locator('.status.alive').waitFor();
    expect(faults).to.deep.equal([]);
  });

  it('moves to another node when kill -9 takes its own, keeps its place, and says so', async () => {
    const leader = await cluster.leader();
    const dying = cluster.nodes.find((each) => each.name !== leader && !each.hasEnded());
    if (dying === undefined) throw new Error('no follower lives');
    await client().submitTask({ id: 'kept', type: 'noop' });
    await open(dying.url, 'task/kept');
    await page.getByRole('heading', { name: 'kept' }).waitFor();
    await cluster.kill(dying.name, 'SIGKILL');
    await page.getByText('did not answer any more').waitFor();
    expect(page.url()).to.match(/#\/task\/kept$/);
    expect(new URL(page.url()).origin).not.to.equal(dying.url);
    await page.locator('.line.live').waitFor();
    await page.getByRole('heading', { name: 'kept' }).waitFor();
    expect(faults.filter((fault) => !OF_THE_DEAD.test(fault))).to.deep.equal([]);
    await cluster.revive(dying.name);
    await cluster.ready(dying.name);
  });

  it('shows the next leader when kill -9 takes the one that is', async () => {
    const leader = await cluster.leader();
    const looking = cluster.nodes.find((each) => each.name !== leader && !each.hasEnded());
    if (looking === undefined) throw new Error('no follower lives');
    await open(looking.url, 'overview');
    await page.getByText(`${leader} leads`).waitFor();
    await cluster.kill(leader, 'SIGKILL');
    await page.getByText('last failover').waitFor();
    const next = await cluster.leader();
    await page.getByText(`${next} leads`).waitFor();
    await page.getByText(new RegExp(`${leader} is (lost|dead)`)).waitFor();
    expect(new URL(page.url()).origin).to.equal(looking.url);
    expect(faults).to.deep.equal([]);
  });
});
