import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import type { Handler, HandlerContext, TaskInput } from '../../node/core/handler.ts';
import { FatalError } from '../../node/core/handler.ts';
import type { HandlerLine } from './history.ts';

/**
 * Handlers that do what users' code does at its worst. Each writes down when it ran, under which lease,
 * and in which process, by the clock that all processes of a machine share; the checker compares.
 *
 * What would stop a whole node (to spin, to kill the process) is done only where the task runs in a
 * process of its own; on the node such a task waits instead, so that the faults meet it there.
 */
export interface Payload {
  readonly ms?: number;
  /** Throws on so many attempts. */
  readonly fails?: number;
  readonly fatal?: boolean;
  readonly result?: ResultKind;
}

export const RESULT_KINDS = [
  'plain',
  'nul',
  'surrogate',
  'beyond-numbers',
  'raw-number',
  'deep',
  'large',
  'cycle',
  'bigint',
  'nothing',
  'function',
  'thrower',
] as const;
export type ResultKind = (typeof RESULT_KINDS)[number];

/** The folder in which every process writes a file of its own. */
export const RUNS_VARIABLE = 'SKEIN_CHAOS_RUNS';

const TICK_MS = 20;
const LEAKED_BYTES = 32 * 1024 * 1024;

export type Place = 'node' | 'child';

export function chaosHandlers(place: Place): readonly Handler[] {
  const handler = (type: string, run: (work: Running) => Promise<unknown>): Handler => ({
    type,
    run: async (task, context) => {
      const running = new Running(place, task, context);
      try {
        return await run(running);
      } finally {
        running.end();
      }
    },
  });
  const inChild = (run: (work: Running) => Promise<unknown>) => (work: Running) =>
    place === 'child' ? run(work) : work.wait();
  return [
    handler('work', async (work) => {
      await work.wait();
      const { fails = 0, fatal = false, result = 'plain' } = work.payload;
      if (work.attempt <= fails) throw oddError(work.attempt);
      if (fatal) throw new FatalError('chaos_fatal', 'no attempt can mend this');
      return resultOf(result);
    }),
    handler('hang', (work) => work.hang()),
    handler(
      'spin',
      inChild((work) => work.spin()),
    ),
    handler(
      'leak',
      inChild((work) => work.leak()),
    ),
    handler(
      'die',
      inChild((work) => work.die()),
    ),
  ];
}

/** One execution of a handler; its lines say from when until when it was certainly running. */
class Running {
  readonly attempt: number;
  readonly payload: Payload;
  private readonly place: Place;
  private readonly task: TaskInput;
  private readonly context: HandlerContext;
  private hasEnded = false;

  constructor(place: Place, task: TaskInput, context: HandlerContext) {
    this.place = place;
    this.task = task;
    this.context = context;
    this.attempt = context.attempt;
    this.payload = task.payload ?? {};
    this.write('start');
  }

  /** Heeds its signal, as a good handler does. */
  async wait(): Promise<void> {
    const endMs = performance.now() + (this.payload.ms ?? 0);
    for (;;) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) return;
      await this.context.sleep(Math.min(TICK_MS, leftMs));
      this.write('tick');
    }
  }

  /** Deaf to its signal, for good. */
  async hang(): Promise<never> {
    await this.wait();
    return new Promise(() => undefined);
  }

  async spin(): Promise<never> {
    await Promise.resolve();
    for (;;) {
      const untilMs = performance.now() + TICK_MS;
      while (performance.now() < untilMs);
      this.write('tick');
    }
  }

  /** Leaves memory, a timer and a process behind. */
  async leak(): Promise<unknown> {
    leaked.push(Buffer.alloc(LEAKED_BYTES, 1));
    setTimeout(() => leaked.push('late'), 600_000);
    spawn('sleep', ['600'], { stdio: 'ignore' });
    await this.wait();
    return leaked.length;
  }

  async die(): Promise<never> {
    await this.wait();
    if (this.attempt % 2 === 0) process.exit(3);
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => undefined);
  }

  end(): void {
    this.hasEnded = true;
    this.write('end');
  }

  private write(what: HandlerLine['what']): void {
    if (this.hasEnded && what === 'tick') return;
    const line: HandlerLine = {
      what,
      task: this.task.id,
      lease_seq: this.context.fencingToken,
      place: this.place,
      pid: process.pid,
      at_ns: String(process.hrtime.bigint()),
      wall_ms: Date.now(),
    };
    const folder = process.env[RUNS_VARIABLE];
    if (folder === undefined) throw new Error(`${RUNS_VARIABLE} is not set`);
    // One write of one line: a process that is killed leaves whole lines.
    appendFileSync(path.join(folder, `${String(process.pid)}.jsonl`), `${JSON.stringify(line)}\n`);
  }
}

const leaked: unknown[] = [];

function oddError(attempt: number): Error {
  const texts = ['no luck', 'a\0b \ud800 c', 'x'.repeat(20_000)];
  return Object.assign(new Error(texts[attempt % texts.length]), { code: 'chaos' });
}

/** Results that JSON, PostgreSQL or the limits of Skein do not take; some are taken all the same. */
function resultOf(kind: ResultKind): unknown {
  switch (kind) {
    case 'plain':
      return { ok: true };
    case 'nul':
      return { text: 'a\u0000b', ['\u0000']: 1 };
    case 'surrogate':
      return { text: '\ud800', other: ['\udfff'] };
    case 'beyond-numbers':
      return { number: 1e400, other: NaN };
    case 'raw-number':
      return rawNumber('1e400');
    case 'deep':
      return deep(5000);
    case 'large':
      return 'x'.repeat(300 * 1024);
    case 'cycle': {
      const cycle: Record<string, unknown> = {};
      cycle['self'] = cycle;
      return cycle;
    }
    case 'bigint':
      return { big: 2n ** 70n };
    case 'nothing':
      return undefined;
    case 'function':
      return () => 'not JSON';
    case 'thrower':
      return {
        toJSON: () => {
          throw new Error('a result that throws');
        },
      };
  }
}

/** A number that JSON can write and no double can hold, where this Node can say it. */
function rawNumber(text: string): unknown {
  const { rawJSON } = JSON as { rawJSON?: (text: string) => unknown };
  return rawJSON === undefined ? Number(text) : { number: rawJSON.call(JSON, text) };
}

function deep(levels: number): unknown {
  let value: unknown = 'bottom';
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
}
