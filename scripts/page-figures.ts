import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { workflowOfWfFormat } from '../node/cli/wfformat.ts';
import { launchBrowser } from './browser.ts';
import { StartedCluster } from './started-cluster.ts';

/**
 * What the page costs the one who looks: a cluster of its own with many tasks in it, a stream of new ones,
 * and a large workflow; how soon views are there, how long frames take, and what the browser keeps.
 */
const HELP = `npx tsx scripts/page-figures.ts [flags]: how the page bears a busy cluster

  --tasks N      tasks that are listed (100000)
  --rate N       tasks a second that come and go meanwhile, about (5000)
  --minutes N    how long memory is watched (10)
  --json         the figures as JSON
  --help         this text

A chromium must be at /usr/bin/chromium, or at CHROMIUM_PATH.`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MONTAGE = 'test/data/wfinstances/montage-chameleon-2mass-05d-001.json';
const BATCH = 5000;
const PATIENCE_MS = 300_000;
const FRAMES_MS = 15_000;
const SAMPLE_MS = 10_000;
const SLOTS = 8;

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '100000' },
    rate: { type: 'string', default: '5000' },
    minutes: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

interface ViewFigures {
  readonly view: string;
  readonly first_paint_ms: number;
  /** Until the sign of the view is there, with what it shows. */
  readonly shown_ms: number;
  readonly frame_median_ms: number;
  readonly frame_p95_ms: number;
  /** Of the page's own script. */
  readonly longest_task_ms: number;
  readonly long_tasks: number;
}

interface Memory {
  readonly view: string;
  /** After a collection, one every ten seconds. */
  readonly mib: readonly number[];
  readonly first_mib: number;
  readonly last_mib: number;
}

