import { isUtf8 } from 'node:buffer';
import { errors } from '../base/errors.ts';
import { faultOfKey, JSON_DEPTH_MAX } from '../core/json-shape.ts';
import { escaped } from './faults.ts';
import type { Faults } from './faults.ts';

/**
 * What must be known of a JSON text before it is parsed, and of a value before it is stored: no depth
 * that would exhaust a stack here or in PostgreSQL, no key that becomes a prototype somewhere, no
 * number that JSON would write back as null.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = { array: 0x5b, object: 0x7b };
const CLOSE = { array: 0x5d, object: 0x7d };

/** The value of a JSON text in UTF-8. Throws `malformed`; `what` names the text. */
export function parseJson(bytes: Buffer, what: string): unknown {
  if (!isUtf8(bytes)) throw errors.malformed(`${what} is not UTF-8`);
  if (depthOf(bytes) > JSON_DEPTH_MAX) {
    throw errors.malformed(`${what} is nested deeper than ${String(JSON_DEPTH_MAX)} levels`);
  }
  try {
    return JSON.parse(bytes.toString());
  } catch (thrown) {
    // The message of a SyntaxError quotes the text of the request and nothing else.
    const reason = thrown instanceof SyntaxError ? `: ${thrown.message}` : '';
    throw errors.malformed(`${what} is not JSON${reason}`);
  }
}

/** The deepest nesting, found without recursion; stops counting one level beyond the limit. */
export function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN.array || byte === OPEN.object) {
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (depth > JSON_DEPTH_MAX) return depth;
    } else if (byte === CLOSE.array || byte === CLOSE.object) {
      depth -= 1;
    }
  }
  return deepest;
}

/** Looks through a parsed value, whose depth is bounded already, for what must not be stored. */
export function checkValue(value: unknown, pointer: string, faults: Faults): void {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) faults.add(pointer, 'is a number beyond the range of a double');
  } else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item !== 'string') checkValue(item, `${pointer}/${String(i)}`, faults);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value)) {
      const item = (value as Readonly<Record<string, unknown>>)[key];
      if (faultOfKey(key, item) !== null) {
        faults.add(`${pointer}/${escaped(key)}`, 'is not a key that is accepted');
      } else {
        if (typeof item === 'object' || typeof item === 'number') {
          checkValue(item, `${pointer}/${escaped(key)}`, faults);
        }
      }
    }
  }
}
