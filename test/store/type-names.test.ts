import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { AppError } from '../../node/base/errors.ts';
import type { SingleTask } from '../../node/core/submission.ts';
import { TriggerRule } from '../../node/core/task.ts';
import { Database } from '../../node/store/database.ts';
import { PrimaryWatch } from '../../node/store/primary.ts';
import type { Era, ServerIdentity } from '../../node/store/primary.ts';
import { Submissions } from '../../node/store/submissions.ts';
import { TypeNames } from '../../node/store/type-names.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * Goal: the number of a type, remembered, is never that of another type on the server of today. Method:
 * a real database that is taken for a later timeline of itself, in which the numbers are others.
 */
class LaterOnDemand extends PrimaryWatch {
  later = 0;

  override meet({ systemIdentifier, timeline }: ServerIdentity): Era {
    return super.meet({ systemIdentifier, timeline: timeline + this.later });
  }
}

class Interruptible extends Database {
  beforeTransaction: (() => Promise<void>) | undefined;

  override async transaction<T>(...args: Parameters<Database['transaction']>): Promise<T> {
    await this.beforeTransaction?.();
    return (await super.transaction(...args)) as T;
  }
}

describe('the numbers of task types', () => {
  let testDatabase: TestDatabase;
  let admin: Client;
  let watch: LaterOnDemand;
  let database: Interruptible;

  beforeEach(async () => {
    testDatabase = await createTestDatabase();
    admin = new Client({ connectionString: testDatabase.url });
    await admin.connect();
    watch = new LaterOnDemand();
    const { url } = testDatabase;
    database = new Interruptible({
      ...{ url, name: 'types', clock: systemClock, rng: systemRng, servers: watch },
    });
    await database.query({ text: 'select 1' });
  });
  afterEach(async () => {
    await database.stop();
    await admin.end();
    await testDatabase.drop();
  });

  /** The tail in which the type was named is lost, and its number is another's now. */
  async function failOver(): Promise<void> {
    await admin.query(`update skein.type set name = 'another' where name = 'mine'`);
    const present = watch.era?.server ?? { systemIdentifier: '', timeline: 0 };
    watch.later = 1;
    watch.meet(present);
  }

  it('are remembered on one server, and asked anew after a failover', async () => {
    const types = new TypeNames(database);
    const before = (await types.resolve(['mine'])).get('mine');
    expect((await types.resolve(['mine'])).get('mine')).to.equal(before);
    await failOver();
    const after = await types.resolve(['mine']);
    expect(after.get('mine')).to.be.a('number').and.not.equal(before);
    expect(after.serverName).to.equal(database.serverName);
  });

  it('are not written by a transaction on another server than the one that said them', async () => {
    const submissions = new Submissions({ database, clock: systemClock });
    await submissions.submitOne(taskOf('a'));
    database.beforeTransaction = failOver;
    const thrown: unknown = await submissions
      .submitOne(taskOf('b'))
      .catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(AppError).with.property('code', 'database_not_primary');
    database.beforeTransaction = undefined;
    await submissions.submitOne(taskOf('b'));
    const { rows } = await admin.query<{ id: string; name: string }>(
      `select t.id, y.name from skein.task t join skein.type y using (type_id) where t.id = 'b'`,
    );
    expect(rows).to.deep.equal([{ id: 'b', name: 'mine' }]);
    await submissions.stop();
  });
});

function taskOf(id: string): SingleTask {
  const fields = {
    ...{
      type: 'mine',
      payload: null,
      priority: 50,
      maxAttempts: 1,
      triggerRule: TriggerRule.all_success,
      tags: [],
      labels: [],
    },
    ...{
      durationMs: null,
      expectedMs: null,
      timeoutMs: null,
      ttlMs: null,
      runAtMs: null,
      delayMs: null,
    },
    ...{ backoffFixed: false, backoffBaseMs: 1, backoffMaxMs: 1 },
  } as const;
  return { id, fields, dependencies: [] };
}
