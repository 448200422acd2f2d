import type { Plain } from './log-fields.ts';

export interface LogRecord {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, Plain>>;
}

/** What a field may not be called, because the line itself has it. */
const OWN_KEYS: ReadonlySet<string> = new Set(['timestamp', 'level', 'message']);

/** One JSON object on one line. */
export function jsonLine({ timestamp, level, message, fields }: LogRecord): string {
  const line: Record<string, Plain> = { timestamp, level, message };
  for (const [key, value] of Object.entries(fields)) {
    line[OWN_KEYS.has(key) ? `field_${key}` : key] = value;
  }
  return escaped(JSON.stringify(line));
}

const COLOURS: Readonly<Record<string, string>> = {
  debug: '\u001b[2m',
  info: '\u001b[32m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
const DIM = '\u001b[2m';
const RESET = '\u001b[0m';

/** For people: the time of day in UTC, the level, the sentence, the fields, then stacks indented. */
export function prettyLine(record: LogRecord, isColoured: boolean): string {
  const { timestamp, level, message, fields } = record;
  const paint = (colour: string | undefined, text: string): string =>
    isColoured && colour !== undefined ? `${colour}${text}${RESET}` : text;
  const parts = [
    paint(DIM, timestamp.slice(11, 23)),
    paint(COLOURS[level], level.toUpperCase().padEnd(5)),
    escaped(message),
  ];
  const stacks: string[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const error = asError(value);
    if (error?.stack !== undefined) stacks.push(error.stack);
    const text = error === undefined ? prettyValue(value) : prettyValue(error.summary);
    parts.push(`${paint(DIM, `${escaped(key)}=`)}${text}`);
  }
  const lines = stacks.flatMap((stack) =>
    stack
      .split('\n')
      .slice(1)
      .map((line) => paint(DIM, `    ${escaped(line.trim())}`)),
  );
  return [parts.join(' '), ...lines].join('\n');
}

function prettyValue(value: Plain): string {
  const isBare = typeof value === 'string' && /^[\w.:/@-]+$/.test(value);
  return isBare ? value : escaped(JSON.stringify(value));
}

function asError(value: Plain): { readonly summary: string; readonly stack?: string } | undefined {
  if (typeof value !== 'object' || value === null || !('stack' in value)) return undefined;
  const { name, message, stack, cause } = value;
  if (typeof name !== 'string' || typeof message !== 'string' || typeof stack !== 'string') {
    return undefined;
  }
  const because = cause === undefined ? undefined : asError(cause);
  const summary = because === undefined ? '' : `, because of ${because.summary}`;
  return { summary: `${name}: ${message}${summary}`, stack };
}

/**
 * Users choose ids, names and error texts. In a terminal a control character among them could move
 * the cursor or forge a line, and a direction mark could turn the text around.
 */
export function escaped(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
