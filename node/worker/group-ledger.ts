import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { LogPort } from './ports.ts';

export interface GroupLedgerDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  /** Replaces what the row of the node says; rejects while the database is away. */
  readonly registerGroups: (groups: readonly number[]) => Promise<void>;
}

const OUTAGE_BACKOFF = { baseMs: 50, maxMs: 1000 };

interface Waiting {
  readonly version: number;
  readonly resolve: () => void;
}

/**
 * Keeps the row of the node equal to the process groups that live: one write at a time, of what there
 * is when the last has come back, again until it works. A group that has ended must leave the row even
 * if that takes a while, because its number will be another's some day, and whoever buries this node
 * kills the groups of its row.
 */
export class GroupLedger {
  private readonly deps: GroupLedgerDeps;
  /** All and only the groups of children that live. */
  private readonly groups = new Set<number>();
  /** Counts the changes of the set. */
  private version = 0;
  private written = 0;
  private isWriting = false;
  private waiting: Waiting[] = [];
  private readonly stopping = new AbortController();

  constructor(deps: GroupLedgerDeps) {
    this.deps = deps;
  }

  get all(): ReadonlySet<number> {
    return this.groups;
  }

  /** Resolves when the row names the group; rejects with the signal's reason where that comes first. */
  async add(group: number, signal: AbortSignal): Promise<void> {
    this.groups.add(group);
    const version = this.change();
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.waiting = this.waiting.filter((one) => one !== waiting);
        reject(toError(signal.reason));
      };
      const waiting: Waiting = {
        version,
        resolve: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiting.push(waiting);
    });
  }

  /** The row follows as soon as the database lets it. */
  remove(group: number): void {
    this.groups.delete(group);
    this.change();
  }

  stop(): void {
    this.stopping.abort(new Error('the worker is stopped'));
  }

  private change(): number {
    this.version += 1;
    if (!this.isWriting) {
      this.isWriting = true;
      void this.write();
    }
    return this.version;
  }

  /** Never rejects: what cannot be written is tried again. */
  private async write(): Promise<void> {
    const { clock, rng, log, registerGroups } = this.deps;
    const { signal } = this.stopping;
    let failures = 0;
    while (this.written < this.version && !signal.aborted) {
      const { version } = this;
      try {
        await registerGroups([...this.groups]);
        failures = 0;
        this.written = version;
        const named = this.waiting.filter((one) => one.version <= version);
        this.waiting = this.waiting.filter((one) => one.version > version);
        for (const { resolve } of named) resolve();
      } catch (thrown) {
        failures += 1;
        log.warn('The process groups of this node could not be written down yet.', {
          error: toError(thrown),
          failures,
        });
        await clock
          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, rng), signal)
          .catch(() => undefined);
      }
    }
    this.isWriting = false;
  }
}
