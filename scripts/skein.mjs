#!/usr/bin/env node
/**
 * The command line, `npx skein …`. In a checkout it installs and builds what is missing first; the packed
 * package brings its build, and has no sources.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { dist, ensureBuilt, ensureInstalled, root, runCommand } from './setup.mjs';

await runCommand(async () => {
  if (existsSync(path.join(root, 'tsconfig.build.json'))) {
    await ensureInstalled();
    await ensureBuilt();
  }
  await import(pathToFileURL(path.join(dist, 'node', 'main.js')).href);
});
