import { toError } from './base/errors.ts';
import { Incarnation, type IncarnationDeps } from './incarnation.ts';
import type { LinkHandlers, LinkToNode } from './leader/ports.ts';

/**
 * The lives of one node, one after the other. A node whose row the database holds for dead, or whose
 * database has failed over to another server, ends that life and begins another under a new number: its
 * leases are others' now. The process, its REST and its peer server stay, and between two lives they
 * answer that nobody is home.
 */
export interface LivesDeps extends Omit<IncarnationDeps, 'onBuried' | 'termSeen' | 'isDrained'> {
  /** Whether the node is about to stop: then no further life begins. */
  readonly isStopping: () => boolean;
}

/** Between attempts to register anew, while the database cannot be reached. */
const REBIRTH_PAUSE_MS = 500;

export class Lives {
  private readonly deps: LivesDeps;
  private present: Incarnation | undefined;
  private rebirth: Promise<void> | undefined;
  private termSeen = 0;
  private isDrained = false;

  constructor(deps: LivesDeps) {
    this.deps = deps;
  }

  /** The present life; undefined before the first, and between two. */
  get current(): Incarnation | undefined {
    return this.present;
  }

  /** The first one; rejects where the node cannot be registered. */
  async begin(): Promise<void> {
    this.present = await this.beginOne();
  }

  accept(link: LinkToNode): LinkHandlers | { readonly refused: string } {
    return this.present?.accept(link) ?? { refused: 'not the leader' };
  }

  /** Waits for a life that is about to begin, and drains the present one. */
  async drain(drainMs: number, signal: AbortSignal): Promise<void> {
    await this.rebirth;
    await this.present?.drain(drainMs, signal);
  }

  async end(): Promise<void> {
    await this.rebirth;
    await this.present?.end();
  }

  private beginOne(): Promise<Incarnation> {
    return Incarnation.begin({
      ...this.deps,
      termSeen: this.termSeen,
      isDrained: this.isDrained,
      onBuried: (reason) => {
        this.rebirth ??= this.beginAnew(reason).finally(() => {
          this.rebirth = undefined;
        });
      },
    });
  }

  private async beginAnew(reason: string): Promise<void> {
    const { log, surroundings, isStopping } = this.deps;
    log.warn('This life of the node is over; it begins anew.', { reason });
    const buried = this.present;
    this.isDrained = buried?.isDrained ?? false;
    this.termSeen = Math.max(this.termSeen, buried?.termSeen ?? 0);
    this.present = undefined;
    try {
      await buried?.end();
    } catch (thrown) {
      log.error('A buried life could not be ended.', { error: toError(thrown) });
    }
    while (!isStopping()) {
      try {
        const life = await this.beginOne();
        this.present = life;
        if (buried?.unsigned !== undefined) await life.signOutFormer(buried.unsigned);
        return;
      } catch (thrown) {
        log.warn('The node could not register again yet.', { error: toError(thrown) });
        await surroundings.clock.sleep(REBIRTH_PAUSE_MS);
      }
    }
  }
}
