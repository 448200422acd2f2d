import type { Clock } from '../../base/clock.ts';
import { AppError, errors } from '../../base/errors.ts';
import type { Fault } from '../../base/errors.ts';
import { uuidv7 } from '../../base/uuid.ts';
import { SubmittedGraph } from '../../core/graph.ts';
import type { GraphFault } from '../../core/graph.ts';
import type { BatchOutcome, TaskFields } from '../../core/submission.ts';
import { ID_LENGTH_MAX } from '../../core/task.ts';
import { Breather } from '../breather.ts';
import { Faults, invalid, sentenceOf } from '../faults.ts';
import { isName, lengthOf, taskSchema, toFields } from '../schemas.ts';

export interface TaskSetSettings {
  readonly clock: Clock;
  /** The pointer of the list of tasks: `#`, or `#/tasks`. */
  readonly base: string;
  readonly idPrefix: string;
  readonly defaultPriority: number;
}

/**
 * A submitted set while it is read and checked, one task at a time and with every fault collected.
 * Nothing is stored before the whole of it has passed.
 */
export class TaskSet {
  readonly graph = new SubmittedGraph();
  readonly typeNames = new Set<string>();
  readonly faults = new Faults();
  readonly breather: Breather;
  readonly #settings: TaskSetSettings;
  readonly #duplicates: Fault[] = [];
  #isOverLimit = false;

  constructor(settings: TaskSetSettings) {
    this.#settings = settings;
    this.breather = new Breather(settings.clock);
  }

  /** Nothing that follows can change the answer, or would still be named in it. */
  get isHopeless(): boolean {
    return this.#isOverLimit || this.faults.isFull;
  }

  /** Takes one task in; returns its fields, or null where something is wrong with them. */
  add(value: unknown): TaskFields | null {
    const { idPrefix, defaultPriority } = this.#settings;
    const pointer = this.#pointerOf(this.graph.count);
    const body = this.faults.check(taskSchema, value, pointer);
    if (body === null) {
      this.#addToGraph(idIn(value) ?? uuidv7(), []);
      return null;
    }
    const id = body.id ?? uuidv7();
    if (idPrefix !== '' && lengthOf(idPrefix + id) > ID_LENGTH_MAX) {
      const detail = `is longer than ${String(ID_LENGTH_MAX)} characters behind its workflow's id`;
      this.faults.add(`${pointer}/id`, detail);
    }
    const fields = toFields(body, defaultPriority, pointer, this.faults);
    this.typeNames.add(fields.type);
    this.#addToGraph(id, body.dependencies ?? []);
    return fields;
  }

  /** A task that could not even be read; it keeps its place, for the pointers of the others. */
  addUnreadable(detail: string): void {
    this.faults.add(this.#pointerOf(this.graph.count), detail);
    this.#addToGraph(uuidv7(), []);
  }

  /**
   * Throws what is wrong: 400 with every fault, 413, or 409 where ids given twice are all. Returns
   * the order in which the tasks are to be inserted.
   */
  async check(): Promise<Int32Array> {
    if (this.faults.isEmpty && this.graph.count === 0) {
      this.faults.add(this.#settings.base, 'must hold a task');
    }
    if (this.faults.isEmpty && this.#duplicates.length === 0) {
      const cycle = await this.breather.run(this.graph.firstCycle());
      if (cycle !== null) this.#addFault(cycle);
    }
    if (!this.faults.isEmpty)
      for (const { pointer, detail } of this.#duplicates) {
        this.faults.add(pointer, detail);
      }
    this.faults.throwIfAny();
    if (this.#duplicates.length > 0) {
      throw new AppError('conflict', sentenceOf(this.#duplicates), {
        httpStatus: 409,
        details: { errors: this.#duplicates.slice(0, 1000) },
      });
    }
    return this.breather.run(this.graph.orderById());
  }

  /** Throws the refusal that an outcome stands for. */
  throwIfRefused(outcome: BatchOutcome, workflowId: string | null): void {
    switch (outcome.kind) {
      case 'stored':
        return;
      case 'missing': {
        const uses = this.graph.usesOf((id) => outcome.missing.has(id), 1000);
        throw invalid(
          uses.map(({ task, dependency, id }) => ({
            pointer: `${this.#pointerOf(task)}/dependencies/${String(dependency)}`,
            detail: `the task ${id} does not exist`,
          })),
        );
      }
      case 'exist': {
        const named = outcome.ids.slice(0, 3).join(', ');
        const more = outcome.count > 3 ? ` and ${String(outcome.count - 3)} more` : '';
        throw errors.conflict(`these ids exist already: ${named}${more}`, {
          existing: outcome.ids.map((id) => ({ id })),
          existing_count: outcome.count,
        });
      }
      case 'workflow-exists':
        throw errors.conflict(`the workflow ${String(workflowId)} exists already`, {
          existing: { id: workflowId },
        });
    }
  }

  #pointerOf(task: number): string {
    return `${this.#settings.base}/${String(task)}`;
  }

  #addToGraph(id: string, dependencies: readonly string[]): void {
    for (const fault of this.graph.add(id, dependencies)) this.#addFault(fault);
  }

  #addFault({ kind, task, dependency, detail }: GraphFault): void {
    const at = this.#pointerOf(task);
    switch (kind) {
      case 'duplicate-id':
        this.#duplicates.push({ pointer: `${at}/id`, detail });
        return;
      case 'self-dependency':
      case 'cycle':
        this.faults.add(`${at}/dependencies/${String(dependency)}`, detail);
        return;
      case 'too-many-tasks':
      case 'too-many-dependencies':
        this.#isOverLimit = true;
        this.faults.addTooLarge('the batch', detail);
        return;
    }
  }
}

/** The id of a task that is refused for something else: another may still carry it too. */
function idIn(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || !('id' in value)) return null;
  return typeof value.id === 'string' && isName(value.id) ? value.id : null;
}
