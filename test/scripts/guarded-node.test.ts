import { expect } from 'chai';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawnNode } from '../../scripts/node-process.ts';
import type { NodeProcess } from '../../scripts/node-process.ts';
import { openKeys } from '../../node/direct-keys.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { systemClock } from '../../node/base/clock.ts';
import { skein } from '../cli/support.ts';
import { guard } from '../support/guard.ts';
import { createTestDatabase } from '../support/postgres.ts';

/** Goal: a node is not open by mistake, and the way that it names leads in. Method: real processes. */
describe('a node that asks for keys', function () {
  this.timeout(60_000);

  it('refuses to start unguarded, then without a key, and serves whoever has one', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'skein-guarded-'));
    const database = await createTestDatabase();
    const log = path.join(folder, 'node.log');
    const start = async (...flags: readonly string[]): Promise<NodeProcess> => {
      const common = ['--database-url', database.url, '--log-format', 'json'];
      const node = await spawnNode({
        name: 'n',
        flags: [...common, ...flags],
        env: process.env,
        log,
      });
      guard('kill -TERM "$1"', [String(node.pid)]);
      return node;
    };
    try {
      const open = await start('--http-host', '0.0.0.0');
      expect(await codeOf(open)).to.equal(2);
      expect(await readFile(log, 'utf8')).to.include('--behind-tls-proxy');
      const keyless = await start('--require-keys');
      expect(await codeOf(keyless)).to.equal(1);
      expect(await readFile(log, 'utf8')).to.include(
        'skein keys create --role admin --database-url',
      );

      const create = ['keys', 'create', '--role', 'admin', '--database-url', database.url];
      const { out, code } = await skein(create, { openKeys });
      expect(code).to.equal(0);
      const node = await start('--require-keys');
      const url = await httpUrlOf(node, log);
      const refused = await skein(['list', '--url', url]);
      expect(refused).to.include({ code: 1 });
      expect(refused.err).to.include('needs a key');
      const listed = await skein(['keys', 'list', '--url', url], { env: { SKEIN_API_KEY: out } });
      expect(listed.code, listed.err).to.equal(0);
      expect(listed.out).to.match(/admin +admin +\* +valid/);
      const client = new SkeinClient({ urls: [url], apiKey: out.trim() });
      expect(await client.submitTask({ type: 'noop' })).to.include({ status: 'QUEUED' });
      node.child.kill('SIGTERM');
      expect(await codeOf(node)).to.equal(0);
    } finally {
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function codeOf(node: NodeProcess): Promise<unknown> {
  if (node.child.exitCode !== null) return node.child.exitCode;
  return (await once(node.child, 'exit'))[0];
}

async function httpUrlOf(node: NodeProcess, log: string): Promise<string> {
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    const text = await readFile(log, 'utf8');
    const line = text.split('\n').find((each) => each.includes('The node is up.'));
    const [, url] = /"http_url":"([^"]+)"/.exec(line ?? '') ?? [];
    if (url !== undefined) return url;
    if (node.hasEnded()) throw new Error(text);
    await systemClock.sleep(25, signal);
  }
}
