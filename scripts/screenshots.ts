import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import type { BrowserContext, Page } from 'playwright-core';
import { workflowOfWfFormat } from '../node/cli/wfformat.ts';
import { launchBrowser } from './browser.ts';
import { StartedCluster } from './started-cluster.ts';

/**
 * Pictures of the page: a cluster of three nodes of its own, recorded workflows and some troubles on it, and
 * each view in dark and in light, in a wide window and a narrow one. They are in deploy/screenshots.
 */
const HELP = `npx tsx scripts/screenshots.ts [flags]: takes pictures of each view of the page

  --out DIR      where they go (deploy/screenshots)
  --only NAME    one view
  --help         this text

A chromium must be at /usr/bin/chromium, or at CHROMIUM_PATH.`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RECORDED = path.join(ROOT, 'test', 'data', 'wfinstances');
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 390, height: 800 };
const QUALITY = 82;
const PATIENCE_MS = 60_000;

interface Shot {
  readonly name: string;
  readonly place: (ids: Ids) => string;
  /** What must be there before the picture is taken. */
  readonly until: string;
  readonly isNarrowToo?: boolean;
  readonly act?: (page: Page) => Promise<void>;
}

interface Ids {
  readonly montage: string;
  readonly large: string;
  readonly failed: string;
}

const inWorkflow = (id: string, query = ''): string => `workflow/${encodeURIComponent(id)}${query}`;

const SHOTS: readonly Shot[] = [
  {
    ...{ name: 'workflow', place: ({ montage }) => inWorkflow(montage), isNarrowToo: true },
    until: '.node.completed',
  },
  {
    name: 'timeline',
    place: ({ montage }) => inWorkflow(montage, '?as=timeline'),
    until: '.timeline canvas',
  },
  {
    name: 'workflow-task',
    place: ({ montage }) => {
      const task = encodeURIComponent(`${montage}/mConcatFit_ID0000023`);
      return inWorkflow(montage, `?task=${task}`);
    },
    until: '.panel .facts',
  },
  {
    name: 'workflow-large',
    place: ({ large }) => inWorkflow(large),
    until: '.group',
  },
  { name: 'nodes', place: () => 'nodes', until: '.lane canvas' },
  { name: 'overview', place: () => 'overview', until: '.charts canvas', isNarrowToo: true },
  { name: 'workflows', place: () => 'workflows', until: '.workflows li' },
  { name: 'tasks', place: () => 'tasks', until: '.row a.id', isNarrowToo: true },
  {
    name: 'task',
    place: ({ failed }) => `task/${encodeURIComponent(failed)}`,
    until: '.spans li',
  },
  { name: 'schedules', place: () => 'schedules', until: '.fires' },
  { name: 'types', place: () => 'types', until: 'table' },
  { name: 'events', place: () => 'events', until: '.events li' },
  {
    name: 'new-task',
    place: () => 'new',
    until: '#field-type',
    act: async (page) => {
      await page.getByLabel('Priority').fill('1000');
      await page.getByRole('button', { name: 'Submit' }).click();
      await page.locator('.field.wrong').waitFor();
    },
  },
];

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: path.join(ROOT, 'deploy', 'screenshots') },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
async function takeAll(out: string, only: string | undefined): Promise<void> {
  await mkdir(out, { recursive: true });
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-screenshots-'));
  // A root's database runs as another user, who must get there.
  await chmod(folder, 0o755);
  const cluster = await StartedCluster.start(ROOT, ['--data-dir', path.join(folder, 'data')]);
  try {
    const browser = await launchBrowser(chromium);
    try {
      const ids = await load(cluster.url);
      for (const shot of SHOTS) {
        if (only !== undefined && shot.name !== only) continue;
        for (const colorScheme of ['dark', 'light'] as const) {
          const context = await browser.newContext({ viewport: WIDE, colorScheme });
          const file = path.join(out, `${shot.name}-${colorScheme}.webp`);
          await take(context, `${cluster.url}/#/${shot.place(ids)}`, shot, file);
          await context.close();
        }
        if (shot.isNarrowToo !== true) continue;
        const context = await browser.newContext({ viewport: NARROW, colorScheme: 'dark' });
        const file = path.join(out, `${shot.name}-narrow.webp`);
        await take(context, `${cluster.url}/#/${shot.place(ids)}`, shot, file);
        await context.close();
      }
    } finally {
      await browser.close();
    }
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function take(context: BrowserContext, url: string, shot: Shot, file: string): Promise<void> {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(url);
  await page.locator('.line.live').waitFor();
  await page.locator(shot.until).first().waitFor();
  await shot.act?.(page);
  // Streams and charts say more when they have run for a while.
  await page.waitForTimeout(shot.name === 'nodes' ? 12_000 : 2500);
  const session = await context.newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: QUALITY,
  });
  const bytes = Buffer.from(data, 'base64');
  await writeFile(file, bytes);
  console.log(
    `${path.relative(process.cwd(), file)} ${String(Math.round(bytes.length / 1024))} KiB`,
  );
}

/** Recorded workflows, and what a cluster has that lives: schedules, limits, something that fails. */
async function load(url: string): Promise<Ids> {
  const post = async (place: string, body: unknown, method = 'POST'): Promise<{ id: string }> => {
    const response = await fetch(url + place, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${place}: ${await response.text()}`);
    return (await response.json()) as { id: string };
  };
  const workflow = async (file: string, more: object, timeScale: number): Promise<string> => {
    const text = await readFile(path.join(RECORDED, `${file}.json`), 'utf8');
    const spec = workflowOfWfFormat(JSON.parse(text), { timeScale });
    return (await post('/workflows', { ...spec, ...more })).id;
  };
  const refused = { type: 'http', payload: { url: `${url}/healthz` }, max_attempts: 2 };
  await post('/tasks', { ...refused, id: 'notify-the-press', tags: ['nightly'] });
  await post('/schedules/nightly-report', { cron: '0 3 * * *', ...zoned('report') }, 'PUT');
  await post('/schedules/poll-the-feed', { every_ms: 300_000, task: { type: 'noop' } }, 'PUT');
  const graph = { tasks: [{ id: 'extract', type: 'noop' }] };
  await post('/schedules/weekly-rebuild', { cron: '30 6 * * 1', workflow: graph }, 'PUT');
  await post('/types/mViewer', { max_running: 2 }, 'PATCH');
  await workflow('seismology-chameleon-100p-001', { id: 'seismology', priority: 20 }, 0.1);
  await ended(url, 'seismology');
  await workflow('epigenomics-chameleon-hep-1seq-100k-001', { id: 'epigenomics' }, 0.5);
  const large = await workflow(
    'montage-chameleon-2mass-05d-001',
    { id: 'montage-05d', name: 'montage 0.5°', priority: 60 },
    0.25,
  );
  const montage = await workflow(
    'montage-chameleon-2mass-01d-001',
    { id: 'montage', priority: 10 },
    1,
  );
  return { montage, large, failed: 'notify-the-press' };
}

function zoned(type: string): object {
  return { timezone: 'Europe/Lisbon', task: { type, duration_ms: 1000 }, overlap: 'skip' };
}

async function ended(url: string, workflow: string): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (performance.now() < deadlineMs) {
    const response = await fetch(`${url}/workflows/${workflow}`);
    const { status } = (await response.json()) as { readonly status: string };
    if (status !== 'RUNNING') return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${workflow} did not end in time`);
}

if (values.help) console.log(HELP);
else await takeAll(values.out, values.only);
