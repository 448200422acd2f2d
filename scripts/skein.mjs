#!/usr/bin/env node
/** The command line, `npx skein …`: installs and builds what is missing, then hands over. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { dist, ensureBuilt, ensureInstalled, runCommand } from './setup.mjs';

await runCommand(async () => {
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(path.join(dist, 'node', 'main.js')).href);
});
