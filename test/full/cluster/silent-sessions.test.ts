import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock } from '../../../node/base/clock.ts';
import { check } from '../../chaos/checker.ts';
import { RUNS_VARIABLE } from '../../chaos/handlers.ts';
import { installHistory, readHistory } from '../../chaos/history.ts';
import { until } from '../../cluster/setup.ts';
import { startCluster, type TestCluster, type TestNode } from '../../support/cluster.ts';

/** Every connection that a node keeps to PostgreSQL, by its role; the second two are the leader's alone. */
const ROLES = ['lock', 'leader', 'reader', 'control', 'worker-read', 'worker', 'api'] as const;
const OF_LEADERS: ReadonlySet<string> = new Set(['leader', 'reader']);
/** What a node must have leased and completed since its session fell silent. */
const ENOUGH = 5;
const ANSWER_MS = 5000;
const MAIN = fileURLToPath(new URL('../../chaos/node-entry.ts', import.meta.url));

/**
 * Goal: no session that falls silent stops a node: each wait for one ends, and it opens another.
 * Method: of the leader and of a follower, each connection in turn is cut off both ways without an end,
 * while work goes on; before it is healed, both must work and answer again. The histories are judged as
 * those of a chaos run, and no handler may run twice at once, because these heed their signal.
 */
describe('a node one of whose sessions falls silent', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let database: Client;
  let runs: string;
  const acknowledged = new Set<string>();

  before(async () => {
    runs = await mkdtemp(path.join(tmpdir(), 'skein-silent-'));
    const env = { [RUNS_VARIABLE]: runs };
    cluster = await startCluster({ slots: 4, proxied: true, main: MAIN, env });
    database = new Client({ connectionString: cluster.databaseUrl });
    await database.connect();
    await installHistory(database);
  });
  after(async () => {
    await database.end();
    await cluster.stop();
    await rm(runs, { recursive: true });
  });

  // Seen to fail without the deadline of a statement in node/store/pipeline.ts.
  it('goes on without it, as leader and as follower: nothing is lost, or run twice at once', async () => {
    const load = { url: '', over: new AbortController() };
    const loading = submitAlways(load);
    for (const [at, role] of ROLES.entries()) {
      const [leader, ...followers] = await leaderFirst();
      const victims = [leader, ...(OF_LEADERS.has(role) ? [] : [followers[at % 2]])];
      load.url = followers[(at + 1) % 2]?.url ?? '';
      await Promise.all(victims.map((node) => silenceAndHeal(node as TestNode, role)));
    }
    load.over.abort();
    await loading;
    await until(async () => {
      const { rows } = await database.query('select from skein.live limit 1');
      return rows.length === 0 ? true : undefined;
    }, 'everything to end');
    const history = await readHistory(database, runs);
    const handlerLines = history.handlerLines.map((line) => ({ ...line, place: 'child' as const }));
    expect(check({ ...history, handlerLines }, acknowledged)).to.deep.equal([]);
    expect(acknowledged.size).to.be.greaterThan(100);
  });

  async function silenceAndHeal(node: TestNode, role: string): Promise<void> {
    const began = systemClock.monotonicMs();
    const { rows } = await database.query<{ mark: string }>(
      'select coalesce(max(id), 0) as mark from chaos.history',
    );
    const count = node.database.silence(`skein/${role}/`);
    expect(count, `sessions of ${role} at ${node.name}`).to.be.greaterThan(0);
    await until(async () => {
      const done = await completedSince(node, rows[0]?.mark ?? '0');
      return done >= ENOUGH && (await answers(node)) ? true : undefined;
    }, `${node.name} to work without its session ${role}`);
    node.database.heal();
    const tookMs = (systemClock.monotonicMs() - began).toFixed(0);
    console.log(
      `      ${role} of ${node.name}: ${String(count)} silent, at work within ${tookMs} ms`,
    );
  }

  async function completedSince(node: TestNode, mark: string): Promise<number> {
    const { rows } = await database.query<{ count: number }>(
      `select count(*)::int as count
       from chaos.history e join chaos.history l using (seq, lease_seq)
       where e.op = 'ended' and e.status = 1 and l.op = 'leased' and l.id > $2
         and e.node_id in (select node_id from skein.node where name = $1)`,
      [node.name, mark],
    );
    return rows[0]?.count ?? 0;
  }

  async function answers(node: TestNode): Promise<boolean> {
    const answer = await fetch(`${node.url}/tasks?limit=1`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.status === 200;
  }

  async function leaderFirst(): Promise<readonly TestNode[]> {
    const { rows } = await database.query<{ name: string }>(
      'select leader_name as name from skein.term',
    );
    const leader = cluster.node(rows[0]?.name ?? '');
    return [leader, ...cluster.nodes.filter((node) => node !== leader)];
  }

  /** Diamonds, to a node that is whole. */
  async function submitAlways(load: { url: string; readonly over: AbortController }) {
    for (let number = 1; !load.over.signal.aborted; number += 1) {
      const task = (name: string, ...dependencies: readonly string[]) => ({
        id: `${String(number)}${name}`,
        ...{ type: 'work', payload: { ms: 30 } },
        dependencies: dependencies.map((parent) => `${String(number)}${parent}`),
      });
      const tasks = [task('a'), task('b', 'a'), task('c', 'a'), task('d', 'b', 'c')];
      if (load.url !== '') {
        const answer = await fetch(`${load.url}/tasks/batch`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(tasks),
          signal: AbortSignal.timeout(ANSWER_MS),
        }).catch(() => undefined);
        await answer?.body?.cancel();
        if (answer?.status === 201) for (const { id } of tasks) acknowledged.add(id);
      }
      await systemClock.sleep(60);
    }
  }
});
