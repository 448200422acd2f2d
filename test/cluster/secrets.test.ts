import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { startCluster } from '../support/cluster.ts';
import { handlersFolder } from '../support/handlers-folder.ts';
import { clientOf, PATIENCE_MS } from './setup.ts';

/**
 * Goal: a secret reaches its handler, and nothing that outlives the task. Method: a real node; handlers
 * that say all they know in every way they can, and then every table and the log of the node are searched.
 */
const FILE = 'from-a-file "with quotes"';
const VARIABLE = 'from-the-environment';
const HANDLERS = {
  'tell.mjs': `export default async ({ payload }, { log, progress }) => {
    const { token, deep } = payload;
    console.log('console', token, JSON.stringify(payload));
    log.info('logged ' + token, { token, nested: [deep] });
    progress(0.5, token);
    if (payload.fails) throw new Error('failed with ' + token + ' and ' + deep[0].pass);
    return { token, length: token.length, url: 'http://x/?t=' + encodeURIComponent(token), deep };
  };`,
};

describe('secrets of a payload', function () {
  this.timeout(PATIENCE_MS);

  // Seen to fail without the mask of the outcome.
  it('reach the handler, and neither the database nor a log', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'skein-secrets-'));
    await writeFile(path.join(dir, 'api-token'), `${FILE}\n`);
    const folder = await handlersFolder(HANDLERS);
    const cluster = await startCluster({
      nodes: 1,
      env: { THE_PASSWORD: VARIABLE, NOT_LISTED: 'elsewhere' },
      extraFlags: [
        ...['--handlers', folder.path, '--log-level', 'debug'],
        ...['--secrets-dir', dir, '--secret-env', 'THE_PASSWORD'],
      ],
    });
    const sql = new Client({ connectionString: cluster.databaseUrl });
    await sql.connect();
    try {
      const client = clientOf(cluster);
      const payload = {
        token: { secretRef: 'api-token' },
        deep: [{ pass: { secretRef: 'THE_PASSWORD' } }],
      };
      const submit = async (more: object, refs: object = payload): Promise<string> => {
        const task = { type: 'tell', payload: { ...refs, ...more }, max_attempts: 1 };
        return (await client.submitTask(task)).id;
      };
      const told = await client.waitFor(await submit({}));
      expect(told.result).to.deep.equal({
        ...{ token: '***', length: FILE.length, url: 'http://x/?t=***' },
        deep: [{ pass: '***' }],
      });
      expect(told.payload).to.deep.equal(payload);
      const failed = await client.waitFor(await submit({ fails: true }));
      expect(failed.error).to.include({ message: 'failed with *** and ***' });
      for (const name of ['NOT_LISTED', '../api-token', 'nobody', '.', 'PATH']) {
        const id = await submit({}, { token: { secretRef: name }, deep: [] });
        const { error } = await client.waitFor(id);
        expect(error, name).to.include({ code: 'secret_unavailable' });
      }
      const lines: unknown[] = [];
      for await (const line of client.logs(told.id, { follow: true })) lines.push(line);
      expect(lines).to.have.length(2);
      const tables = ['task', 'attempt', 'log', 'event', 'inbox', 'live'];
      for (const table of tables) {
        const { rows } = await sql.query(`select to_jsonb(t)::text as text from skein.${table} t`);
        expectNone(JSON.stringify(rows), table);
      }
      expectNone(await cluster.node('node-1').log(), 'the log of the node');
    } finally {
      await sql.end();
      await cluster.stop();
      await folder.remove();
      await rm(dir, { recursive: true });
    }
  });
});

function expectNone(text: string, where: string): void {
  for (const part of ['from-a-file', VARIABLE, 'elsewhere']) {
    expect(text.includes(part), `${part} in ${where}`).to.equal(false);
  }
}
