import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { config } from '../../node/dashboard/vite.config.mjs';

/** A real browser, and the page built from the sources for it. */
export interface Stage {
  readonly browser: Browser;
  readonly pageDir: string;
  close(): Promise<void>;
}

/** Undefined where there is no browser; then it says how to get one. */
export async function maybeBrowser(): Promise<Browser | undefined> {
  const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    console.log(`    no browser at ${executablePath}: install chromium, or set CHROMIUM_PATH`);
    return undefined;
  }
  // The sandbox of chromium does not work for root, and what it opens here is our own page alone.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args, timeout: 30_000 });
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
