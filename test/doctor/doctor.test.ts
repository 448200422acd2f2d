import { expect } from 'chai';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import type { Finding } from '../../node/core/diagnosis.ts';
import { runDoctor } from '../../node/doctor.ts';
import { migrate } from '../../node/store/migrate.ts';
import { createFakePooler } from '../communication/fake-pooler.ts';
import { startEmbedded } from '../support/postgres.ts';

/**
 * Goal: the doctor sees on a real server what would hurt, names it, and is silent about the rest.
 * Method: a PostgreSQL that was started with bad settings, a role that was given too little, a pooler in
 * front of it. The settings that a role can set are broken and mended one by one.
 */
interface Report {
  readonly ok: boolean;
  readonly failed: number;
  readonly findings: readonly Finding[];
}

describe('skein doctor', function () {
  this.timeout(60_000);
  let server: Awaited<ReturnType<typeof startEmbedded>>;
  let admin: pg.Client;

  before(async () => {
    server = await startEmbedded({ autovacuum: 'off', max_connections: 20 });
    await migrate({ databaseUrl: server.url });
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
  });
  after(async () => {
    await admin.end();
    await server.stop();
  });

  async function reportOf(
    databaseUrl: string,
    flags: Readonly<Record<string, unknown>> = {},
  ): Promise<{ readonly code: number; readonly report: Report }> {
    let text = '';
    const code = await runDoctor({ databaseUrl, ...flags }, true, {
      env: {},
      write: (more) => (text += more),
      complain: () => undefined,
    });
    return { code, report: JSON.parse(text) as Report };
  }
  const statusOf = ({ findings }: Report, check: string): string | undefined =>
    findings.find((finding) => finding.check === check)?.status;
  const urlFor = (user: string): string => {
    const url = new URL(server.url);
    url.username = user;
    url.password = 'secret';
    return url.href;
  };

  it('names every bad setting of the server, and exits with 1', async () => {
    const { code, report } = await reportOf(server.url);
    expect(code).to.equal(1);
    expect(report.ok).to.equal(false);
    const statuses = Object.fromEntries(
      report.findings.map(({ check, status }) => [check, status]),
    );
    expect(statuses).to.include({
      'node.js': 'ok',
      postgresql: 'ok',
      primary: 'ok',
      role: 'warn',
      durability: 'fail',
      autovacuum: 'fail',
      connections: 'ok',
      clock: 'ok',
      nodes: 'ok',
      pooler: 'ok',
    });
    const durability = report.findings.find(({ check }) => check === 'durability');
    expect(durability?.said).to.include('fsync, full_page_writes, synchronous_commit');
    expect(
      report.findings.filter(({ status }) => status !== 'ok').every(({ advice }) => advice),
    ).to.equal(true);
  });

  it('sees what a role may not do, what cuts its sessions, and what it needs', async () => {
    await admin.query(`
      create role poor login password 'secret' connection limit 5;
      alter role poor set idle_session_timeout = '60s';
      alter role poor set statement_timeout = '2s';
      alter role poor set default_transaction_isolation = 'serializable'`);
    const nothing = (await reportOf(urlFor('poor'))).report;
    expect(statusOf(nothing, 'role')).to.equal('fail');
    expect(statusOf(nothing, 'idle_session_timeout')).to.equal('warn');
    expect(statusOf(nothing, 'statement_timeout')).to.equal('warn');
    expect(statusOf(nothing, 'isolation')).to.equal('fail');
    expect(statusOf(nothing, 'connections')).to.equal('warn');
    await admin.query(
      'grant usage on schema skein to poor; grant select on all tables in schema skein to poor',
    );
    const reading = (await reportOf(urlFor('poor'))).report;
    expect(reading.findings.find(({ check }) => check === 'role')?.said).to.match(
      /lacks rights: \w+: insert/,
    );
    await admin.query('grant insert, update, delete on all tables in schema skein to poor');
    expect(statusOf((await reportOf(urlFor('poor'))).report, 'role')).to.equal('warn');
  });

  it('is content with a role that owns what it needs', async () => {
    await admin.query(`create role owner login password 'secret'`);
    await admin.query('create database own owner owner');
    const url = new URL(urlFor('owner'));
    url.pathname = '/own';
    const before = (await reportOf(url.href)).report;
    expect(before.findings.find(({ check }) => check === 'role')?.said).to.include('may create');
    await migrate({ databaseUrl: url.href });
    const after = (await reportOf(url.href)).report;
    expect(statusOf(after, 'role')).to.equal('ok');
    expect(statusOf(after, 'pooler')).to.equal('ok');
  });

  it('sees a pooler that lends its sessions by the transaction', async () => {
    const pooler = await createFakePooler(server.url, 'last-returned');
    const { code, report } = await reportOf(pooler.url);
    await pooler.close();
    expect(code).to.equal(1);
    expect(
      report.findings.some(({ status, check }) => status === 'fail' && check === 'pooler'),
    ).to.equal(true);
  });

  it('sees nodes of another release', async () => {
    await admin.query(`insert into skein.node (incarnation, name, lease_until, boot_id, pid_namespace,
        pid, pid_started, http_url, grpc_address, slots, types, simulates, version)
      values (gen_random_uuid(), 'old', now() + interval '1 hour', 'b', 'n', 42, '1',
        'http://127.0.0.1:1', '127.0.0.1:2', 3, '{}', false, '0.0.9')`);
    const { report } = await reportOf(server.url);
    await admin.query('delete from skein.node');
    const finding = report.findings.find(({ check }) => check === 'nodes');
    expect(finding).to.include({ status: 'warn' });
    expect(finding?.said).to.include('old has 0.0.9');
  });

  it('says so where nothing answers, where a port is taken, and where settings are wrong', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code, report } = await reportOf('postgres://x@127.0.0.1:1/x', { httpPort: port });
    taken.close();
    expect(code).to.equal(1);
    expect(statusOf(report, 'postgresql')).to.equal('fail');
    expect(statusOf(report, 'http port')).to.equal('fail');
    expect(statusOf(report, 'grpc port')).to.equal('ok');
    const deps = { env: {}, write: () => undefined, complain: () => undefined };
    expect(await runDoctor({ databaseUrl: 'mysql://x' }, false, deps)).to.equal(2);
  });

  it('writes a line for each, and what to do below it', async () => {
    let text = '';
    const write = (more: string): unknown => (text += more);
    await runDoctor({ databaseUrl: server.url }, false, { env: {}, write, complain: write });
    expect(text).to.match(/^ok {4}node\.js +\d/);
    expect(text).to.match(/^fail {2}durability .*\n +→ set fsync = on/m);
    expect(text).to.match(/\d failed, \d to look at\n$/);
  });
});
