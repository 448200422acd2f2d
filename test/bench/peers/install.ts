import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { guard } from '../../support/guard.ts';
import type { PeerKind } from './peer.ts';

/**
 * A folder of its own with the peers in it, out of the registry and without their install scripts; what
 * speaks for them lies beside, so that it finds them.
 */
export interface Installed {
  readonly folder: string;
  remove(): Promise<void>;
}

const INSTALL_MS = 180_000;
const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Throws with what npm said where they cannot be had. */
export async function installPeers(kinds: readonly PeerKind[]): Promise<Installed> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-peers-'));
  const watch = guard('rm -rf "$1"', [folder]);
  const remove = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    watch.takeBack();
  };
  try {
    await writeFile(path.join(folder, 'package.json'), '{"private":true}\n');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await npm(folder, ['install', ...flags, ...kinds.map((kind) => kind.package)]);
    for (const name of ['serve', ...kinds.map((kind) => kind.name)]) {
      await copyFile(path.join(HERE, `${name}.mjs`), path.join(folder, `${name}.mjs`));
    }
    return { folder, remove };
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}

async function npm(folder: string, args: readonly string[]): Promise<void> {
  const child = spawn('npm', ['--prefix', folder, ...args], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: INSTALL_MS,
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`npm could not install the peers: ${said.trim().slice(-500)}`);
}
