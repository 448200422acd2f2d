import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { config } from '../../node/dashboard/vite.config.mjs';
import { browserPath, launchBrowser } from '../../scripts/browser.ts';

/** A real browser, and the page built from the sources for it. */
export interface Stage {
  readonly browser: Browser;
  readonly pageDir: string;
  close(): Promise<void>;
}

/** Undefined where there is no browser; then it says how to get one. */
export async function maybeBrowser(): Promise<Browser | undefined> {
  if (existsSync(browserPath())) return launchBrowser(chromium);
  console.log(`    no browser at ${browserPath()}: install chromium, or set CHROMIUM_PATH`);
  return undefined;
}

/** The same, with the page. */
export async function maybeStage(): Promise<Stage | undefined> {
  const browser = await maybeBrowser();
  if (browser === undefined) return undefined;
  const pageDir = await mkdtemp(path.join(tmpdir(), 'skein-page-'));
  await build({ ...config, build: { ...config.build, outDir: pageDir } });
  return {
    browser,
    pageDir,
    close: async () => {
      await browser.close();
      await rm(pageDir, { recursive: true, force: true });
    },
  };
}

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/**
 * What axe finds on a page that keeps people out. It looks at a twin of it, in which its own code may run,
 * as soon as that shows the same sign.
 */
export async function obstaclesOf(
  browser: Browser,
  page: Page,
  sign = 'main h1',
  colorScheme: 'dark' | 'light' = 'light',
): Promise<readonly string[]> {
  const other = await browser.newContext({ bypassCSP: true, colorScheme });
  try {
    const twin = await other.newPage();
    await twin.goto(page.url());
    await twin.locator('.line.live').waitFor();
    await twin.locator(sign).first().waitFor();
    await twin.addScriptTag({ path: axePath });
    return await twin.evaluate(`axe.run().then(({ violations }) => violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => id + ' ' + nodes.map(({ html }) => html.slice(0, 200)).join(' ')))`);
  } finally {
    await other.close();
  }
}

/** All that a page must not do: errors, and requests to anywhere but the origins that are its own. */
export function faultsOf(page: Page, origins: readonly string[]): readonly string[] {
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('dialog', (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (!origins.includes(origin)) faults.push(`a request to ${request.url()}`);
  });
  return faults;
}
