import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Dispatcher } from 'undici';
import { FatalError, type Handler, type HandlerContext } from '../core/handler.ts';
import { FORBIDDEN_ADDRESS, type AddressGuard, type Lookup } from './address-guard.ts';
import { shownBytes } from './bytes.ts';
import { isRecord, PayloadReader } from './payload-reader.ts';

/**
 * Makes one HTTP request and answers `{status, url, headers, body}`.
 *
 *   payload {url, method?, headers?, body?, success_codes?, timeout_ms?, max_response_bytes?, max_redirects?}
 *
 * Only addresses that `AddressGuard` lets through are connected to, judged at each connection, so also
 * after a redirect. Each task has its connections to itself and closes them when it ends; when it is
 * aborted, at once. Proxies of the environment (HTTP_PROXY and the like) are not used: the address that
 * is judged must be the one that is asked.
 *
 * A task may run more than once: `Idempotency-Key` carries its id, which stays the same for every
 * attempt, and `Skein-Fencing-Token` the number of its lease, which only grows, so that a server can
 * refuse the later of two and the elder of two.
 *
 * What it does not promise: that a request which failed has had no effect. A connection that breaks
 * after the request was sent is tried again like every other fault of the network.
 */
export interface HttpOptions {
  readonly guard: AddressGuard;
  /** Instead of the system's own, for names that only a test knows. */
  readonly lookup?: Lookup;
}

interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly isSuccess: (status: number) => boolean;
  readonly timeoutMs: number;
  readonly responseBytesMax: number;
  readonly redirectsMax: number;
}

interface HttpAnswer {
  readonly status: number;
  readonly url: string;
  readonly redirects: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
  readonly encoding?: 'base64';
  readonly truncated?: true;
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** What the connection is made of is not for a payload to say. */
const OWN_HEADERS = new Set([
  ...['host', 'connection', 'content-length', 'transfer-encoding', 'upgrade', 'expect', 'te'],
  ...['keep-alive', 'proxy-connection', 'trailer', 'skein-fencing-token'],
]);
/** What one server was trusted with is not for another to see. */
const SECRET_HEADERS = ['authorization', 'cookie', 'proxy-authorization'];
/** The client's fault, and yet worth another attempt: too slow, too early, too many. */
const RETRYABLE_4XX = new Set([408, 425, 429]);

const TIMEOUT_MS = { min: 1, max: 3_600_000, or: 30_000 };
/** With its headers, and as base64, the body must fit into a result of 256 KiB. */
const RESPONSE_BYTES = { min: 0, max: 128 * 1024, or: 64 * 1024 };
const REDIRECTS = { min: 0, max: 10, or: 3 };
const HEADER_BYTES_MAX = 16 * 1024;
const BODY_JSON_MAX = 200 * 1024;
const SHOWN_IN_ERROR = 500;

export function createHttp(options: HttpOptions): Handler {
  return {
    type: 'http',
    run: async (task, context) => {
      const request = readRequest(task.payload);
      const timeout = AbortSignal.timeout(request.timeoutMs);
      const signal = AbortSignal.any([context.signal, timeout]);
      try {
        // Taken out by name: the members of a context are getters, which a spread leaves behind.
        const { fencingToken } = context;
        return judge(request, await exchange(request, options, { signal, fencingToken }, task.id));
      } catch (thrown) {
        if (context.signal.aborted) throw context.signal.reason;
        if (timeout.aborted) {
          throw failure('http_timeout', `no answer within ${String(request.timeoutMs)} ms`);
        }
        throw toFailure(thrown, request);
      }
    },
  };
}

function readRequest(payload: unknown): HttpRequest {
  const reader = new PayloadReader(payload);
  const method = (reader.text('method') ?? 'GET').toUpperCase();
  if (!METHODS.has(method)) reader.fault('method', `must be one of ${[...METHODS].join(', ')}`);
  const text = reader.text('url');
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) reader.fault('url', 'must be an absolute URL');
  else if (!isHttp(url)) reader.fault('url', 'must begin with http:// or https://');
  const body = reader.raw('body');
  const request = {
    method,
    headers: readHeaders(reader),
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    isSuccess: reader.codes('success_codes', ['200-299'], 599),
    timeoutMs: reader.whole('timeout_ms', TIMEOUT_MS),
    responseBytesMax: reader.whole('max_response_bytes', RESPONSE_BYTES),
    redirectsMax: reader.whole('max_redirects', REDIRECTS),
  };
  reader.end();
  const type = typeof body === 'string' ? 'text/plain;charset=utf-8' : 'application/json';
  const described = body === undefined ? {} : { 'content-type': type };
  return { ...request, url: url as URL, headers: { ...described, ...request.headers } };
}

