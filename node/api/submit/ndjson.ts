import type { Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AppError, errors } from '../../base/errors.ts';
import type { BodyBudget } from '../body.ts';
import { parseJson } from '../json-guard.ts';
import { Spool } from './spool.ts';
import type { TaskSet } from './task-set.ts';

/**
 * A batch as lines of JSON, one task a line. Each line is checked as it comes in and put aside as
 * bytes: in memory up to 16 MiB of them, beyond that in a temporary file. What stays of a task in
 * memory is its id, its edges and the place of its line, so the size of a body is bounded by the
 * disk and not by the memory. Only when the last line has passed does a transaction begin.
 */
export const LINE_BYTES_MAX = 1024 * 1024;
export const NDJSON_BYTES_MAX = 4 * 1024 ** 3;
const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
/** What a task costs in memory beside its line, roughly; taken from the budget of bodies. */
const TASK_BYTES = 256;

const NEWLINE = 0x0a;

export class Ndjson {
  readonly #spool: Spool;
  readonly #budget: BodyBudget;
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  #taken = 0;
  #kept = 0;

  constructor(budget: BodyBudget, memoryMax = MEMORY_BYTES_MAX) {
    this.#spool = new Spool(memoryMax);
    this.#budget = budget;
  }

  get isOnDisk(): boolean {
    return this.#spool.isOnDisk;
  }

  /** Reads and checks every line. Throws `too_large` for a line or a body beyond its limit. */
  async readInto(set: TaskSet, message: IncomingMessage, hash?: Hash): Promise<void> {
    let rest: Buffer[] = [];
    let restBytes = 0;
    let bytes = 0;
    // A thrown refusal must leave the socket open, for the answer to travel on.
    const chunks = message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      hash?.update(chunk);
      if (bytes > NDJSON_BYTES_MAX) throw errors.tooLarge('the body', '4 GiB');
      let start = 0;
      for (;;) {
        const end = chunk.indexOf(NEWLINE, start);
        if (end === -1) break;
        const line = chunk.subarray(start, end);
        await this.#addLine(set, restBytes === 0 ? line : Buffer.concat([...rest, line]));
        rest = [];
        restBytes = 0;
        start = end + 1;
        if (set.isHopeless) return;
      }
      if (start < chunk.length) {
        rest.push(chunk.subarray(start));
        restBytes += chunk.length - start;
      }
      if (restBytes > LINE_BYTES_MAX) throw lineTooLarge(set);
    }
    await this.#addLine(set, Buffer.concat(rest));
  }

  /** The value of a task's line, which parsed well when it came in. */
  valueOf(task: number): unknown {
    return JSON.parse(this.#spool.read(this.#offsets[task] ?? 0, this.sizeOf(task)).toString());
  }

  sizeOf(task: number): number {
    return this.#lengths[task] ?? 0;
  }

  async close(): Promise<void> {
    this.#budget.give(this.#taken);
    this.#taken = 0;
    await this.#spool.close();
  }

  async #addLine(set: TaskSet, line: Buffer): Promise<void> {
    if (line.length > LINE_BYTES_MAX) throw lineTooLarge(set);
    if (isBlank(line)) return;
    const held = this.#kept < MEMORY_BYTES_MAX ? line.length : 0;
    this.#budget.take(held + TASK_BYTES);
    this.#taken += held + TASK_BYTES;
    this.#kept += line.length;
    const number = set.graph.count;
    let value: unknown;
    try {
      value = parseJson(line, `line ${String(number + 1)}`);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown;
      set.addUnreadable(thrown.message);
      return;
    }
    set.add(value);
    // Once something is wrong, nothing will be read again.
    if (!set.faults.isEmpty) return;
    this.#offsets.push(await this.#spool.append(line));
    this.#lengths.push(line.length);
    await set.breather.maybeBreathe();
  }
}

function lineTooLarge(set: TaskSet): AppError {
  const line = `line ${String(set.graph.count + 1)}`;
  return errors.tooLarge(line, `${String(LINE_BYTES_MAX)} bytes (1 MiB)`);
}

function isBlank(line: Buffer): boolean {
  return line.length < 16 && line.toString().trim() === '';
}
