import { appendFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../node/base/clock.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { check } from './checker.ts';
import { failoversOf, figuresOf } from './failover.ts';
import { RUNS_VARIABLE } from './handlers.ts';
import { installHistory, readHistory } from './history.ts';
import type { History } from './history.ts';
import { Load } from './load.ts';
import { Nemesis } from './nemesis.ts';
import { createLink } from './network.ts';
import type { Link } from './network.ts';
import { planOf } from './plan.ts';
import { countViolations, examplesOf, figuresByKind } from './report.ts';
import type { Report } from './report.ts';
import { Seeded } from './seeded.ts';
import { ChaosServer } from './server.ts';
import { SLEEPER_PREFIX } from './graphs.ts';

/**
 * One run: a PostgreSQL and a cluster of its own, a load, the faults of a seed; then calm, until all has
 * ended or the time for it is up, and the verdict over the histories. Whatever happens, all that it
 * started is ended, and its folders are removed unless something was found.
 */
export interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly nodes: number;
  readonly leaseMs: number;
  /** Keeps the folder of the run even where all was well. */
  readonly keep: boolean;
  /** A line of progress. */
  readonly say: (line: string) => void;
}

const SLOTS = 6;
/** Above this the load waits, so that the end of a run does not. */
const LIVE_MAX = 600;
/** From the end of the faults on, all must have ended within this. */
const CALM_MS = 90_000;
const LOOK_MS = 250;
const READ_MS = 60_000;
const MAIN = fileURLToPath(new URL('node-entry.ts', import.meta.url));

export async function runChaos(options: ChaosOptions, signal: AbortSignal): Promise<Report> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-chaos-'));
  const cleanUps: (() => Promise<void>)[] = [
    async () => {
      if (!isKept) await rm(folder, { recursive: true, force: true });
    },
  ];
  let isKept = true;
  try {
    const report = await new Run(options, folder, cleanUps).report(signal);
    isKept = !report.is_sound || options.keep;
    return isKept ? { ...report, kept: folder } : report;
  } catch (thrown) {
    // Told to stop, there is nothing to look into.
    if (signal.aborted) isKept = options.keep;
    if (isKept) options.say(`what there is of the run is in ${folder}`);
    throw thrown;
  } finally {
    for (const cleanUp of cleanUps.toReversed()) {
      await cleanUp().catch((thrown: unknown) => {
        options.say(`a step of the clean-up failed: ${String(thrown)}`);
      });
    }
  }
}

class Run {
  private readonly options: ChaosOptions;
  private readonly folder: string;
  private readonly runs: string;
  private readonly logs: string;
  private readonly cleanUps: (() => Promise<void>)[];
  private liveCount = 0;

  constructor(options: ChaosOptions, folder: string, cleanUps: (() => Promise<void>)[]) {
    this.options = options;
    this.folder = folder;
    this.runs = path.join(folder, 'runs');
    this.logs = path.join(folder, 'logs');
    this.cleanUps = cleanUps;
  }

  async report(signal: AbortSignal): Promise<Report> {
    const { options } = this;
    const { seed, seconds, nodes, leaseMs } = options;
    await mkdir(this.runs);
    await mkdir(this.logs);
    const server = await ChaosServer.start();
    this.cleanUps.push(() => server.stop());
    this.cleanUps.push(async () =>
      writeFile(path.join(this.logs, 'postgres.log'), await server.log()),
    );
    const link = await this.link();
    const cluster = await this.startCluster(server, 'missing' in link ? undefined : link);
    await server.withClient(installHistory);
    options.say(`${String(nodes)} nodes on a PostgreSQL of their own; logs in ${this.logs}`);
    const load = new Load({
      chance: new Seeded(seed + 1),
      urls: () => cluster.nodes.map(({ url }) => url),
      isFull: () => this.liveCount > LIVE_MAX,
    });
    const linked = 'missing' in link ? undefined : { node: nodeWithLink(nodes), link };
    const nemesis = new Nemesis({
      cluster,
      server,
      link: linked,
      note: (entry) => this.note(entry),
    });
    const plan = planOf({ seed, seconds, leaseMs, hasLink: linked !== undefined });
    const { healedInMs, isCalm } = await this.storm(server, load, nemesis, plan, signal);
    if (!isCalm) options.say('not everything has ended in time');
    const history = await server.withClient((client) => readHistory(client, this.runs), READ_MS);
    await this.keepHistory(history, load);
    const violations = check(history, load.acknowledged);
    const failovers = failoversOf(history.rows, nemesis.leaderFaults, nemesis.outages);
    const oddities = [...load.oddities, ...nemesis.oddities, ...(await this.crashes())];
    return {
      ...{ seed, seconds, nodes, lease_ms: leaseMs },
      link: 'missing' in link ? link.missing : `${nodeWithLink(nodes)} in a network namespace`,
      faults: Object.fromEntries(nemesis.performed),
      faults_skipped: Object.fromEntries(nemesis.skipped),
      load: load.counts,
      tasks: summaryOf(history),
      violations: countViolations(violations),
      examples: examplesOf(violations),
      oddities,
      failover_ms: figuresOf(failovers.map(({ ms }) => ms)),
      failover_ms_by_kind: figuresByKind(failovers),
      healed_in_ms: healedInMs,
      is_sound: violations.length === 0 && oddities.length === 0,
      kept: null,
    };
  }

  private async link(): Promise<Link | { readonly missing: string }> {
    const link = await createLink();
    if ('missing' in link) this.options.say(`no link is pulled: ${link.missing}`);
    else this.cleanUps.push(() => link.remove());
    return link;
  }

