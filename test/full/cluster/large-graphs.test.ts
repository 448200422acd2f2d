import { expect } from 'chai';
import { systemClock } from '../../../node/base/clock.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from '../../cluster/setup.ts';

const TASKS = 10_000;
const EDGES = 50_000;

// Goal: graphs far larger than the machine has slots. Method: bodies as a client writes them, sent to
// one node of three, judged in the database.
describe('a cluster takes large graphs', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  beforeEach(async () => {
    cluster = await startCluster({ slots: 64 });
  });

  afterEach(async () => {
    await cluster.stop();
  });

  it('10,000 tasks with 50,000 random edges: all complete, each after its dependencies', async () => {
    const random = lcg(20_261_121);
    const tasks = Array.from({ length: TASKS }, (_, at) => ({
      id: `t${String(at)}`,
      type: 'noop',
      dependencies: new Set<string>(),
    }));
    for (let edges = 0; edges < EDGES;) {
      const child = 1 + Math.floor(random() * (TASKS - 1));
      const { dependencies } = tasks[child] ?? { dependencies: new Set() };
      const before = dependencies.size;
      dependencies.add(`t${String(Math.floor(random() * child))}`);
      edges += dependencies.size - before;
    }
    const begunMs = systemClock.monotonicMs();
    await clientOf(cluster).submitBatch(
      tasks.map((task) => ({ ...task, dependencies: [...task.dependencies] })),
    );
    const acceptedMs = Math.round(systemClock.monotonicMs() - begunMs);
    await untilAllCompleted(cluster, TASKS);
    const ranMs = Math.round(systemClock.monotonicMs() - begunMs);
    console.log(`      accepted in ${String(acceptedMs)} ms, done in ${String(ranMs)} ms`);
    expect(await earlyStarts(cluster)).to.equal(0);
  });

  it('a chain of 10,000 completes, link by link', async () => {
    const begunMs = systemClock.monotonicMs();
    await clientOf(cluster).submitBatch(
      Array.from({ length: TASKS }, (_, at) => ({
        id: `c${String(at)}`,
        type: 'noop',
        dependencies: at === 0 ? [] : [`c${String(at - 1)}`],
      })),
    );
    await untilAllCompleted(cluster, TASKS);
    const stepMs = (systemClock.monotonicMs() - begunMs) / TASKS;
    console.log(`      ${stepMs.toFixed(2)} ms a link`);
    expect(await earlyStarts(cluster)).to.equal(0);
  });
});

async function untilAllCompleted(cluster: TestCluster, count: number): Promise<void> {
  await withDatabase(cluster, (database) =>
    until(async () => {
      const { rows } = await database.query<{ live: number; completed: number }>(
        `select (select count(*)::int from skein.live) as live,
           (select count(*)::int from skein.task where status = 1) as completed`,
      );
      const [row] = rows;
      if (row?.live !== 0) return undefined;
      expect(row.completed).to.equal(count);
      return true;
    }, 'the end of all tasks'),
  );
}

/** Edges whose child started before its parent had finished. */
function earlyStarts(cluster: TestCluster): Promise<number> {
  return withDatabase(cluster, async (database) => {
    const { rows } = await database.query<{ count: number }>(
      `select count(*)::int as count
       from skein.task child, unnest(child.dependencies) as dependency (id)
       join skein.task parent on parent.namespace_id = 0 and parent.id = dependency.id
       where child.started_at < parent.finished_at or parent.finished_at is null`,
    );
    return rows[0]?.count ?? -1;
  });
}

/** A small generator with a fixed seed, so that a failure can be run again. */
function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}
