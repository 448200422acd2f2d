import type { HandlerLog, LogFields } from '../core/handler.ts';
import type { LogLevel, LogLine, ReportedRun, RunReportsPort } from './ports.ts';

/** Bounds in characters, which are at most three bytes each as stored; most are one. */
const MESSAGE_LENGTH_MAX = 8 * 1024;
const FIELDS_LENGTH_MAX = 8 * 1024;
const ATTEMPT_LENGTH_MAX = 1024 * 1024;
const NOTE_LENGTH_MAX = 200;
/** A line costs this much beside its text. */
const LINE_OVERHEAD = 32;

/**
 * What one run says of itself, cut to its bounds: lines of one tick travel together, and what an attempt
 * writes beyond its share is dropped, which its last line says.
 */
export class Reporter {
  readonly log: HandlerLog = {
    debug: (message, fields) => this.add('debug', message, fields),
    info: (message, fields) => this.add('info', message, fields),
    warn: (message, fields) => this.add('warn', message, fields),
    error: (message, fields) => this.add('error', message, fields),
  };
  private readonly run: ReportedRun;
  private readonly port: RunReportsPort;
  private readonly nowMs: () => number;
  private lengthLeft = ATTEMPT_LENGTH_MAX;
  private pending: LogLine[] = [];

  constructor(run: ReportedRun, port: RunReportsPort, nowMs: () => number) {
    this.run = run;
    this.port = port;
    this.nowMs = nowMs;
  }

  progress(fraction: number, note?: string): void {
    if (typeof fraction !== 'number' || Number.isNaN(fraction)) return;
    const within = Math.min(1, Math.max(0, fraction));
    this.port.progress(this.run, within, note === undefined ? null : cut(note, NOTE_LENGTH_MAX));
  }

  /** Lines as they come from another thread or process: their bounds are judged again. */
  addLine({ level, message, fields, atMs }: LogLine): void {
    const line = {
      level,
      atMs,
      message: cut(message, MESSAGE_LENGTH_MAX),
      fields: fields !== null && fields.length > FIELDS_LENGTH_MAX ? TOO_LARGE : fields,
    };
    if (this.lengthLeft <= 0) return;
    this.lengthLeft -= line.message.length + (line.fields?.length ?? 0) + LINE_OVERHEAD;
    if (this.pending.length === 0) queueMicrotask(() => this.flush());
    this.pending.push(this.lengthLeft > 0 ? line : { ...line, ...CUT_OFF });
  }

  private add(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (this.lengthLeft <= 0) return;
    this.addLine({ level, message, fields: textOf(fields), atMs: this.nowMs() });
  }

  private flush(): void {
    const lines = this.pending;
    this.pending = [];
    this.port.lines(this.run, lines);
  }
}

const TOO_LARGE = '{"dropped":"the fields of this line are larger than 8 KiB"}';
const CUT_OFF = {
  level: 'warn',
  message: 'This attempt has written 1 MiB of lines; no more are kept.',
  fields: null,
} as const;

/** What a handler gives is its own: a text that is none, fields with a cycle, a getter that throws. */
function cut(text: unknown, lengthMax: number): string {
  try {
    return String(text).slice(0, lengthMax);
  } catch {
    return '?';
  }
}

function textOf(fields: LogFields | undefined): string | null {
  if (fields === undefined) return null;
  try {
    const text = JSON.stringify(fields, errorsAsText) as string | undefined;
    return text === undefined || text === '{}' ? null : text;
  } catch {
    return '{"dropped":"the fields of this line are not JSON"}';
  }
}

/** An error has no enumerable fields, and is what is logged most. */
function errorsAsText(_key: string, value: unknown): unknown {
  return value instanceof Error ? (value.stack ?? String(value)) : value;
}
