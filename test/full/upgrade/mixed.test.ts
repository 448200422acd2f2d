import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { clientOf } from '../../cluster/setup.ts';
import { startCluster } from '../../support/cluster.ts';

/**
 * Goal: nodes of the commit before this one and of this one work together: nothing that was acknowledged is
 * lost, and no attempt is charged for the difference, whoever leads.
 * Method: two of each under load for a minute, of which the leader is ended halfway. Where there is no
 * history of git, it says so and is left out.
 */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const LOAD_MS = Number(process.env['SKEIN_TEST_LOAD_MS'] ?? 60_000);
const BATCH = 50;

describe('a cluster of two releases', function () {
  this.timeout(LOAD_MS + 240_000);
  let before: string | undefined;
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8', stdio: 'pipe' });

  beforeEach(function () {
    try {
      git('rev-parse', 'HEAD~1');
    } catch {
      console.log('    there is no commit before this one here: no history of git');
      this.skip();
    }
    const folder = mkdtempSync(path.join(tmpdir(), 'skein-before-'));
    rmSync(folder, { recursive: true });
    git('worktree', 'add', '--detach', folder, 'HEAD~1');
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    before = folder;
  });
  afterEach(() => {
    if (before !== undefined && existsSync(before)) git('worktree', 'remove', '--force', before);
  });

  it('loses nothing and charges nothing under load', async () => {
    const old = path.join(before ?? '', 'node', 'main.ts');
    const cluster = await startCluster({
      ...{ nodes: 4, slots: 4 },
      mainOf: (name) => (['node-1', 'node-2'].includes(name) ? old : undefined),
    });
    try {
      const client = clientOf(cluster);
      const ids: string[] = [];
      const startedMs = Date.now();
      let hasEnded = false;
      while (Date.now() - startedMs < LOAD_MS) {
        const tasks = Array.from({ length: BATCH }, () => ({ type: 'sleep', duration_ms: 5 }));
        const batch = await client.submitBatch(tasks);
        ids.push(...batch.ids);
        await client.waitFor(batch.ids.at(-1) ?? '');
        if (hasEnded || Date.now() - startedMs < LOAD_MS / 2) continue;
        hasEnded = true;
        await cluster.restart(await cluster.leader(), 'SIGTERM');
      }
      const ran = new Map<string | null, number>();
      for (const id of ids) {
        const { status, attempt, node } = await client.waitFor(id);
        expect([status, attempt], id).to.deep.equal(['COMPLETED', 1]);
        ran.set(node, (ran.get(node) ?? 0) + 1);
      }
      expect(ids.length).to.be.greaterThan(BATCH);
      expect([...ran.keys()].sort()).to.deep.equal(['node-1', 'node-2', 'node-3', 'node-4']);
    } finally {
      await cluster.stop();
    }
  });
});
