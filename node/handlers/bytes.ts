/** Bytes from outside as they stand in a result, which is JSON that PostgreSQL must be able to store. */
export interface Shown {
  readonly text: string;
  readonly encoding?: 'base64';
}

/**
 * As text where they are text: valid in the charset, without NUL (which PostgreSQL cannot read back),
 * and no longer than `jsonMax` as JSON; else as base64. Half a character at a cut is left out.
 */
export function shownBytes(bytes: Buffer, jsonMax: number, charset = 'utf-8'): Shown {
  const text = decoded(withoutCutHead(bytes), charset);
  if (text !== undefined && Buffer.byteLength(JSON.stringify(text)) <= jsonMax) return { text };
  return { text: bytes.toString('base64'), encoding: 'base64' };
}

function decoded(bytes: Buffer, charset: string): string | undefined {
  try {
    // A stream may end within a character: the rest of it is not an error, and not shown.
    const text = new TextDecoder(charset, { fatal: true }).decode(bytes, { stream: true });
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** The bytes of a tail may begin within a character of UTF-8, three continuation bytes at most. */
function withoutCutHead(bytes: Buffer): Buffer {
  let from = 0;
  while (from < 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return bytes.subarray(from);
}
