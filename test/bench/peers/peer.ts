import path from 'node:path';
import { systemClock } from '../../../node/base/clock.ts';
import { PeerProcess } from './process.ts';
import type { PeerPlace } from './process.ts';

/** Another queue, by what its own documentation says is fastest, and which of its settings are tried. */
export interface PeerKind {
  readonly name: string;
  /** As npm installs it. */
  readonly package: string;
  readonly store: 'postgres' | 'redis';
  /** The best of these is what it is measured with. */
  readonly tried: readonly PeerSettings[];
}

export interface PeerSettings {
  readonly processes: number;
  readonly [name: string]: number;
}

/**
 * graphile-worker's performance page: four instances, 24 jobs at a time, a local queue of 500, no delay
 * of batches. pg-boss: batches, with a worker told to look again at once. BullMQ: many at a time in
 * several processes. How many processes are best depends on the machine, so each gets its best.
 */
export const PEER_KINDS: readonly PeerKind[] = [
  {
    ...{ name: 'graphile-worker', package: 'graphile-worker@0.17.3', store: 'postgres' },
    tried: [4, 2, 1].map((processes) => ({ processes, concurrency: 24, localQueue: 500 })),
  },
  {
    ...{ name: 'pg-boss', package: 'pg-boss@10.4.2', store: 'postgres' },
    tried: [
      { processes: 1, batchSize: 1000 },
      { processes: 2, batchSize: 1000 },
      { processes: 2, batchSize: 5000 },
    ],
  },
  {
    ...{ name: 'bullmq', package: 'bullmq@5.81.5', store: 'redis' },
    tried: [
      { processes: 1, concurrency: 200 },
      { processes: 2, concurrency: 200 },
      { processes: 4, concurrency: 200 },
    ],
  },
];

export interface PeerRound {
  /** Jobs a second, by its own bulk call. */
  readonly insert: number;
  /** From the first process that is ready to the last job committed as done. */
  readonly drain: number;
}

const LOOK_MS = 5;
const DRAIN_MS = 180_000;

/** The processes of a peer, which stay for all rounds: those of a round before have warmed up. */
export class Peer {
  private readonly keeper: PeerProcess;
  private readonly workers: readonly PeerProcess[];

  static async start(kind: PeerKind, place: PeerPlace): Promise<Peer> {
    const peer = new Peer(kind, place);
    try {
      await peer.keeper.ask('prepare');
      await Promise.all(peer.workers.map((worker) => worker.ask('prepare')));
    } catch (thrown) {
      await peer.stop();
      throw thrown;
    }
    return peer;
  }

  private constructor(kind: PeerKind, place: PeerPlace) {
    const file = path.join(place.folder, `${kind.name}.mjs`);
    const open = (): PeerProcess => new PeerProcess(file, place);
    this.keeper = open();
    this.workers = Array.from({ length: place.settings['processes'] ?? 1 }, open);
  }

  /** All jobs are there before the first may be handled. Throws where one is handled twice or never. */
  async run(count: number): Promise<PeerRound> {
    const { seconds } = await this.keeper.ask('insert', { count });
    await this.keeper.ask('settle');
    const readyMs = this.workers.map(async (worker) => Number((await worker.ask('work'))['atMs']));
    // One that is ready later than others may find that these have begun.
    const firstReadyMs = Math.min(...(await Promise.all(readyMs)));
    const endMs = await this.untilEmpty(count);
    await Promise.all(this.workers.map((worker) => worker.ask('stop')));
    if (this.handled !== count) {
      throw new Error(`no figure: ${String(this.handled)} of ${String(count)} were handled`);
    }
    await this.keeper.ask('clear');
    const firstMs = this.workers.map((worker) => worker.firstMs ?? Infinity);
    const begunMs = Math.min(firstReadyMs, ...firstMs);
    return { insert: count / Number(seconds), drain: (count / (endMs - begunMs)) * 1000 };
  }

  async stop(): Promise<void> {
    await Promise.all([this.keeper, ...this.workers].map((one) => one.end()));
  }

  private get handled(): number {
    return this.workers.reduce((sum, { handled }) => sum + handled, 0);
  }

  private async untilEmpty(count: number): Promise<number> {
    const giveUp = AbortSignal.timeout(DRAIN_MS);
    // The store is asked only when the processes have said that all are handled: asking costs.
    while (this.handled < count) await systemClock.sleep(LOOK_MS, giveUp);
    for (;;) {
      const { empty } = await this.keeper.ask('isEmpty');
      if (empty === true) return Date.now();
      await systemClock.sleep(LOOK_MS, giveUp);
    }
  }
}
