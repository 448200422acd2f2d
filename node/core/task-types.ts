import type { Learned } from './durations.ts';

/** What the scheduler knows of a type: how long its tasks take, and what holds them back. */
export interface TaskType {
  readonly typeId: number;
  readonly learned: Learned;
  /** Its tasks wait; what runs runs on. */
  isPaused: boolean;
  /** Leases at the same time in the whole cluster; Infinity for no limit. */
  maxRunning: number;
  /**
   * All and only the tasks of a limited type that are leased, asked to be leased, or may be as far as the
   * leader knows; undefined without a limit. A set and no number: a number that misses one end of a task
   * is wrong for ever.
   */
  leases: Set<number> | undefined;
}

export class TaskTypes {
  private readonly byId = new Map<number, TaskType>();

  /** The one record of a type, for whoever reads it often. */
  of(typeId: number): TaskType {
    let type = this.byId.get(typeId);
    if (type === undefined) {
      const learned = { meanMs: NaN, samples: 0 };
      type = { typeId, learned, isPaused: false, maxRunning: Infinity, leases: undefined };
      this.byId.set(typeId, type);
    }
    return type;
  }

  all(): IterableIterator<TaskType> {
    return this.byId.values();
  }
}