async function run(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-figures-'));
  // A root's database runs as another user, who must get there.
  await chmod(folder, 0o755);
  const flags = ['--data-dir', path.join(folder, 'data'), '--slots', String(SLOTS)];
  const cluster = await StartedCluster.start(ROOT, flags);
  const over = new AbortController();
  try {
    const browser = await launchBrowser(chromium, ['--enable-precise-memory-info']);
    try {
      await fill(cluster.url, Number(values.tasks));
      const minutes = Number(values.minutes);
      await submitMontage(cluster.url, minutes);
      const stream = keepBusy(cluster.urls[1] ?? cluster.url, Number(values.rate), over.signal);
      const figures = await measure(browser, cluster.url, minutes);
      over.abort();
      await stream;
      print(figures);
    } finally {
      await browser.close();
    }
  } finally {
    over.abort();
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function post(url: string, body: string, type = 'application/json'): Promise<void> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  if (!response.ok) throw new Error(`${url}: ${await response.text()}`);
  await response.body?.cancel();
}

const lines = (count: number): string => '{"type":"noop"}\n'.repeat(count);

async function fill(url: string, count: number): Promise<void> {
  await post(`${url}/tasks/batch`, lines(count), 'application/x-ndjson');
  const deadlineMs = performance.now() + PATIENCE_MS;
  while ((await completed(url)) < count) {
    if (performance.now() > deadlineMs) throw new Error('the tasks did not end in time');
    await pause(500);
  }
}

async function completed(url: string): Promise<number> {
  const response = await fetch(`${url}/cluster`);
  const { counts } = (await response.json()) as { counts: { COMPLETED: number } };
  return counts.COMPLETED;
}

/** Of the recorded graph, slow enough to be under way for as long as is measured. */
async function submitMontage(url: string, minutes: number): Promise<void> {
  const recorded: unknown = JSON.parse(await readFile(path.join(ROOT, MONTAGE), 'utf8'));
  const timeScale = ((minutes + 3) * 60 * SLOTS * 2) / 8700;
  const spec = workflowOfWfFormat(recorded, { timeScale });
  await post(`${url}/workflows`, JSON.stringify({ ...spec, id: 'montage', priority: 60 }));
}

async function keepBusy(url: string, rate: number, signal: AbortSignal): Promise<void> {
  const periodMs = (BATCH / rate) * 1000;
  while (!signal.aborted) {
    const began = performance.now();
    await post(`${url}/tasks/batch`, lines(BATCH), 'application/x-ndjson');
    await pause(Math.max(0, periodMs - (performance.now() - began)));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

const VIEWS = [
  ['overview', 'overview', '.charts canvas'],
  ['tasks', 'tasks', '.row a.id'],
  ['workflow of 1,738 tasks', 'workflow/montage', '.group'],
  ['the same, all levels open', 'workflow/montage', '.group'],
  ['the same, as a timeline', 'workflow/montage?as=timeline', '.timeline canvas'],
  ['nodes', 'nodes', '.lane canvas'],
] as const;
const WATCHED = ['tasks', 'workflow/montage'];

interface Figures {
  readonly load_before: number;
  readonly load_after: number;
  readonly tasks: number;
  readonly tasks_a_second: number;
  readonly layout_ms: number;
  readonly views: readonly ViewFigures[];
  readonly memory: readonly Memory[];
}

async function measure(browser: Browser, url: string, minutes: number): Promise<Figures> {
  const load = loadavg()[0] ?? 0;
  const beganMs = performance.now();
  const before = await completed(url);
  const views: ViewFigures[] = [];
  let layoutMs = 0;
  for (const [view, place, sign] of VIEWS) {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    const figures = await look(page, view, `${url}/#/${place}`, sign);
    views.push(figures);
    if (sign === '.group') {
      layoutMs = Number(await page.locator('.graph').getAttribute('data-layout-ms'));
    }
    await page.close();
  }
  const memory = await watchMemory(browser, url, minutes);
  const after = await completed(url);
  return {
    ...{ load_before: load, load_after: loadavg()[0] ?? 0, tasks: after },
    tasks_a_second: ((after - before) / (performance.now() - beganMs)) * 1000,
    ...{ layout_ms: layoutMs, views, memory },
  };
}

const FRAMES = `new Promise((resolve) => {
  const [gaps, tasks] = [[], []];
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) tasks.push(duration);
  });
  observer.observe({ entryTypes: ['longtask'] });
  const began = performance.now();
  let last = began;
  const turn = (now) => {
    gaps.push(now - last);
    last = now;
    if (now - began < ${String(FRAMES_MS)}) requestAnimationFrame(turn);
    else { observer.disconnect(); resolve({ gaps, tasks }); }
  };
  requestAnimationFrame(turn);
})`;
const PAINT = `performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0`;

async function look(page: Page, view: string, url: string, sign: string): Promise<ViewFigures> {
  page.setDefaultTimeout(PATIENCE_MS);
  const beganMs = performance.now();
  await page.goto(url);
  await page.locator(sign).first().waitFor();
  const shownMs = performance.now() - beganMs;
  if (view.includes('open')) {
    await page.getByRole('button', { name: 'Open all' }).click();
    await page.locator('.graph canvas').waitFor();
  }
  const paintMs = await page.evaluate<number>(PAINT);
  const { gaps, tasks } = await page.evaluate<{ gaps: number[]; tasks: number[] }>(FRAMES);
  return {
    ...{ view, first_paint_ms: round(paintMs), shown_ms: round(shownMs) },
    frame_median_ms: round(share(gaps, 0.5)),
    frame_p95_ms: round(share(gaps, 0.95)),
    longest_task_ms: round(Math.max(0, ...tasks)),
    long_tasks: tasks.length,
  };
}

async function watchMemory(
  browser: Browser,
  url: string,
  minutes: number,
): Promise<readonly Memory[]> {
  const watched: { view: string; session: CDPSession; mib: number[] }[] = [];
  const pages: Page[] = [];
  for (const view of WATCHED) {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${url}/#/${view}`);
    pages.push(page);
    watched.push({ view, session: await page.context().newCDPSession(page), mib: [] });
  }
  const untilMs = performance.now() + minutes * 60_000;
  while (performance.now() < untilMs) {
    await pause(Math.min(SAMPLE_MS, untilMs - performance.now()));
    for (const { session, mib } of watched) {
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      mib.push(round(usedSize / 1024 / 1024));
    }
  }
  for (const page of pages) await page.close();
  return watched.map(({ view, mib }) => {
    const third = Math.max(1, Math.floor(mib.length / 3));
    const [first, last] = [share(mib.slice(0, third), 0.5), share(mib.slice(-third), 0.5)];
    return { view, mib, first_mib: first, last_mib: last };
  });
}

function share(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function print(figures: Figures): void {
  if (values.json) {
    console.log(JSON.stringify(figures));
    return;
  }
  const { views, memory, tasks, layout_ms: layoutMs } = figures;
  const [before, after] = [figures.load_before.toFixed(1), figures.load_after.toFixed(1)];
  console.log(`${tasks.toLocaleString('en')} tasks, ${figures.tasks_a_second.toFixed(0)} a second`);
  console.log(`load of the machine ${before} before, ${after} after`);
  console.log(`layout of 1,738 tasks ${String(layoutMs)} ms\n`);
  console.table(views);
  for (const { view, first_mib: first, last_mib: last, mib } of memory) {
    const all = mib.map((each) => each.toFixed(1)).join(' ');
    console.log(`heap of ${view}: ${String(first)} MiB at first, ${String(last)} at last (${all})`);
  }
}

if (values.help) console.log(HELP);
else await run();
