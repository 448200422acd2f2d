import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { openEmbeddedPostgres } from '../../node/store/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../node/store/embedded-postgres.ts';

const DURABLE = ['fsync', 'full_page_writes', 'synchronous_commit'];

/**
 * Goal: whatever happened to the server or to its launcher, opening it again gives the same data.
 * Method: real servers in a folder with a space and a quote in its name, killed by their number.
 */
describe('openEmbeddedPostgres', () => {
  const folders: string[] = [];
  const servers: EmbeddedPostgres[] = [];

  async function newHome(): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), 'skein embedded’s "test" $x-'));
    folders.push(folder);
    // As a user's folder is: open to pass through, private further down.
    await chmod(folder, 0o755);
    return path.join(folder, 'postgres');
  }

  async function open(home: string, port?: number): Promise<EmbeddedPostgres> {
    const server = await openEmbeddedPostgres({
      home,
      ...(port === undefined ? {} : { port }),
      settings: { fsync: 'off', shared_buffers: '16MB', max_connections: 20 },
    });
    servers.push(server);
    return server;
  }

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });

  it('makes a server that answers, with a private home and every durable setting on', async () => {
    const home = await newHome();
    const server = await openEmbeddedPostgres({ home });
    servers.push(server);
    expect(server).to.include({ home, adopted: false });
    expect(server.version).to.match(/^18\./);
    expect((await stat(home)).mode & 0o777).to.equal(0o700);
    expect((await stat(path.join(home, 'password'))).mode & 0o777).to.equal(0o600);
    const settings = await ask(
      server.url,
      `select current_setting('fsync') || ' ' || current_setting('synchronous_commit') || ' ' ||
              current_setting('full_page_writes') || ' ' || current_setting('max_connections') as x`,
    );
    expect(settings).to.equal('on on on 200');
  });

  it('keeps the durable settings on whatever was set in it before', async () => {
    const home = await newHome();
    const server = await openEmbeddedPostgres({ home });
    servers.push(server);
    for (const name of DURABLE) await ask(server.url, `alter system set ${name} = off`);
    await server.stop();
    const again = await openEmbeddedPostgres({ home });
    servers.push(again);
    const shown = DURABLE.map((name) => ask(again.url, `select current_setting('${name}') as x`));
    expect(await Promise.all(shown)).to.deep.equal(['on', 'on', 'on']);
  });

  it('adopts a server that runs, and two launchers at once share one', async () => {
    const home = await newHome();
    const [first, second] = await Promise.all([open(home), open(home)]);
    expect([first.adopted, second.adopted].toSorted()).to.deep.equal([false, true]);
    expect(first.url).to.equal(second.url);
  });

  it('keeps data, port and password when it is stopped and started', async () => {
    const home = await newHome();
    const first = await open(home);
    await ask(first.url, `create table kept as select 'thread' as x`);
    await first.stop();
    const second = await open(home);
    expect(second).to.include({ adopted: false, url: first.url, port: first.port });
    expect(await ask(second.url, 'select x from kept')).to.equal('thread');
  });

  it('starts again after kill -9 of the server, its orphans and all', async () => {
    const home = await newHome();
    const first = await open(home);
    await ask(first.url, `create table kept as select 'thread' as x`);
    process.kill(await postmasterOf(home), 'SIGKILL');
    const second = await open(home);
    expect(await ask(second.url, 'select x from kept')).to.equal('thread');
  });

  it('has nothing to stop after kill -9 of the server', async () => {
    const home = await newHome();
    const server = await open(home);
    process.kill(await postmasterOf(home), 'SIGKILL');
    while (await ask(server.url, 'select true as x').catch(() => false)) continue;
    expect(await server.stopIfUnused()).to.equal(true);
  });

  it('starts although postmaster.pid names a living program that is no server', async function () {
    if (process.platform !== 'linux') this.skip();
    const home = await newHome();
    const first = await open(home);
    const file = path.join(home, 'pgdata', 'postmaster.pid');
    const lines = (await readFile(file, 'utf8')).split('\n');
    await first.stop();
    // What a reboot leaves: the number of the old server now belongs to another program of its user.
    const { uid, gid } = await stat(path.join(home, 'pgdata'));
    const other = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' });
    try {
      await writeFile(file, [String(other.pid), ...lines.slice(1)].join('\n'));
      expect(await ask((await open(home)).url, `select 'up' as x`)).to.equal('up');
    } finally {
      other.kill();
    }
  });

  it('removes the lock of a launcher that died', async () => {
    const home = await newHome();
    await mkdir(home);
    // 2^22 is above every process number that Linux gives out.
    await writeFile(path.join(home, 'launcher.lock'), '4194304 1');
    expect((await open(home)).adopted).to.equal(false);
  });

  it('takes another port when the remembered one is busy, and refuses a named busy one', async () => {
    const home = await newHome();
    const first = await open(home);
    await first.stop();
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(first.port, '127.0.0.1', resolve));
    try {
      const refused = await open(home, first.port).catch((error: unknown) => error);
      expect(refused).to.be.an('error').with.property('message').that.includes('is in use');
      expect((await open(home)).port).not.to.equal(first.port);
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
  });

  it('stops only when the last session of a node is gone', async () => {
    const server = await open(await newHome());
    const node = new Client({ connectionString: server.url, application_name: 'skein/api' });
    await node.connect();
    expect(await server.stopIfUnused()).to.equal(false);
    expect(await ask(server.url, `select 'up' as x`)).to.equal('up');
    await node.end();
    expect(await untilStopped(server)).to.equal(true);
    const refused = await ask(server.url, 'select 1 as x').catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'ECONNREFUSED');
  });

  it('names both releases when the data is of another one, and touches nothing', async () => {
    const home = await newHome();
    await mkdir(path.join(home, 'pgdata'), { recursive: true });
    await writeFile(path.join(home, 'pgdata', 'PG_VERSION'), '15\n');
    const refused = await open(home).catch((error: unknown) => error);
    expect(refused)
      .to.be.an('error')
      .with.property('message')
      .that.match(/PostgreSQL 15.*18/);
    expect(await readFile(path.join(home, 'pgdata', 'PG_VERSION'), 'utf8')).to.equal('15\n');
  });

  it('leaves nothing running when it is interrupted, and starts over the next time', async () => {
    const home = await newHome();
    const stop = new AbortController();
    const opening = openEmbeddedPostgres({ home, signal: stop.signal });
    stop.abort(new Error('enough'));
    const outcome = await opening.catch((error: unknown) => error);
    expect(outcome).to.be.an('error');
    expect(await ask((await open(home)).url, `select 'up' as x`)).to.equal('up');
  });

  it('puts the data of root elsewhere when the server cannot reach the folder', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const home = await newHome();
    await chmod(path.dirname(home), 0o700);
    const server = await open(home);
    folders.push(server.home);
    expect(server.home).to.match(/^\/var\/lib\/skein\/[0-9a-f]{16}$/);
    expect((await open(home)).home).to.equal(server.home);
  });
});

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url, application_name: 'test' });
  try {
    await client.connect();
    const answer = await client.query<{ x: unknown }>(sql);
    return answer.rows[0]?.x;
  } finally {
    await client.end();
  }
}

/** A session that has just ended may still be listed for a moment. */
async function untilStopped(server: EmbeddedPostgres): Promise<boolean> {
  for (let tries = 0; tries < 1000; tries += 1) if (await server.stopIfUnused()) return true;
  return false;
}

async function postmasterOf(home: string): Promise<number> {
  return Number(
    (await readFile(path.join(home, 'pgdata', 'postmaster.pid'), 'utf8')).split('\n')[0],
  );
}
