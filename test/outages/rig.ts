import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../node/base/clock.ts';
import { ChaosServer } from '../chaos/server.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { Flow } from './flow.ts';
import type { FlowOptions } from './flow.ts';
import { Ledger } from './ledger.ts';
import type { Moment } from './ledger.ts';

/**
 * What every part is measured on: a PostgreSQL of its own with the durability that it comes with, three
 * real nodes, and a ledger. `stop` leaves nothing but the logs, and those only where they are kept.
 */
export interface RigOptions {
  readonly slots: number;
  /** The node as a built module; from the sources unless given. */
  readonly main: string | undefined;
  readonly proxied?: boolean;
  readonly extraFlags?: readonly string[];
}

const FROM_SOURCES = fileURLToPath(new URL('node-entry.ts', import.meta.url));
const PATIENCE_MS = 60_000;
const LOOK_MS = 10;
/** A cluster that has leased within this is at work. */
const AT_WORK = `
select exists (
  select from outages.lease where term = (select term from skein.term)
    and at > clock_timestamp() - interval '300 ms') as yes`;

export class Rig {
  readonly server: ChaosServer;
  readonly cluster: TestCluster;
  readonly ledger: Ledger;
  readonly logs: string;
  private readonly flows: Flow[] = [];
  /** Names of nodes whose process was frozen or cut off: they answer nobody. */
  private readonly away = new Set<string>();

  static async start(options: RigOptions): Promise<Rig> {
    const logs = await mkdtemp(path.join(tmpdir(), 'skein-outages-'));
    const server = await ChaosServer.start();
    try {
      const { slots, main, proxied = false, extraFlags = [] } = options;
      const cluster = await startCluster({
        ...{ slots, logs, proxied, extraFlags, databaseUrl: server.url },
        ...(main === undefined ? { main: FROM_SOURCES } : { main, execArgv: [] }),
      });
      const rig = new Rig(server, cluster, logs);
      await rig.ledger.install();
      return rig;
    } catch (thrown) {
      await server.stop();
      throw thrown;
    }
  }

  private constructor(server: ChaosServer, cluster: TestCluster, logs: string) {
    this.server = server;
    this.cluster = cluster;
    this.logs = logs;
    this.ledger = new Ledger(server.url);
  }

  /** Ends everything; the logs stay where something is to be looked into. */
  async stop(keepLogs: boolean): Promise<void> {
    await Promise.all(this.flows.map((flow) => flow.stop().catch(() => undefined)));
    await this.ledger.close();
    await this.cluster.stop();
    await this.server.stop();
    if (!keepLogs) await rm(this.logs, { recursive: true, force: true });
  }

  /** Begun at once, and stopped with the rig at the latest. */
  flow(options: Pick<FlowOptions, 'backlog' | 'group'>): Flow {
    const flow = new Flow({ ...options, ledger: this.ledger, urls: () => this.urls() });
    this.flows.push(flow);
    flow.start();
    return flow;
  }

  /** Of the nodes that should answer. */
  urls(): readonly string[] {
    const { nodes } = this.cluster;
    return nodes
      .filter((node) => !node.hasEnded() && !this.away.has(node.name))
      .map(({ url }) => url);
  }

  /** A node that answers nobody until it is back. */
  leave(name: string): void {
    this.away.add(name);
  }

  comeBack(name: string): void {
    this.away.delete(name);
  }

  /** When leases are flowing: who leads, and the instant just before what comes next. */
  async momentAtWork(): Promise<Moment> {
    await this.until('leases to flow', async () => {
      const { yes } = await this.ledger.one<{ yes: boolean }>(AT_WORK);
      return yes ? true : undefined;
    });
    // At any phase of what happens once a second.
    await systemClock.sleep(Math.random() * 1000);
    return this.ledger.moment();
  }

  /** The first lease of a term after this one, by the database's clock. */
  async firstLeaseAfter(term: number): Promise<number> {
    return this.until('a lease of the next term', async () => {
      return (await this.ledger.firstLeaseAfter(term)) ?? undefined;
    });
  }

  /** Outcomes that came too late, as the living nodes have counted them since they began. */
  async staleOutcomes(name?: string): Promise<number> {
    let stale = 0;
    for (const node of this.cluster.nodes) {
      if (node.hasEnded() || (name !== undefined && node.name !== name)) continue;
      const answer = await fetch(`${node.url}/metrics`, { signal: AbortSignal.timeout(5000) });
      const found = /^skein_stale_outcomes_total(?:\{.*\})? (\d+)$/m.exec(await answer.text());
      stale += Number(found?.[1] ?? 0);
    }
    return stale;
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const untilMs = systemClock.monotonicMs() + PATIENCE_MS;
    while (systemClock.monotonicMs() < untilMs) {
      const found = await look();
      if (found !== undefined) return found;
      await systemClock.sleep(LOOK_MS);
    }
    throw new Error(`waited in vain for ${what}`);
  }
}
