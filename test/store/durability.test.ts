import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { PrimaryProbe } from '../../node/store/primary-probe.ts';
import { PrimaryWatch } from '../../node/store/primary.ts';
import { startCluster } from '../support/cluster.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * Goal: nobody runs for months on a server that forgets, without having been told. Method: a database
 * whose sessions do not wait for the disk; what the probe finds, and what a real node logs at its start.
 */
describe('a server that may forget what it has acknowledged', function () {
  this.timeout(60_000);
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
    await alter('synchronous_commit = off');
  });
  afterEach(() => database.drop());

  async function alter(setting: string): Promise<void> {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const name = new URL(database.url).pathname.slice(1);
    await client.query(`alter database ${name} set ${setting}`);
    await client.end();
  }

  const look = (): Promise<readonly string[]> =>
    new PrimaryProbe({
      databaseUrl: database.url,
      name: 'durability',
      clock: systemClock,
      servers: new PrimaryWatch(),
      log: { debug: () => undefined },
    }).look();

  it('is known by the settings that are off for the sessions of the node itself', async () => {
    expect(await look()).to.include('synchronous_commit');
    for (const value of ['on', 'remote_apply', 'local']) {
      await alter(`synchronous_commit = ${value}`);
      expect(await look()).to.not.include('synchronous_commit');
    }
  });

  it('is used, and named once in the log of a node that starts on it', async () => {
    const cluster = await startCluster({ nodes: 1, databaseUrl: database.url });
    try {
      const lines = (await cluster.node('node-1').log()).split('\n');
      const warnings = lines.filter((line) => line.includes('may lose acknowledged tasks'));
      expect(warnings).to.have.length(1);
      const warning = JSON.parse(warnings[0] ?? '') as { level: string; off: string[] };
      expect(warning.level).to.equal('warn');
      expect(warning.off).to.include('synchronous_commit');
    } finally {
      await cluster.stop();
    }
  });
});
