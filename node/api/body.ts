import type { Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { errors } from '../base/errors.ts';
import { parseJson } from './json-guard.ts';
import { refusals } from './problem.ts';

/** Reading of bodies, within bounds: one body, and all that this node holds at once. */
export const JSON_BYTES_MAX = 16 * 1024 * 1024;
const HELD_BYTES_MAX = 512 * 1024 * 1024;

/** Counts the bytes of bodies in memory; beyond the bound clients are asked to come again. */
export class BodyBudget {
  readonly #limit: number;
  #held = 0;

  constructor(limit = HELD_BYTES_MAX) {
    this.#limit = limit;
  }

  take(bytes: number): void {
    if (this.#held + bytes > this.#limit) {
      throw errors.overloaded('too many large requests are under way');
    }
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/** The media type without its parameters. Throws 415 where the body is encoded, or none is named. */
export function mediaTypeOf(message: IncomingMessage): string {
  const encoding = message.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw refusals.mediaType(`a body in the encoding ${encoding} is not accepted`);
  }
  return (message.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Reads a JSON body whole and hands its value to `use`; its bytes count until that is done, and are taken
 * into `hash` where one is given.
 */
export async function withJson<T>(
  message: IncomingMessage,
  budget: BodyBudget,
  use: (value: unknown) => Promise<T>,
  hash?: Hash,
): Promise<T> {
  const type = mediaTypeOf(message);
  if (type !== 'application/json') {
    throw refusals.mediaType(`the body must be application/json, not ${type || 'without a type'}`);
  }
  const tooLarge = errors.tooLarge('the body', `${String(JSON_BYTES_MAX)} bytes (16 MiB)`);
  if (Number(message.headers['content-length'] ?? 0) > JSON_BYTES_MAX) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // A thrown refusal must leave the socket open, for the answer to travel on.
    const parts = message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of parts) {
      budget.take(chunk.length);
      bytes += chunk.length;
      if (bytes > JSON_BYTES_MAX) throw tooLarge;
      hash?.update(chunk);
      chunks.push(chunk);
    }
    return await use(parseJson(Buffer.concat(chunks), 'the body'));
  } finally {
    budget.give(bytes);
  }
}

const EMPTY_BYTES_MAX = 16;

/** Throws where there is a body that says anything, since nobody would read it. */
export async function refuseBody(message: IncomingMessage): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const parts = message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of parts) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > EMPTY_BYTES_MAX) break;
  }
  if (/^\s*(\{\s*\})?\s*$/.test(Buffer.concat(chunks).toString())) return;
  throw errors.invalid([{ pointer: '#', detail: 'must be empty: this call takes no body' }]);
}
