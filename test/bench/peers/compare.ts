import { toError } from '../../../node/base/errors.ts';
import { grouped, withRig } from '../measure.ts';
import type { BenchOptions } from '../measure.ts';
import type { Rig } from '../rig.ts';
import { drain } from '../scenarios/drain.ts';
import { installPeers } from './install.ts';
import { Peer, PEER_KINDS } from './peer.ts';
import type { PeerKind, PeerRound, PeerSettings } from './peer.ts';
import type { PeerPlace } from './process.ts';
import { hasRedis, startRedis } from './redis.ts';
import type { Redis } from './redis.ts';

/**
 * Other queues on the same machine and the same PostgreSQL, each in a database of its own, in turns with
 * our drain: what the machine has to give changes from minute to minute, so only ratios within a round say
 * anything.
 */
export interface PeersReport {
  readonly tasks: number;
  readonly rounds: readonly Round[];
  readonly settings: Readonly<Record<string, PeerSettings>>;
  /** A sentence for each that was not measured. */
  readonly skipped: readonly string[];
}

export interface Round {
  readonly ours: PeerRound;
  readonly theirs: Readonly<Record<string, PeerRound>>;
}

/** Throws where npm has none of them. */
export async function comparePeers(
  options: BenchOptions,
  names: readonly string[] = PEER_KINDS.map(({ name }) => name),
): Promise<PeersReport> {
  const skipped: string[] = [];
  const kinds = PEER_KINDS.filter(({ name, store }) => {
    if (!names.includes(name)) return false;
    const isThere = store !== 'redis' || hasRedis();
    if (!isThere) skipped.push(`${name}: skipped, there is no redis-server on the path`);
    return isThere;
  });
  const installed = await installPeers(kinds);
  const { folder } = installed;
  let redis: Redis | undefined;
  try {
    if (kinds.some(({ store }) => store === 'redis')) redis = await startRedis(folder);
    return await withRig({ main: options.main }, async (rig) => {
      const contest = new Contest(rig, options, folder, redis?.url ?? '');
      return { ...(await contest.run(kinds)), skipped: [...skipped, ...contest.skipped] };
    });
  } finally {
    await redis?.stop();
    await installed.remove();
  }
}

class Contest {
  readonly skipped: string[] = [];
  private readonly rig: Rig;
  private readonly options: BenchOptions;
  private readonly folder: string;
  private readonly redisUrl: string;
  /** The best of each, by its name. */
  private readonly peers = new Map<string, Peer>();
  private readonly started: Peer[] = [];

  constructor(rig: Rig, options: BenchOptions, folder: string, redisUrl: string) {
    this.rig = rig;
    this.options = options;
    this.folder = folder;
    this.redisUrl = redisUrl;
  }

  async run(kinds: readonly PeerKind[]): Promise<Omit<PeersReport, 'skipped'>> {
    const { tasks, runs } = this.options;
    const settings: Record<string, PeerSettings> = {};
    const rounds: Round[] = [];
    try {
      for (const kind of kinds) {
        const found = await this.maybeBest(kind);
        if (found !== undefined) settings[kind.name] = found;
      }
      await this.ours(0);
      for (let round = 1; round <= runs; round++) {
        const ours = await this.ours(round);
        const theirs: Record<string, PeerRound> = {};
        for (const [name, peer] of this.peers) theirs[name] = await this.theirs(name, peer);
        rounds.push({ ours, theirs });
      }
    } finally {
      for (const peer of this.started) await peer.stop();
    }
    return { tasks, rounds, settings };
  }

  /** The settings that are fastest here, with its processes ready for the rounds. */
  private async maybeBest(kind: PeerKind): Promise<PeerSettings | undefined> {
    let best: { readonly rate: number; readonly settings: PeerSettings } | undefined;
    for (const settings of kind.tried) {
      this.options.signal.throwIfAborted();
      try {
        const peer = await Peer.start(kind, await this.place(kind, settings));
        this.started.push(peer);
        // The first time, all that it runs is new to its processes.
        await peer.run(this.options.tasks);
        const { drain: rate } = await peer.run(this.options.tasks);
        this.options.say(`  ${kind.name}, ${textOf(settings)}: ${grouped(rate)} tasks/s`);
        if (best !== undefined && rate <= best.rate) {
          await peer.stop();
          continue;
        }
        await this.peers.get(kind.name)?.stop();
        this.peers.set(kind.name, peer);
        best = { rate, settings };
      } catch (thrown) {
        this.skipped.push(`${kind.name}, ${textOf(settings)}: ${toError(thrown).message}`);
      }
    }
    return best?.settings;
  }

  private async place(kind: PeerKind, settings: PeerSettings): Promise<PeerPlace> {
    if (kind.store === 'redis') return { folder: this.folder, url: this.redisUrl, settings };
    const database = kind.name.replace('-', '_');
    await this.rig.sql(async (client) => {
      const { rowCount } = await client.query('select from pg_database where datname = $1', [
        database,
      ]);
      if (rowCount === 0) await client.query(`create database ${database}`);
    });
    const url = new URL(this.rig.server.url);
    url.pathname = database;
    return { folder: this.folder, url: url.href, settings };
  }

  private async ours(round: number): Promise<PeerRound> {
    this.options.signal.throwIfAborted();
    const { tasks, say } = this.options;
    const { value, submitRate } = await drain(this.rig, { tasks, name: `ours-${String(round)}` });
    if (round > 0) say(`  ${sayRound('skein', { insert: submitRate, drain: value })}`);
    return { insert: submitRate, drain: value };
  }

  private async theirs(name: string, peer: Peer): Promise<PeerRound> {
    this.options.signal.throwIfAborted();
    const found = await peer.run(this.options.tasks);
    this.options.say(`  ${sayRound(name, found)}`);
    return found;
  }
}

function sayRound(name: string, { insert, drain: rate }: PeerRound): string {
  return `${name}: ${grouped(insert)} inserted/s, ${grouped(rate)} drained/s`;
}

/** `processes 4, concurrency 24`. */
export function textOf(settings: PeerSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}
