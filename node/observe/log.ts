import { once } from 'node:events';
import { Writable } from 'node:stream';
import winston from 'winston';
import { systemClock } from '../base/clock.ts';
import { plainFields } from './log-fields.ts';
import { jsonLine, prettyLine } from './log-lines.ts';
import type { LogRecord } from './log-lines.ts';

/**
 * The log of a node: constant sentences with the data in fields, one line each, to stdout.
 *
 * - info is what an operator cares about (elections, joins, losses, reclaims, failures), debug the
 *   loops, warn what was handled and is odd, error what somebody must act upon. No line per task at
 *   info: at full load that would be most of the work.
 * - A line that is below the level costs one comparison.
 * - Logging never throws and never waits. A reader that is too slow loses lines once
 *   `HELD_BYTES_MAX` wait for it, and is told how many; a reader that went away loses all.
 *
 * What it does not promise: that a line is on disk before the process dies. `close` flushes; kill -9
 * takes with it what the pipe had not taken.
 */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The same log with more fields on each line. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
  /** Resolves when all is written, after 1 s at the latest; ends the children too. */
  close(): Promise<void>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'json' | 'pretty';

export interface LoggerOptions {
  /** The least important level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** On every line. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Standard output unless given. It is never ended. */
  readonly stream?: Writable;
}

const RANK: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
const HELD_BYTES_MAX = 8 * 1024 * 1024;
const CLOSE_WITHIN_MS = 1000;

export function createLogger(options: LoggerOptions): Logger {
  return new FieldLogger(new Sink(options), options.fields ?? {});
}

class FieldLogger implements Logger {
  private readonly sink: Sink;
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(sink: Sink, fields: Readonly<Record<string, unknown>>) {
    this.sink = sink;
    this.fields = fields;
  }

  debug(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.write('debug', message, fields);
  }

  info(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.write('info', message, fields);
  }

  warn(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.write('warn', message, fields);
  }

  error(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.write('error', message, fields);
  }

  child(fields: Readonly<Record<string, unknown>>): Logger {
    return new FieldLogger(this.sink, { ...this.fields, ...fields });
  }

  async close(): Promise<void> {
    await this.sink.close();
  }

  private write(
    level: LogLevel,
    message: string,
    fields: Readonly<Record<string, unknown>> | undefined,
  ): void {
    if (!this.sink.takes(level)) return;
    this.sink.write({
      timestamp: new Date().toISOString(),
      level,
      message,
      fields: plainFields({ ...this.fields, ...fields }),
    });
  }
}

/** What a logger and its children write to. */
class Sink {
  private readonly level: LogLevel;
  private readonly stream: Writable;
  private readonly logger: winston.Logger;
  private isClosed = false;

  constructor({ level, format, stream = process.stdout }: LoggerOptions) {
    this.level = level;
    this.stream = stream;
    const isColoured = (stream as { isTTY?: boolean }).isTTY === true && !isColourRefused();
    const toLine = (record: LogRecord): string =>
      format === 'json' ? jsonLine(record) : prettyLine(record, isColoured);
    this.logger = winston.createLogger({
      level,
      levels: RANK,
      format: winston.format.printf(({ record }) => toLine(record as LogRecord)),
    });
    this.logger.pipe(new LossyStream(stream, toLine));
  }

  /** Winston formats a line before it looks at the level; this comes first. */
  takes(level: LogLevel): boolean {
    return !this.isClosed && RANK[level] <= RANK[this.level];
  }

  write(record: LogRecord): void {
    const { level, message } = record;
    // The record is nested so that no field of it has a meaning for winston.
    this.logger.log({ level, message, record });
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    const patience = new AbortController();
    const expired = systemClock.sleep(CLOSE_WITHIN_MS, patience.signal).catch(() => undefined);
    const finished = once(this.logger, 'finish');
    this.logger.end();
    await Promise.race([finished.then(async () => flushed(this.stream)), expired]);
    patience.abort();
  }
}

/** Where winston's formats leave the finished line. */
const MESSAGE: unique symbol = Symbol.for('message');
interface FormattedInfo {
  readonly [MESSAGE]: string;
}

/** In place of winston's transports, which let any number of lines wait for a slow reader. */
class LossyStream extends Writable {
  private readonly target: Writable;
  private readonly toLine: (record: LogRecord) => string;
  private lostLines = 0;

  constructor(target: Writable, toLine: (record: LogRecord) => string) {
    super({ objectMode: true });
    this.target = target;
    this.toLine = toLine;
    // A reader that goes away (`skein node | head`) must not take the node with it.
    if (!target.listeners('error').includes(ignore)) target.on('error', ignore);
  }

  override _write(info: FormattedInfo, _encoding: string, next: () => void): void {
    if (this.target.destroyed || this.target.writableLength > HELD_BYTES_MAX) {
      this.lostLines += 1;
    } else {
      if (this.lostLines > 0) this.target.write(this.lossLine());
      this.target.write(`${info[MESSAGE]}\n`);
    }
    next();
  }

  private lossLine(): string {
    const lines = this.lostLines;
    this.lostLines = 0;
    return `${this.toLine({
      timestamp: new Date().toISOString(),
      level: 'warn',
      message: 'log lines were lost: their reader was too slow',
      fields: { lines },
    })}\n`;
  }
}

const ignore = (): void => undefined;

async function flushed(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableEnded) return;
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

/** https://no-color.org */
function isColourRefused(): boolean {
  return (process.env.NO_COLOR ?? '') !== '';
}
