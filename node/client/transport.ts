import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { aborted, ClientError, isBusy, refusalOf, tooLate } from './client-error.ts';

/**
 * One request, sent to one node after the other until one of them answers. It may be carried out more
 * than once: a later answer then says so, by `isRepeated` of a refusal.
 */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Begins with a slash. */
  readonly path: string;
  readonly contentType?: string;
  readonly idempotencyKey?: string;
  readonly body?: string;
  /** Milliseconds for all tries together. */
  readonly deadlineMs: number;
  /** Of it, what a node was asked to wait before it answers. */
  readonly holdMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly link: string | null;
}

export interface TransportOptions {
  readonly urls: readonly string[];
  readonly clock: Clock;
  /** `skein_…`, for a cluster that asks for keys. */
  readonly apiKey?: string | undefined;
}

/** Rounds over all nodes while every one is busy; one that nobody listens for ends after the first. */
const ROUNDS_MAX = 3;
const ROUND_PAUSE_MS = 250;

export class Transport {
  readonly urls: readonly string[];
  private readonly clock: Clock;
  /** With every request: who asks. */
  readonly headers: Readonly<Record<string, string>>;
  /** The place of the node that answered last: the next call begins there. */
  private preferred = 0;

  constructor({ urls, clock, apiKey }: TransportOptions) {
    if (urls.length === 0) throw new RangeError('a client needs the url of a node');
    this.urls = urls.map((url) => url.replace(/\/+$/, ''));
    this.clock = clock;
    this.headers = {
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    };
  }

  /** Throws a ClientError for everything but an answer from 200 to 299. */
  async send(call: Call): Promise<Answer> {
    const endMs = this.clock.monotonicMs() + call.deadlineMs;
    const attempt: Attempt = { isRepeated: false, last: undefined };
    for (let round = 1; ; round += 1) {
      const answer = await this.maybeRound(call, endMs, attempt);
      if (answer !== undefined) return answer;
      const { last } = attempt;
      if (last === undefined) throw this.late(call);
      const leftMs = endMs - this.clock.monotonicMs();
      const pauseMs = ROUND_PAUSE_MS * round;
      if (!isBusy(last.status) || round === ROUNDS_MAX || leftMs <= pauseMs) throw last;
      await this.clock.sleep(pauseMs, call.signal).catch(() => {
        throw aborted(call.signal);
      });
    }
  }

  /** The first node that answers at all, for a body that can be sent only once. */
  async firstReady(timeoutMs: number, signal?: AbortSignal): Promise<string> {
    const path = '/readyz';
    await this.send({
      ...{ method: 'GET', path, deadlineMs: timeoutMs },
      ...(signal === undefined ? {} : { signal }),
    });
    return this.urlAt(this.preferred);
  }

  private async maybeRound(
    call: Call,
    endMs: number,
    attempt: Attempt,
  ): Promise<Answer | undefined> {
    const count = this.urls.length;
    const first = this.preferred;
    for (let offset = 0; offset < count; offset += 1) {
      const leftMs = endMs - this.clock.monotonicMs();
      if (leftMs <= 0) break;
      const place = (first + offset) % count;
      // A node that swallows requests must not use up the time of those after it.
      const { holdMs = 0 } = call;
      const tryMs = Math.min(leftMs, holdMs + Math.max(0, leftMs - holdMs) / (count - offset));
      const outcome = await this.tryOne(call, this.urlAt(place), tryMs, attempt.isRepeated);
      if (!(outcome instanceof ClientError)) {
        this.preferred = place;
        return outcome;
      }
      attempt.last = outcome;
      if (!outcome.isTransient) {
        this.preferred = place;
        throw outcome;
      }
      if (mayHaveHappened(outcome)) attempt.isRepeated = true;
    }
    return undefined;
  }

  private async tryOne(
    call: Call,
    url: string,
    tryMs: number,
    isRepeated: boolean,
  ): Promise<Answer | ClientError> {
    try {
      const response = await fetch(url + call.path, {
        method: call.method,
        headers: {
          accept: 'application/json',
          ...this.headers,
          ...(call.contentType === undefined ? {} : { 'content-type': call.contentType }),
          ...(call.idempotencyKey === undefined ? {} : { 'idempotency-key': call.idempotencyKey }),
        },
        ...(call.body === undefined ? {} : { body: call.body }),
        signal: withDeadline(tryMs, call.signal),
      });
      return await answerOf(response, url, isRepeated);
    } catch (thrown) {
      if (call.signal?.aborted === true) throw aborted(call.signal);
      return thrown instanceof ClientError ? thrown : failureOf(thrown, url);
    }
  }

  private late({ deadlineMs }: Call): ClientError {
    return tooLate(`no answer from ${this.urls.join(', ')}`, deadlineMs);
  }

  private urlAt(place: number): string {
    return this.urls[place] ?? '';
  }
}

export function withDeadline(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const deadline = AbortSignal.timeout(Math.ceil(ms));
  return signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
}

interface Attempt {
  isRepeated: boolean;
  last: ClientError | undefined;
}

/** Throws a ClientError for everything but an answer from 200 to 299. */
export async function answerOf(
  response: Response,
  url: string,
  isRepeated = false,
): Promise<Answer> {
  const text = await response.text();
  if (!response.ok) {
    throw refusalOf({ status: response.status, url }, text, isRepeated);
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new ClientError('not_skein', `${url} answered with something that is no JSON`, {
      status: response.status,
      cause,
    });
  }
  return { status: response.status, body, link: response.headers.get('link') };
}

/** A network fault as a sentence that names the node. */
export function failureOf(thrown: unknown, url: string): ClientError {
  const error = toError(thrown);
  if (error.name === 'TimeoutError') {
    return new ClientError('deadline', `${url} did not answer in time`, { cause: error });
  }
  // fetch says only "fetch failed"; what happened stands in the cause.
  const cause: unknown = error.cause ?? error;
  const code = codeOf(cause) ?? toError(cause).message;
  return new ClientError('unreachable', `cannot reach ${url} (${code})`, { cause });
}

const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether the node may have done what was asked, although it did not say so. */
function mayHaveHappened(error: ClientError): boolean {
  if (error.code === 'deadline') return true;
  if (error.code === 'unreachable') return !NEVER_SENT.has(codeOf(error.cause) ?? '');
  // A node says `stopping` and 429 before it begins; of a lost database it cannot know.
  return error.status !== 429 && error.code !== 'stopping';
}

function codeOf(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}
