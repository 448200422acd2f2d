import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { errors } from '../../base/errors.ts';
import { SubmittedGraph } from '../../core/graph.ts';
import type { Batch, Once, OnceOutcome, SingleTask } from '../../core/submission.ts';
import type { ApiResponse } from '../endpoint.ts';
import { invalid } from '../faults.ts';
import { isName } from '../schemas.ts';

/**
 * The header `Idempotency-Key`: a submit that carries one is stored once, however often and through
 * whichever node it is sent, and the first answer is given again for a day. What was refused may be sent
 * again under its key. The same key for another body is refused.
 */
export interface Keyed {
  readonly key: string;
  /** Takes in the body as it is read. */
  readonly hash: Hash;
}

/** Null where the request carries no key. Throws `invalid` for one that cannot be taken. */
export function keyedBy(message: IncomingMessage, path: string): Keyed | null {
  const given = message.headers['idempotency-key'];
  if (given === undefined) return null;
  // The draft of the standard writes it as a string in quotes; most clients do not.
  const text = String(given);
  const key = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (!isName(key)) {
    const detail = 'must be 1–255 printable characters';
    throw invalid([{ pointer: 'Idempotency-Key', detail }]);
  }
  return { key, hash: createHash('sha256').update(`POST ${path}\n`) };
}

/** When the body has been read whole. */
export function onceOf({ key, hash }: Keyed, { text, headers }: ApiResponse): Once {
  const fingerprint = hash.digest('hex');
  return { key, fingerprint, answer: { text, location: headers?.['location'] ?? null } };
}

/** The answer of then; throws where the key was that of another request. */
export function answerBefore(
  { key }: Keyed,
  outcome: Extract<OnceOutcome, { kind: 'replayed' | 'key-reused' }>,
): ApiResponse {
  if (outcome.kind === 'key-reused') throw errors.idempotencyKeyReused(key);
  const { text, location } = outcome.answer;
  const headers = { 'idempotent-replayed': 'true' };
  return { status: 201, text, headers: location === null ? headers : { ...headers, location } };
}

export function batchOfOne({ id, fields, dependencies, audit }: SingleTask): Batch {
  const graph = new SubmittedGraph();
  graph.add(id, dependencies);
  return {
    ...{ graph, order: Int32Array.of(0), idPrefix: '', workflow: null },
    ...(audit === undefined ? {} : { audit }),
    typeNames: new Set([fields.type]),
    fieldsOf: () => fields,
    sizeOf: () => 200 + (fields.payload?.length ?? 0),
  };
}
