/**
 * Fields of a log line as plain JSON, whatever was handed in: errors with their causes, circular and
 * huge objects, bigints, getters that throw. A log line must never be what brings a node down.
 */
export type Plain = string | number | boolean | null | readonly Plain[] | { [key: string]: Plain };

const DEPTH_MAX = 6;
const ITEMS_MAX = 100;
const TEXT_MAX = 8192;
const CAUSES_MAX = 5;

export function plainFields(
  fields: Readonly<Record<string, unknown>>,
): Readonly<Record<string, Plain>> {
  const plain = toPlain(fields, []);
  return typeof plain === 'object' && plain !== null && !isList(plain) ? plain : {};
}

function toPlain(value: unknown, path: readonly object[]): Plain {
  switch (typeof value) {
    case 'string':
      return shortened(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'bigint':
      return value.toString();
    case 'undefined':
      return null;
    case 'symbol':
      return value.toString();
    case 'function':
      return '[function]';
    case 'object':
      return value === null ? null : objectToPlain(value, path);
  }
}

function objectToPlain(value: object, path: readonly object[]): Plain {
  if (path.includes(value)) return '[circular]';
  if (path.length >= DEPTH_MAX) return '[deep]';
  const inner = [...path, value];
  try {
    if (value instanceof Error) return errorToPlain(value, inner, 0);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (value instanceof Map) return entriesToPlain(pairsOf(value), inner);
    if (value instanceof Set) return listToPlain([...value], inner);
    if (ArrayBuffer.isView(value)) return `[${String(value.byteLength)} bytes]`;
    if (Array.isArray(value)) return listToPlain(value, inner);
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return toPlain((value.toJSON as () => unknown)(), inner);
    }
    return entriesToPlain(readableEntries(value), inner);
  } catch {
    return '[unreadable]';
  }
}

function errorToPlain(error: Error, path: readonly object[], causes: number): Plain {
  const { code, cause, errors } = error as {
    readonly code?: unknown;
    readonly cause?: unknown;
    readonly errors?: unknown;
  };
  const plain: Record<string, Plain> = {
    name: shortened(error.name),
    message: shortened(error.message),
  };
  if (typeof code === 'string' || typeof code === 'number') plain.code = code;
  if (error.stack !== undefined) plain.stack = shortened(error.stack);
  if (cause instanceof Error) {
    if (path.includes(cause)) plain.cause = '[circular]';
    else if (causes < CAUSES_MAX) plain.cause = errorToPlain(cause, [...path, cause], causes + 1);
  } else if (cause !== undefined) {
    plain.cause = toPlain(cause, path);
  }
  if (Array.isArray(errors)) plain.errors = toPlain(errors, path);
  return plain;
}

function listToPlain(list: readonly unknown[], path: readonly object[]): Plain {
  const items = list.slice(0, ITEMS_MAX).map((item) => toPlain(item, path));
  if (list.length > ITEMS_MAX) items.push(`… ${String(list.length - ITEMS_MAX)} more`);
  return items;
}

type Entry = readonly [string, unknown];

function entriesToPlain(entries: readonly Entry[], path: readonly object[]): Plain {
  // Without a prototype, so that a key called __proto__ is a key.
  const plain = Object.create(null) as { [key: string]: Plain };
  for (const [key, value] of entries.slice(0, ITEMS_MAX)) {
    if (value === undefined) continue;
    const isSecret = typeof value === 'string' && SECRET_NAME.test(key);
    plain[shortened(key)] = isSecret ? '***' : toPlain(value, path);
  }
  if (entries.length > ITEMS_MAX) plain['…'] = `${String(entries.length - ITEMS_MAX)} more`;
  return plain;
}

function pairsOf(map: ReadonlyMap<unknown, unknown>): readonly Entry[] {
  return [...map].map(([key, value]) => [typeof key === 'string' ? key : keyText(key), value]);
}

function keyText(key: unknown): string {
  return JSON.stringify(toPlain(key, []));
}

/** One getter that throws costs its own value alone. */
function readableEntries(value: object): readonly Entry[] {
  return Object.keys(value).map((key) => {
    try {
      return [key, (value as Readonly<Record<string, unknown>>)[key]];
    } catch {
      return [key, '[unreadable]'];
    }
  });
}

/** Passwords in addresses and keys of the API, wherever a text has them. */
export function withoutSecrets(text: string): string {
  const bare = text.includes('@') ? text.replaceAll(PASSWORD, '$1***@') : text;
  return bare.includes('skein_') ? bare.replaceAll(API_KEY, '$1_***') : bare;
}

const PASSWORD = /(:\/\/[^\s:@/?#]*:)[^\s@/?#]+@/g;
const API_KEY = /(skein_[0-9a-f]{12})_[\w-]{43}/g;
/** Names of fields whose texts nobody should read. */
const SECRET_NAME = /(^|[_-])(password|passwd|secret|authorization|cookie|api[_-]?key|token)$/i;

function shortened(whole: string): string {
  const text = withoutSecrets(whole);
  if (text.length <= TEXT_MAX) return text;
  return `${text.slice(0, TEXT_MAX)}… ${String(text.length - TEXT_MAX)} more`;
}

function isList(plain: Plain): plain is readonly Plain[] {
  return Array.isArray(plain);
}
