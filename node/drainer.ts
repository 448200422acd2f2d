import type { Clock } from './base/clock.ts';
import { toError } from './base/errors.ts';
import type { LogPort } from './leader/ports.ts';

/**
 * A node that somebody has asked to take no more work, without ending it: it says so with its heartbeats,
 * lets what runs finish, hands back the rest uncharged, and then marks its row. It goes on to answer, and to
 * lead where it leads, because that takes no slot. It works again when it is told to, or when its process is
 * started anew; a life that follows this one in the same process begins drained.
 */
export interface DrainerDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly contact: { drain(isOn: boolean): void; readonly isAllTold: boolean };
  readonly worker: {
    drain(graceMs: number, signal: AbortSignal): Promise<void>;
    resume(): void;
  };
  readonly graceMs: number;
  /** Marks the row of the node; false where the database holds the node for dead. */
  readonly mark: (state: 'alive' | 'draining') => Promise<boolean>;
}

const RETRY_MS = 500;
/** What was settled last is told for so long; after that the database has it anyway. */
const TELL_MS = 500;

export class Drainer {
  private readonly deps: DrainerDeps;
  private readonly leaving = new AbortController();
  private wanted = false;
  private working: Promise<void> | undefined;

  constructor(deps: DrainerDeps) {
    this.deps = deps;
  }

  /** Whether it was asked to take no more work. */
  get isOn(): boolean {
    return this.wanted;
  }

  set(isOn: boolean): void {
    if (this.wanted === isOn || this.leaving.signal.aborted) return;
    const { contact, worker, log } = this.deps;
    log.info(isOn ? 'The node takes no more work.' : 'The node takes work again.');
    this.wanted = isOn;
    contact.drain(isOn);
    if (!isOn) worker.resume();
    this.working ??= this.work().finally(() => {
      this.working = undefined;
    });
  }

  /** The node ends: from now on its end alone says what becomes of its work. */
  leave(): void {
    this.leaving.abort(new Error('the node ends'));
  }

  /** Until the row says what is wanted; never rejects. */
  private async work(): Promise<void> {
    const { clock, worker, contact, graceMs } = this.deps;
    const { signal } = this.leaving;
    let marked: boolean | undefined;
    while (!this.isDone(marked)) {
      const isOn = this.wanted;
      if (isOn) {
        await worker.drain(graceMs, signal);
        for (let waitedMs = 0; !contact.isAllTold && waitedMs < TELL_MS; waitedMs += 10) {
          await clock.sleep(10);
        }
      }
      if (this.isDone(undefined) || this.isOn !== isOn) continue;
      if (await this.tryMark(isOn ? 'draining' : 'alive')) marked = isOn;
      else await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  private isDone(marked: boolean | undefined): boolean {
    return marked === this.wanted || this.leaving.signal.aborted;
  }

  private async tryMark(state: 'alive' | 'draining'): Promise<boolean> {
    const { log, mark } = this.deps;
    try {
      // A life that the database holds for dead is over, and the next begins as this one was.
      await mark(state);
      if (state === 'draining') log.info('The node is drained.');
      return true;
    } catch (thrown) {
      log.warn('The node could not be marked as draining.', { error: toError(thrown) });
      return false;
    }
  }
}