/** By lower-case names, so that what is given replaces what is the default. */
function readHeaders(reader: PayloadReader): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(reader.texts('headers'))) {
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      reader.fault('headers', `has ${JSON.stringify(name)}, which is no header`);
      continue;
    }
    if (OWN_HEADERS.has(name.toLowerCase())) reader.fault('headers', `may not have ${name}`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** The request and what it is redirected to, until an answer that is none of a redirect. */
async function exchange(
  request: HttpRequest,
  options: HttpOptions,
  context: Pick<HandlerContext, 'signal' | 'fencingToken'>,
  taskId: string,
): Promise<HttpAnswer> {
  // Loading it takes 80 ms, which the process of another type need not spend.
  const { openAgent } = await import('./http-agent.ts');
  const agent = openAgent({
    ...options,
    timeoutMs: request.timeoutMs,
    headerBytesMax: HEADER_BYTES_MAX,
  });
  const own = {
    'accept-encoding': 'identity',
    'user-agent': 'skein',
    // Printable, but of any script; a header is ASCII.
    'idempotency-key': encodeURI(taskId),
    ...request.headers,
    'skein-fencing-token': String(context.fencingToken),
  };
  let next: Hop = { url: request.url, method: request.method, body: request.body, headers: own };
  try {
    for (let redirects = 0; ; redirects++) {
      const { method, body, url } = next;
      const response = await agent.request({
        ...{ origin: url.origin, path: url.pathname + url.search, method: method },
        ...{ headers: next.headers, body: body ?? null, signal: context.signal },
      });
      const location = response.headers['location'];
      const isRedirect = [301, 302, 303, 307, 308].includes(response.statusCode);
      if (!isRedirect || typeof location !== 'string' || request.redirectsMax === 0) {
        return await read(response, url, redirects, request.responseBytesMax);
      }
      response.body.on('error', () => undefined).destroy();
      if (redirects === request.redirectsMax) {
        throw new FatalError('http_redirects', `redirected more than ${String(redirects)} times`);
      }
      next = redirected(next, response.statusCode, location);
    }
  } finally {
    await agent.destroy();
  }
}

interface Hop {
  readonly url: URL;
  readonly method: string;
  readonly body: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** As browsers do: 303, and a POST that is moved, go on as a GET without the body. */
function redirected(from: Hop, status: number, location: string): Hop {
  const url = URL.canParse(location, from.url.href) ? new URL(location, from.url) : undefined;
  if (url === undefined || !isHttp(url)) {
    const to = location.replace(/\/\/[^/?#]*@/, '//').slice(0, SHOWN_IN_ERROR);
    throw new FatalError('http_redirects', `redirected to ${to}`);
  }
  const isOver = status === 303 || (status < 303 && from.method === 'POST');
  const dropped = new Set(url.origin === from.url.origin ? [] : SECRET_HEADERS);
  if (isOver) for (const name of ['content-type', 'content-language']) dropped.add(name);
  const headers = Object.fromEntries(
    Object.entries(from.headers).filter(([name]) => !dropped.has(name)),
  );
  if (!isOver || from.method === 'HEAD') return { ...from, url, headers };
  return { url, method: 'GET', body: undefined, headers };
}

async function read(
  response: Dispatcher.ResponseData,
  url: URL,
  redirects: number,
  bytesMax: number,
): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > bytesMax) break;
  }
  const { headers, statusCode: status } = response;
  const facts = { status, url: shown(url), redirects, headers };
  const bytes = Buffer.concat(chunks).subarray(0, bytesMax);
  const type = typeof headers['content-type'] === 'string' ? headers['content-type'] : '';
  const charset = /;\s*charset="?([^\s";]+)/i.exec(type)?.[1];
  const { text, encoding } = shownBytes(bytes, BODY_JSON_MAX, charset);
  if (length > bytesMax) {
    return { ...facts, body: text, ...(encoding && { encoding }), truncated: true };
  }
  if (encoding !== undefined) return { ...facts, body: text, encoding };
  return { ...facts, body: /[/+]json\s*(;|$)/i.test(type) ? parsed(text) : text };
}

/** What calls itself JSON and is not stays the text that it is. */
function parsed(text: string): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    // A number may be longer than it was written.
    return Buffer.byteLength(JSON.stringify(value)) <= BODY_JSON_MAX ? value : text;
  } catch {
    return text;
  }
}

function judge(request: HttpRequest, answer: HttpAnswer): HttpAnswer {
  const { status, body } = answer;
  if (request.isSuccess(status)) return answer;
  const shown = (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, SHOWN_IN_ERROR);
  const where = `${request.method} ${answer.url}`;
  const message = `${where} answered ${String(status)}${shown === '' ? '' : `: ${shown}`}`;
  if (status >= 300 && status < 500 && !RETRYABLE_4XX.has(status)) {
    throw new FatalError('http_status', message);
  }
  const retryAfterMs = retryAfterMsOf(answer.headers['retry-after']);
  throw Object.assign(failure('http_status', message), { retryAfterMs });
}

/** Seconds or a date, as the server says it; undefined where it says nothing that can be read. */
function retryAfterMsOf(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string') return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function toFailure(thrown: unknown, { url }: HttpRequest): Error {
  if (thrown instanceof FatalError) return thrown;
  const code = isRecord(thrown) ? thrown['code'] : undefined;
  if (code === FORBIDDEN_ADDRESS) return new FatalError(FORBIDDEN_ADDRESS, reasonOf(thrown));
  if (thrown instanceof Error && code === 'http_status') return thrown;
  return failure('http_unreachable', `${url.host}: ${reasonOf(thrown)}`, thrown);
}

/** Where several addresses were tried, the error of each; the whole says nothing itself. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return thrown.errors.map(reasonOf).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function failure(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code });
}

/** The address without the name and password that may stand in it. */
function shown(url: URL): string {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare.href;
}

function isHttp(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:';
}