  private async startCluster(server: ChaosServer, link: Link | undefined): Promise<TestCluster> {
    const { nodes, leaseMs } = this.options;
    const cluster = await startCluster({
      nodes,
      slots: SLOTS,
      databaseUrl: server.url,
      proxied: true,
      main: MAIN,
      env: { [RUNS_VARIABLE]: this.runs },
      logs: this.logs,
      extraFlags: ['--lease-ms', String(leaseMs), '--drain-ms', '1500'],
      ...(link === undefined
        ? {}
        : { proxyHost: link.proxyHost, sites: new Map([[nodeWithLink(nodes), link.site]]) }),
    });
    this.cleanUps.push(() => cluster.stop());
    return cluster;
  }

  /** The faults under load, then the calm. */
  private async storm(
    server: ChaosServer,
    load: Load,
    nemesis: Nemesis,
    plan: ReturnType<typeof planOf>,
    signal: AbortSignal,
  ): Promise<{ readonly healedInMs: number; readonly isCalm: boolean }> {
    const { seconds, say } = this.options;
    const over = new AbortController();
    const end = AbortSignal.any([signal, over.signal]);
    const watched = new AbortController();
    const watching = Promise.all([
      nemesis.supervise(watched.signal),
      this.countLive(server, watched.signal),
    ]);
    // Whatever fails first is heard when these are awaited below.
    watching.catch(() => undefined);
    try {
      const loading = load.run(end, signal);
      loading.catch(() => undefined);
      const began = systemClock.monotonicMs();
      await nemesis.run(plan, signal);
      await systemClock.sleep(
        Math.max(0, seconds * 1000 - (systemClock.monotonicMs() - began)),
        signal,
      );
      over.abort();
      await nemesis.undo();
      await loading;
      say('the faults are over');
      const calmMs = systemClock.monotonicMs();
      const isCalm = await this.untilAllEnded(server, load, signal);
      return { healedInMs: Math.round(systemClock.monotonicMs() - calmMs), isCalm };
    } finally {
      over.abort();
      // A fault that is under way still starts nodes.
      await nemesis.undo();
      watched.abort();
      await watching;
    }
  }

  /** Wakes or cancels those that wait for an hour; the answer of either is a promise to be kept. */
  private async untilAllEnded(
    server: ChaosServer,
    load: Load,
    signal: AbortSignal,
  ): Promise<boolean> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(CALM_MS)]);
    const sleepers = await server.withClient(async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `select t.id from skein.live l join skein.task t using (seq) where t.id like $1`,
        [`${SLEEPER_PREFIX}%`],
      );
      return rows.map(({ id }) => id);
    });
    for (const [at, id] of sleepers.entries()) {
      if (at % 2 === 0) await load.insist('PATCH', `/tasks/${id}`, { run_at: null }, late);
      else await load.insist('POST', `/tasks/${id}/cancel`, undefined, late);
    }
    while (!late.aborted) {
      if ((await liveCountOf(server)) === 0) return true;
      await systemClock.sleep(LOOK_MS, signal);
    }
    return false;
  }

  private async countLive(server: ChaosServer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // While PostgreSQL is down, the last count stands.
      this.liveCount = await liveCountOf(server).catch(() => this.liveCount);
      await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
  }

  private note(entry: Readonly<Record<string, unknown>>): void {
    const line = JSON.stringify({ at: new Date().toISOString(), ...entry });
    appendFileSync(path.join(this.folder, 'faults.jsonl'), `${line}\n`);
  }

  private async keepHistory({ rows, tasks }: History, load: Load): Promise<void> {
    const lines = (values: readonly unknown[]): string =>
      values.map((value) => `${JSON.stringify(value)}\n`).join('');
    await writeFile(path.join(this.folder, 'history.jsonl'), lines(rows));
    await writeFile(path.join(this.folder, 'tasks.jsonl'), lines(tasks));
    await writeFile(path.join(this.folder, 'acknowledged.jsonl'), lines([...load.acknowledged]));
  }

  /** No fault of this kind makes a sound node end by an error that nobody caught. */
  private async crashes(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const file of await readdir(this.logs)) {
      const text = await readFile(path.join(this.logs, file), 'utf8');
      for (const line of text.split('\n')) {
        if (CRASHES.test(line)) found.push(`${file}: ${line.slice(0, 400)}`);
      }
    }
    return found;
  }
}

const CRASHES = /An error that nobody caught|heap out of memory|The term ended by an error/;

function nodeWithLink(nodes: number): string {
  return `node-${String(nodes)}`;
}

async function liveCountOf(server: ChaosServer): Promise<number> {
  return server.withClient(async (client) => {
    const { rows } = await client.query<{ count: number }>('select count(*)::int from skein.live');
    return rows[0]?.count ?? 0;
  });
}

const STATUS_NAMES = ['COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'];

function summaryOf({ rows, tasks, handlerLines }: History): Report['tasks'] {
  const byStatus: Record<string, number> = {};
  for (const { status } of tasks) {
    const name = status === null ? 'unfinished' : (STATUS_NAMES[status - 1] ?? 'unknown');
    byStatus[name] = (byStatus[name] ?? 0) + 1;
  }
  return {
    stored: tasks.length,
    by_status: byStatus,
    leases: rows.filter(({ op }) => op === 'leased').length,
    lost_leases: rows.filter(({ op, session }) => op === 'let-go' && isLeader(session)).length,
    runs_in_child: handlerLines.filter(({ what, place }) => what === 'start' && place === 'child')
      .length,
    terms: rows.filter(({ op }) => op === 'term').length,
  };
}

function isLeader(session: string): boolean {
  return session.startsWith('skein/leader/');
}
