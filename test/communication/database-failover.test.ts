import { expect } from 'chai';
import { migrate } from '../../node/store/migrate.ts';
import { clientOf, until } from '../cluster/setup.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { startReplicas } from '../support/replicas.ts';
import type { Replica, Replicas } from '../support/replicas.ts';

/**
 * Goal: a life of a node ends with the server on which it began, whatever becomes of its sessions.
 * Method: real nodes on a real primary whose standby is promoted; what happened is read from the new
 * primary's own tables. The longer runs are in test/full/cluster/database-failover.test.ts.
 */
interface NodeRow {
  readonly node_id: number;
  readonly name: string;
}

const living = (server: Replica): Promise<NodeRow[]> =>
  server.ask<NodeRow>(
    `select node_id::int, name from skein.node
     where state = 'alive' and lease_until > clock_timestamp() order by name`,
  );
const termOf = async (server: Replica): Promise<number> =>
  (await server.ask<{ term: number }>('select term::int from skein.term'))[0]?.term ?? 0;

describe('a node whose database fails over', function () {
  this.timeout(120_000);
  let servers: Replicas;
  let cluster: TestCluster;

  beforeEach(async () => {
    servers = await startReplicas((databaseUrl) => migrate({ databaseUrl }));
    cluster = await startCluster({
      nodes: 2,
      databaseUrl: servers.primary.url,
      proxied: true,
      extraFlags: ['--log-level', 'debug'],
    });
  });

  afterEach(async () => {
    await cluster.stop();
    await servers.stop();
  });

  it('begins anew under another number, although the old primary lives on', async () => {
    await cluster.leader();
    const client = clientOf(cluster);
    await client.submitTask({ id: 'before', type: 'sleep', duration_ms: 1 });
    expect((await client.getTask('before', { waitMs: 60_000 })).status).to.equal('COMPLETED');
    await servers.untilCaughtUp();
    const old = await living(servers.primary);
    const oldTerm = await termOf(servers.primary);

    for (const node of cluster.nodes) node.database.leadTo(servers.standby);
    await servers.promote();
    // What is open stays open: only what they open now leads to the new primary.
    const anew = await until(async () => {
      const rows = await living(servers.standby);
      return rows.length === 2 && rows.every((row) => isOther(row, old)) ? rows : undefined;
    }, 'two nodes with other numbers');
    expect(anew.map((row) => row.name)).to.deep.equal(['node-1', 'node-2']);
    await until(async () => {
      const rows = await servers.primary.ask(
        `select from pg_stat_activity where application_name like 'skein/%'`,
      );
      return rows.length === 0 ? true : undefined;
    }, 'the last session on the old primary');

    await client.submitTask({ id: 'after', type: 'sleep', duration_ms: 1 });
    expect((await client.getTask('after', { waitMs: 60_000 })).status).to.equal('COMPLETED');
    expect(await termOf(servers.standby)).to.be.greaterThan(oldTerm);
  });
});

function isOther(row: NodeRow, old: readonly NodeRow[]): boolean {
  return old.every((one) => one.node_id !== row.node_id);
}
