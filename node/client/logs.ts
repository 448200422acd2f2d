import type { LogLineBody, LogOptions } from './bodies.ts';
import { aborted, ClientError, refusalOf } from './client-error.ts';
import { failureOf, type Transport } from './transport.ts';

const CONNECT_MS = 30_000;

/**
 * The lines of a task's log as they come. A node that dies while it sends is left for another, which
 * begins anew: what was seen already is passed over. Throws a ClientError where no node answers.
 */
export async function* readLogs(
  transport: Transport,
  id: string,
  options: LogOptions,
): AsyncGenerator<LogLineBody, void, undefined> {
  const query = new URLSearchParams();
  if (options.attempt !== undefined) query.set('attempt', String(options.attempt));
  if (options.follow === true) query.set('follow', '1');
  const path = `/tasks/${encodeURIComponent(id)}/logs?${query.toString()}`;
  let seen = 0;
  for (;;) {
    const url = await transport.firstReady(CONNECT_MS, options.signal);
    let place = 0;
    try {
      const { headers } = transport;
      for await (const line of linesOf(await open(url, path, headers, options.signal))) {
        place += 1;
        if (place <= seen) continue;
        seen = place;
        yield JSON.parse(line) as LogLineBody;
      }
      return;
    } catch (error) {
      if (options.signal?.aborted === true) throw aborted(options.signal);
      if (!(error instanceof BrokenOff)) throw error;
    }
  }
}

/** The connection ended before the answer did. */
class BrokenOff extends Error {}

async function open(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array> | null> {
  let response: Response;
  try {
    response = await fetch(url + path, {
      headers: { ...headers, accept: 'application/x-ndjson' },
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (thrown) {
    const error = failureOf(thrown, url);
    throw error.isTransient ? new BrokenOff('', { cause: error }) : error;
  }
  if (response.ok) return response.body;
  const refusal = refusalOf({ status: response.status, url }, await response.text(), false);
  throw refusal instanceof ClientError && refusal.code === 'stopping'
    ? new BrokenOff('', { cause: refusal })
    : refusal;
}

async function* linesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  const reader = body?.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (cause) {
    throw new BrokenOff('', { cause });
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}
