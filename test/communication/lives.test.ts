import { expect } from 'chai';
import { Client } from 'pg';
import { PROTOCOL } from '../../node/core/messages.ts';
import { LAN } from '../../node/core/timings.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import type { LinkToNode } from '../../node/leader/ports.ts';
import { Lives } from '../../node/lives.ts';
import { Metrics } from '../../node/observe/metrics.ts';
import { PrimaryWatch } from '../../node/store/primary.ts';
import type { Era, ServerIdentity } from '../../node/store/primary.ts';
import { realSurroundings } from '../../node/surroundings.ts';
import { until } from '../cluster/setup.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { noSpawn } from '../support/no-spawn.ts';

/**
 * Goal: a life of a node hears nobody who is on another server of PostgreSQL, ends with its own server,
 * and the next leads under a term above all that were seen. Method: the real composition in this
 * process; the same database is taken for a later timeline of itself when the test says so.
 */
class LaterOnDemand extends PrimaryWatch {
  later = 0;

  override meet({ systemIdentifier, timeline }: ServerIdentity): Era {
    return super.meet({ systemIdentifier, timeline: timeline + this.later });
  }
}

describe('the lives of a node', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let admin: Client;
  let watch: LaterOnDemand;
  let lives: Lives;
  let doubts: number;

  beforeEach(async () => {
    database = await createTestDatabase();
    admin = new Client({ connectionString: database.url });
    await admin.connect();
    watch = new LaterOnDemand();
    doubts = 0;
    const silent = { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0 };
    const name = 'node-1';
    lives = new Lives({
      config: { name, slots: 1, simulate: false, labels: [], drainMs: 1000, timings: LAN },
      surroundings: realSurroundings({
        ...{ databaseUrl: database.url, name, log: silent, primary: watch },
        childEntry: new URL('../../node/task-child.ts', import.meta.url),
        doubt: () => (doubts += 1),
      }),
      log: { ...silent, child: () => silent },
      metrics: new Metrics(),
      handlers: builtInHandlers,
      spawn: noSpawn,
      addresses: { httpUrl: 'http://127.0.0.1:9', grpcAddress: '127.0.0.1:9' },
      version: 'test',
      isStopping: () => false,
      ...{ onEnded: () => 0, onTerm: () => 0, onNews: () => 0 },
    });
    await lives.begin();
    await untilLeading();
  });

  afterEach(async () => {
    await lives.end();
    await admin.end();
    await database.drop();
  });

  const untilLeading = (): Promise<true> =>
    until(() => Promise.resolve(lives.current?.isLeader === true ? true : undefined), 'the office');
  const term = async (): Promise<number> => {
    const { rows } = await admin.query<{ term: number }>('select term::int from skein.term');
    return rows[0]?.term ?? NaN;
  };
  /** What its sessions reach from now on is a later server; one of them finds out. */
  const failOver = async (): Promise<void> => {
    watch.later = 1;
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'skein/control/node-1'`,
    );
  };
  const untilOther = (life: Lives['current']): Promise<NonNullable<Lives['current']>> =>
    until(
      () => Promise.resolve(lives.current === life ? undefined : lives.current),
      'another life',
    );
  const stateOf = async (nodeId: number | undefined): Promise<string | undefined> => {
    const { rows } = await admin.query<{ state: string }>(
      'select state from skein.node where node_id = $1',
      [nodeId],
    );
    return rows[0]?.state;
  };
  /** What a node hears that says hello to this one. */
  const hello = (
    database: string,
    termSeen: number,
    leaseMs = LAN.leaseMs,
    protocol: readonly [speaks: number, understands: number] = [0, 0],
  ): object =>
    lives.accept({
      hello: {
        ...{ nodeId: 900, incarnation: 'other', name: 'other', slots: 1, types: [] },
        ...{ simulates: false, version: 'test', termSeen, database, leaseMs },
        ...{ protocol: protocol[0], protocolMin: protocol[1] },
      },
      send: () => 1,
      close: () => undefined,
    } satisfies LinkToNode);

  it('refuse a node on another server, whatever term it has seen, and look where they are', async () => {
    expect(hello('1/1', 1000)).to.deep.equal({ refused: 'on another database' });
    expect(doubts).to.equal(1);
    expect(lives.current?.isLeader).to.equal(true);
    expect(lives.current?.termSeen).to.equal(await term());
    expect(hello(watch.serverName, 1)).to.not.have.property('refused');
    expect(hello('', 1), 'of a release that does not say').to.not.have.property('refused');
    expect(doubts).to.equal(1);
  });

  // Seen to fail without the look at leaseMs in accept.
  it('refuse a node that counts on a lease of another length, and say which it must be', () => {
    const refused = { refused: 'the lease of this cluster is 10000 ms: set lease_ms alike' };
    expect(hello(watch.serverName, 1, 20_000)).to.deep.equal(refused);
    expect(hello(watch.serverName, 1, 0), 'who does not say').to.not.have.property('refused');
  });

  // Seen to fail without `isUnderstood`, and with either half of it.
  it('refuse a node of a release that they do not understand, or that does not understand them', () => {
    const saying = (speaks: number, understands: number): object =>
      hello(watch.serverName, 1, LAN.leaseMs, [speaks, understands]);
    const { speaks, understands } = PROTOCOL;
    const refused = { refused: 'its release and test do not understand each other' };
    expect(saying(speaks + 1, speaks + 1)).to.deep.equal(refused);
    expect(saying(speaks + 1, speaks), 'the next release').to.not.have.property('refused');
    // The first is the oldest that there is, and 0 says nothing.
    expect(saying(understands - 2, 1), 'an older one').to.deep.equal(refused);
    expect(saying(0, 0), 'who does not say').to.not.have.property('refused');
  });

  it('lead under a term above the highest that any peer has seen', async () => {
    expect(hello(watch.serverName, 41)).to.have.property('refused');
    await until(async () => ((await term()) > 41 ? true : undefined), 'a term above 41');
    await untilLeading();
  });

  it('end with the server, and begin anew under another number and a later term', async () => {
    const first = lives.current;
    hello(watch.serverName, 41);
    await untilLeading();
    // What follows was lost in the failover.
    await admin.query('update skein.term set term = 3');
    await failOver();
    const next = await untilOther(first);
    expect(next.nodeId).to.be.greaterThan(first?.nodeId ?? Infinity);
    await until(async () => ((await term()) > 41 ? true : undefined), 'a term above 41');
    await until(
      async () => ((await stateOf(first?.nodeId)) === 'left' ? true : undefined),
      'the end of the old number',
    );
  });

  it('do not sign out the number of one that is another’s on the new server', async () => {
    const first = lives.current;
    await admin.query('update skein.node set incarnation = gen_random_uuid() where node_id = $1', [
      first?.nodeId,
    ]);
    await failOver();
    await untilOther(first);
    await until(async () => ((await term()) > 1 ? true : undefined), 'the next term');
    expect(await stateOf(first?.nodeId)).to.equal('alive');
  });
});
