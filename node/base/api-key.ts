import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * A key of the API as text: `skein_<id>_<secret>`, 12 and 43 characters. The id is no secret: it finds
 * the row, and stands in logs. The secret has 256 random bits, so that a plain hash of it says nothing.
 */
export interface ApiKey {
  readonly keyId: string;
  readonly secret: string;
}

const KEY = /^skein_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

export function newApiKey(): ApiKey {
  return {
    keyId: randomBytes(6).toString('hex'),
    secret: randomBytes(32).toString('base64url'),
  };
}

export function textOfKey({ keyId, secret }: ApiKey): string {
  return `skein_${keyId}_${secret}`;
}

/** Null for what is no key. */
export function maybeApiKey(text: string): ApiKey | null {
  const [, keyId, secret] = KEY.exec(text) ?? [];
  return keyId === undefined || secret === undefined ? null : { keyId, secret };
}

export function sha256Of(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** In a time that does not tell how much of it was right. */
export function isSecret(secret: string, sha256: Uint8Array): boolean {
  return sha256.length === 32 && timingSafeEqual(sha256Of(secret), sha256);
}
