import type { Clock } from '../../node/base/clock.ts';
import type { Timeline } from './timeline.ts';

/**
 * A process of the simulated world: it can crash, and it can freeze and thaw. Its monotonic clock runs
 * at a rate of its own and goes on while it is frozen; its timers and what arrives for it wait until it
 * thaws, and then come in either order, as a real event loop may find them.
 */
export class SimProcess {
  readonly pid: number;
  readonly clock: Clock;
  isDead = false;
  isFrozen = false;
  private readonly timeline: Timeline;
  private readonly waiting: { readonly timers: (() => void)[]; readonly input: (() => void)[] } = {
    timers: [],
    input: [],
  };
  private readonly exits = new Set<() => void>();

  constructor(timeline: Timeline, pid: number, rate = 1) {
    this.timeline = timeline;
    this.pid = pid;
    const after = (ms: number, action: () => void): (() => void) => {
      let isTakenBack = false;
      const fire = (): void => {
        if (!isTakenBack) action();
      };
      const cancel = timeline.after(ms / rate, () => {
        this.run(fire, this.waiting.timers);
      });
      return () => {
        isTakenBack = true;
        cancel();
      };
    };
    this.clock = {
      monotonicMs: () => timeline.nowMs * rate,
      after,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const onAbort = (): void => {
            cancel();
            const reason: unknown = signal?.reason;
            reject(reason instanceof Error ? reason : new Error('aborted', { cause: reason }));
          };
          const cancel = after(ms, () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          });
          if (signal?.aborted === true) onAbort();
          else signal?.addEventListener('abort', onAbort, { once: true });
        }),
    };
  }

  /** Something arrives from outside: now, at the thaw, or never. */
  deliver(action: () => void): void {
    this.run(action, this.waiting.input);
  }

  /** Called once when the process ends, for whatever it held open. */
  onExit(action: () => void): () => void {
    if (this.isDead) action();
    else this.exits.add(action);
    return () => this.exits.delete(action);
  }

  freeze(): void {
    if (!this.isDead) this.isFrozen = true;
  }

  thaw(timersFirst: boolean): void {
    if (!this.isFrozen) return;
    this.isFrozen = false;
    const { timers, input } = this.waiting;
    const missed = timersFirst ? [...timers, ...input] : [...input, ...timers];
    timers.length = 0;
    input.length = 0;
    // One by one: what one of them awaits comes first, as between two turns of a loop.
    for (const action of missed) {
      this.timeline.after(0, () => {
        this.run(action, this.waiting.input);
      });
    }
  }

  crash(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.isFrozen = false;
    for (const exit of this.exits) exit();
    this.exits.clear();
  }

  private run(action: () => void, waiting: (() => void)[]): void {
    if (this.isDead) return;
    if (this.isFrozen) {
      waiting.push(action);
      return;
    }
    this.timeline.touch();
    action();
  }
}
