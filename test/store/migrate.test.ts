import { expect } from 'chai';
import { Client } from 'pg';
import { migrate } from '../../node/store/migrate.ts';
import { createEmptyDatabase } from '../support/postgres.ts';

/** Goal: the tables are made once, however many nodes start on an empty database at once. */
describe('migrate', () => {
  it('applies every file once when ten start on an empty database at once', async () => {
    const database = await createEmptyDatabase();
    try {
      const ten = Array.from({ length: 10 }, () => migrate({ databaseUrl: database.url }));
      const applied = (await Promise.all(ten)).flatMap((m) => m.applied);
      expect(new Set(applied).size).to.equal(applied.length);
      expect(applied).to.include('0001_spine');

      const client = new Client({ connectionString: database.url });
      await client.connect();
      const terms = await client.query('select term from skein.term');
      await client.end();
      expect(terms.rows).to.deep.equal([{ term: '0' }]);
    } finally {
      await database.drop();
    }
  });

  it('finds nothing to do the second time', async () => {
    const database = await createEmptyDatabase();
    try {
      await migrate({ databaseUrl: database.url });
      const again = await migrate({ databaseUrl: database.url });
      expect(again.applied).to.deep.equal([]);
      expect(again.serverVersion).to.be.at.least(160_000);
    } finally {
      await database.drop();
    }
  });

  it('stops waiting when it is told to', async () => {
    const database = await createEmptyDatabase();
    const holder = new Client({ connectionString: database.url });
    try {
      await holder.connect();
      // The lock that node-pg-migrate takes: another node seems to migrate for ever.
      await holder.query('select pg_advisory_lock(7241865325823964)');
      const stop = new AbortController();
      const waiting = migrate({ databaseUrl: database.url, signal: stop.signal });
      await waitsForLock(holder);
      stop.abort(new Error('enough'));
      const outcome = await waiting.catch((error: unknown) => error);
      expect(outcome).to.be.an('error').with.property('message', 'enough');
    } finally {
      await holder.end();
      await database.drop();
    }
  });
});

async function waitsForLock(client: Client): Promise<void> {
  for (;;) {
    const waiting = await client.query('select from pg_locks where not granted');
    if (waiting.rowCount !== 0) return;
  }
}
