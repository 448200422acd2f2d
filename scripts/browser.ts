import { existsSync } from 'node:fs';
import type { Browser, BrowserType } from 'playwright-core';

/** Where a chromium is looked for: that of Debian, unless another is named. */
export function browserPath(): string {
  return process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
}

const LAUNCH_MS = 30_000;

/** Throws with the way to get one where there is none. */
export async function launchBrowser(
  chromium: BrowserType,
  args: readonly string[] = [],
): Promise<Browser> {
  const executablePath = browserPath();
  if (!existsSync(executablePath)) {
    throw new Error(`no browser at ${executablePath}: install chromium, or set CHROMIUM_PATH`);
  }
  // The sandbox of chromium does not work for root, and what it opens here is our own page alone.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args: [...sandbox, ...args], timeout: LAUNCH_MS });
}
