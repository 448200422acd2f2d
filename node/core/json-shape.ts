/**
 * What JSON must not be, wherever it comes from: nested so deep that some reader runs out of stack, or
 * with keys that become the prototype of what somebody copies them into.
 */
export const JSON_DEPTH_MAX = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;

/** Why a key, with what stands under it, is refused; null where it is not. */
export function faultOfKey(key: string, value: unknown): string | null {
  if (key === '__proto__') return 'the key __proto__';
  if (key !== 'constructor' || typeof value !== 'object' || value === null) return null;
  return Object.hasOwn(value, 'prototype') ? 'the key constructor with a prototype' : null;
}

/** What is wrong with a JSON text that somebody else has made; null where nothing is. */
export function faultOfJson(text: string): string | null {
  // Each level takes two characters: what is shorter cannot be too deep.
  if (text.length > 2 * JSON_DEPTH_MAX && isTooDeep(text)) {
    return `more than ${String(JSON_DEPTH_MAX)} levels of nesting`;
  }
  // Keys may be written with escapes; looking closer costs only those who do so.
  const mayHaveKey = text.includes('__proto__') || text.includes('"constructor"');
  if (!mayHaveKey && !text.includes('\\u00')) return null;
  return faultWithin(JSON.parse(text) as unknown);
}

function faultWithin(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const fault = faultOfKey(key, inner) ?? faultWithin(inner);
    if (fault !== null) return fault;
  }
  return null;
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      depth += 1;
      if (depth > JSON_DEPTH_MAX) return true;
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}
