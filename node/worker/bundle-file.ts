import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Bundle } from './user-code.ts';

/**
 * The folder of the bundles: one for each user of a machine, named by what they hold, so that all nodes
 * with the same handlers share one file. Nobody else may write into it, as what it holds is run.
 */
export function openBundleFolder(): string {
  const uid = process.getuid?.() ?? 0;
  const folder = path.join(tmpdir(), `skein-handlers-${String(uid)}`);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== 'EEXIST') throw thrown;
    const stat = lstatSync(folder);
    const isOwn = stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
    if (!isOwn) return mkdtempSync(`${folder}-`);
  }
  return folder;
}

/** Before each import: folders for temporary files are tidied by others. Whole, or not there at all. */
export function putBundle({ path: file, text }: Bundle): void {
  try {
    if (readFileSync(file, 'utf8') === text) return;
  } catch {
    // Not there yet, or not any more.
  }
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const half = `${file}.${String(process.pid)}`;
  writeFileSync(half, text, { mode: 0o600 });
  renameSync(half, file);
}
