import { expect } from 'chai';
import { lease, node, reader, settled } from '../conformance/hands.ts';
import { LEADER_SCRIPTS } from '../conformance/leader-scripts.ts';
import { RealBackend, type RealHands } from '../conformance/real-hands.ts';
import { testScripts } from '../conformance/scripts.ts';

/**
 * Goal: what the leader reads, ends, revives and buries is right beside any other transaction.
 * Method: sessions interleaved by hand (conformance/hands.ts), on PostgreSQL and on the model of it.
 */
testScripts('statements of the leader between two sessions', LEADER_SCRIPTS);

/** On PostgreSQL alone: a statement of the model that only reads does so in one step. */
describe('statements of the leader while they read', () => {
  let backend: RealBackend;
  let hands: RealHands;
  beforeEach(async () => {
    backend = await RealBackend.open();
    hands = await backend.reset();
  });
  afterEach(() => backend.close());

  // Fails where not_completed and live are read by two statements, one after the other.
  for (const table of ['live', 'not_completed']) {
    it(`rule 6: a failure that commits while ${table} is read is no COMPLETED`, async () => {
      await hands.add([1, 2, 3]);
      await lease(hands, 2, 3);
      await node(hands.one).settleMany(settled(2, 1, 2));
      await holdReadsOf(table);
      const held = await hands.open('held');
      await hands.aside.sql('select pg_advisory_lock(1)');
      // The first two are read before the third: one of them holds the statement up.
      const { answer } = await hands.blocked(held, hands.aside, () =>
        reader(held).resolve([1, 2, 3]),
      );
      await node(hands.one).settleMany(settled(3, 1, 2));
      await hands.aside.sql('select pg_advisory_unlock(1)');
      expect((await answer).codes).to.deep.equal([0, 2, 0]);
      expect((await reader(hands.two).resolve([3])).codes[0]).to.equal(2);
    });
  }

  /** A view in the place of the table, whose rows wait for a lock where that session reads them. */
  const holdReadsOf = (table: string) =>
    hands.aside.sql(`
        create function skein.hold() returns boolean language plpgsql volatile as $$
        begin
          if current_setting('application_name') = 'held' then
            perform pg_advisory_lock(1);
            perform pg_advisory_unlock(1);
          end if;
          return true;
        end $$;
        alter table skein.${table} rename to held;
        create view skein.${table} as select * from skein.held where skein.hold()`);
});
