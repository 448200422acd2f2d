import { randomFillSync } from 'node:crypto';

/**
 * UUIDs of version 7 (RFC 9562): 48 bits of wall-clock milliseconds, then a counter, then chance. They
 * sort by the time of their making, which keeps a unique index on them cheap, and within one
 * process each is above the last, also when the wall clock is set back.
 */
const bytes = new Uint8Array(16);
const view = new DataView(bytes.buffer);
/** Chance for 256 ids at a time: one call to the kernel each would cost more than all the rest. */
const pool = new Uint8Array(256 * 10);
let poolUsed = pool.length;
let lastMs = 0;
let counter = 0;

export function uuidv7(): string {
  if (poolUsed + 10 > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  bytes.set(pool.subarray(poolUsed, poolUsed + 10), 6);
  poolUsed += 10;
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    // Starts in the lower half of its 12 bits, so that it seldom overflows within a millisecond.
    counter = view.getUint16(6) & 0x7ff;
  } else {
    counter += 1;
    if (counter > 0xfff) {
      counter = 0;
      lastMs += 1;
    }
  }
  view.setUint32(0, Math.floor(lastMs / 0x10000));
  view.setUint16(4, lastMs % 0x10000);
  view.setUint16(6, 0x7000 | counter);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  const hex = Buffer.from(bytes.buffer).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
