import type { Clock, Rng } from '../base/clock.ts';
import { unreachable } from '../base/unreachable.ts';
import type { Effect } from '../core/events.ts';
import { AbortReason } from '../core/messages.ts';
import { EndCode } from '../core/task.ts';
import type { Mailbox } from './mailbox.ts';
import type { LeaderMetricsPort, Leadership, LogPort, ReaderPort, WriterPort } from './ports.ts';
import type { Roster } from './roster.ts';
import { persist, untilDone, type RetryDeps } from './until-done.ts';

/**
 * Carries out what the scheduler wants, in the order in which it says so: first what must be durable,
 * then what is sent, then what is told. Writes are awaited; reads are begun and post their answer.
 */
export interface PerformerDeps extends RetryDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly metrics: LeaderMetricsPort;
  readonly reader: ReaderPort;
  readonly writer: WriterPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  readonly roster: Roster;
}

/** Leases that one statement takes back at most. Skips and cancels come in such portions already. */
const CHUNK_ROWS_MAX = 1000;

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

export class Performer {
  private readonly deps: PerformerDeps;

  constructor(deps: PerformerDeps) {
    this.deps = deps;
  }

  async perform(effects: readonly Effect[]): Promise<void> {
    const { roster, leadership } = this.deps;
    for (const effect of effects) {
      leadership.signal.throwIfAborted();
      switch (effect.kind) {
        case 'persist-reclaims':
          await this.takeBack(effect, 'lost');
          break;
        case 'persist-releases':
          await this.takeBack(effect, 'released');
          break;
        case 'persist-cancels':
          await this.cancel(effect.seqs);
          break;
        case 'persist-expiries':
          await this.expire(effect.seqs);
          break;
        case 'persist-skips':
          await this.skip(effect.seqs);
          break;
        case 'persist-leases':
          await this.lease(effect);
          break;
        case 'send-grants':
          roster.sendGrants(effect.nodeId, effect.grants, effect.step);
          break;
        case 'send-recalls':
          roster.sendRecall(effect.nodeId, { seqs: effect.seqs, leaseSeqs: effect.leaseSeqs });
          break;
        case 'send-aborts':
          roster.sendAborts(effect.nodeId, {
            seqs: effect.seqs,
            leaseSeqs: effect.leaseSeqs,
            reason: effect.reason === 'cancelled' ? AbortReason.CANCELLED : AbortReason.NOT_YOURS,
          });
          break;
        case 'tell-ended':
          roster.tellEnded(effect.seqs, effect.codes);
          break;
        case 'resolve-dependencies':
        case 'load-tasks':
        case 'reread-tasks':
          this.read(effect);
          break;
        default:
          unreachable(effect);
      }
    }
  }

  private async lease(effect: EffectOf<'persist-leases'>): Promise<void> {
    const { seqs, leaseSeqs, nodeIds } = effect;
    const persisted = await this.write('lease', seqs.length, (writer) =>
      writer.leaseMany(seqs, leaseSeqs, nodeIds),
    );
    this.deps.mailbox.post({ kind: 'leases-persisted', asked: seqs, ...persisted });
  }

  private async skip(asked: readonly number[]): Promise<void> {
    const ended = await this.write('skip', asked.length, (writer) => writer.skipMany(asked));
    const codes = ended.seqs.map(() => EndCode.SKIPPED);
    this.deps.mailbox.post({ kind: 'ends-persisted', asked, ...ended, codes, markedSeqs: [] });
  }

  private async cancel(asked: readonly number[]): Promise<void> {
    const ended = await this.write('cancel', asked.length, (writer) => writer.cancelMany(asked));
    const codes = ended.seqs.map(() => EndCode.CANCELLED);
    this.deps.mailbox.post({ kind: 'ends-persisted', asked, ...ended, codes });
  }

  private async expire(asked: readonly number[]): Promise<void> {
    const ended = await this.write('expire', asked.length, (writer) => writer.expireMany(asked));
    const codes = ended.seqs.map(() => EndCode.FAILED);
    if (codes.length > 0) this.deps.log.info('Tasks expired.', { count: codes.length });
    this.deps.mailbox.post({ kind: 'ends-persisted', asked, ...ended, codes, markedSeqs: [] });
  }

  private async takeBack(
    effect: EffectOf<'persist-reclaims' | 'persist-releases'>,
    outcome: 'lost' | 'released',
  ): Promise<void> {
    const { nodeId } = effect;
    for (let from = 0; from < effect.seqs.length; from += CHUNK_ROWS_MAX) {
      const asked = effect.seqs.slice(from, from + CHUNK_ROWS_MAX);
      const leaseSeqs = effect.leaseSeqs.slice(from, from + CHUNK_ROWS_MAX);
      const ended = await this.write('take_back', asked.length, (writer) =>
        writer.takeBackMany(nodeId, asked, leaseSeqs, outcome),
      );
      const count = ended.seqs.length + ended.cancelledSeqs.length;
      if (count > 0) {
        this.deps.log.info('Leases were taken back.', { node_id: nodeId, count, outcome });
      }
      if (outcome === 'lost') this.deps.metrics.leasesReclaimed(count);
      this.deps.mailbox.post({ kind: 'leases-ended', asked, ...ended });
    }
  }

  private async write<T>(
    statement: string,
    size: number,
    run: (writer: WriterPort) => Promise<T>,
  ): Promise<T> {
    const { clock, writer, leadership, metrics } = this.deps;
    const begunMs = clock.monotonicMs();
    const answer = await persist(this.deps, leadership.signal, statement, () => run(writer));
    metrics.committed(statement, size, (clock.monotonicMs() - begunMs) / 1000);
    return answer;
  }

  /** Begins a read beside the loop; it ends with the term. */
  private read(effect: EffectOf<'resolve-dependencies' | 'load-tasks' | 'reread-tasks'>): void {
    const { leadership, mailbox, onDeposed } = this.deps;
    const load = { kind: 'load-ended', load: effect.load, isPaged: false } as const;
    void untilDone(leadership.signal, async () => {
      switch (effect.kind) {
        case 'resolve-dependencies': {
          const resolved = await this.readUntilAnswered((reader) => reader.resolve(effect.seqs));
          mailbox.post({ kind: 'dependencies-resolved', ...resolved }, load);
          return;
        }
        case 'load-tasks': {
          const rows = await this.readUntilAnswered((reader) => reader.live(effect.seqs));
          mailbox.post({ kind: 'tasks-loaded', rows }, load);
          return;
        }
        case 'reread-tasks': {
          const seqs = effect.claims.map((claim) => claim.seq);
          const found = await this.readUntilAnswered((reader) => reader.reread(seqs));
          mailbox.post({ kind: 'tasks-reread', claims: effect.claims, ...found }, load);
        }
      }
    }).catch((thrown: unknown) => {
      onDeposed(`a read failed in a way that is a bug: ${String(thrown)}`);
    });
  }

  private readUntilAnswered<T>(run: (reader: ReaderPort) => Promise<T>): Promise<T> {
    const { reader, leadership } = this.deps;
    return persist(this.deps, leadership.signal, 'read', () => run(reader));
  }
}
