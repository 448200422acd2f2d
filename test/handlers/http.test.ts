import { once } from 'node:events';
import { expect } from 'chai';
import type { Handler } from '../../node/core/handler.ts';
import { createAddressGuard } from '../../node/handlers/address-guard.ts';
import { createHttp } from '../../node/handlers/http.ts';
import { TestServer, outcomeOf, type Outcome, type RunOptions } from './setup.ts';

/**
 * Goal: the type `http` asks what its payload says, answers within its bounds, and fails in a way that
 * says whether another attempt may help.
 * Method: the handler itself against a real server on this machine.
 * Seen to fail: each test names the change of the code that it caught.
 */
type Taken = 'ok' | 'again' | 'never';

describe('the type http', () => {
  let server: TestServer;
  let http: Handler;

  beforeEach(async () => {
    server = await TestServer.open();
    http = createHttp({ guard: createAddressGuard(['127.0.0.1']) });
  });
  afterEach(() => server.close());

  const ask = (payload: Readonly<Record<string, unknown>> = {}, options?: RunOptions) =>
    outcomeOf(http, { url: `${server.url}/path?q=1`, ...payload }, options);

  it('shows the address without a name and password that stand in it', async () => {
    server.answers((_request, response) => response.end('ok'));
    const url = `${server.url.replace('http://', 'http://ann:hunter2@')}/path`;
    const { result } = await ask({ url });
    expect((result as { readonly url: string }).url).to.equal(`${server.url}/path`);
  });

  // Seen to fail with `headers: request.headers`, and with the id of the task unescaped.
  it('sends method, headers and body, the id of the task and the number of its lease', async () => {
    server.answers((_request, response) => {
      response.writeHead(201, { 'content-type': 'application/json', 'x-more': 'yes' });
      response.end('{"made":[1,2]}');
    });
    const outcome = await ask(
      { method: 'post', headers: { 'X-Given': 'this' }, body: { a: 1 } },
      { id: 'größe → 1', fencingToken: 7 },
    );
    expect(outcome.result).to.deep.include({
      ...{ status: 201, redirects: 0, url: `${server.url}/path?q=1` },
      body: { made: [1, 2] },
    });
    expect((outcome.result as { headers: object }).headers).to.include({ 'x-more': 'yes' });
    const [asked] = server.asked;
    expect(asked).to.include({ method: 'POST', url: '/path?q=1', body: '{"a":1}' });
    expect(asked?.headers).to.include({
      'x-given': 'this',
      'content-type': 'application/json',
      'idempotency-key': 'gr%C3%B6%C3%9Fe%20%E2%86%92%201',
      'skein-fencing-token': '7',
    });
  });

  it('sends a text as it is, under the headers that are given', async () => {
    await ask({
      method: 'PUT',
      body: 'a,b',
      headers: { 'Content-Type': 'text/csv', 'Idempotency-Key': 'mine' },
    });
    expect(server.asked[0]).to.include({ body: 'a,b' });
    expect(server.asked[0]?.headers).to.include({
      'content-type': 'text/csv',
      'idempotency-key': 'mine',
    });
  });

  const statuses: readonly (readonly [
    number,
    string | readonly (string | number)[] | undefined,
    Taken,
  ])[] = [
    [200, undefined, 'ok'],
    [204, undefined, 'ok'],
    [202, [200], 'again'],
    [404, undefined, 'never'],
    [404, ['200-299', 404], 'ok'],
    [404, '400-499', 'ok'],
    [304, undefined, 'never'],
    [408, undefined, 'again'],
    [425, undefined, 'again'],
    [429, undefined, 'again'],
    [500, undefined, 'again'],
    [503, undefined, 'again'],
  ];
  for (const [status, success_codes, expected] of statuses) {
    const among = success_codes === undefined ? 'by default' : `among ${success_codes.toString()}`;
    // Seen to fail without RETRYABLE_4XX, and with `status >= 400` for all that is over.
    it(`takes ${String(status)} ${among} for ${expected}`, async () => {
      server.answers((_request, response) => response.writeHead(status).end());
      const outcome = await ask(success_codes === undefined ? {} : { success_codes });
      if (expected === 'ok') expect(outcome.result).to.include({ status });
      else {
        expect(outcome).to.include({ code: 'http_status', isFatal: expected === 'never' });
        expect(outcome.message).to.include(String(status));
      }
    });
  }

  it('hands on when the server wants to be asked again', async () => {
    const retryAfter = (value: string) => {
      server.answers((_request, response) =>
        response.writeHead(429, { 'retry-after': value }).end(),
      );
      return ask();
    };
    expect(await retryAfter('120')).to.include({ code: 'http_status', retryAfterMs: 120_000 });
    expect(await retryAfter('Thu, 01 Jan 1970 00:00:00 GMT')).to.include({ retryAfterMs: 0 });
    expect((await retryAfter('soon')).retryAfterMs).to.equal(undefined);
  });

  it('says in the error what the server said', async () => {
    server.answers((_request, response) => response.writeHead(500).end('the disk is full'));
    expect((await ask()).message).to.equal(
      `GET ${server.url}/path?q=1 answered 500: the disk is full`,
    );
  });

  // Seen to fail without the break at the limit, and with `body: text` for what is cut.
  it('cuts an answer at its limit and hangs up', async () => {
    let hungUp: Promise<unknown> | undefined;
    server.answers((request, response) => {
      hungUp = new Promise((resolve) => request.socket.on('error', resolve).on('close', resolve));
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = (): void => {
        while (response.write('["äöü"],'.repeat(1000)));
      };
      response.on('drain', more);
      more();
    });
    const { result } = await ask({ max_response_bytes: 10 });
    expect(result).to.deep.include({ body: '["äöü"]', truncated: true });
    await hungUp;
  });

  it('answers what is no text as base64', async () => {
    server.answers((_request, response) => response.end(Buffer.from([0xff, 0x00, 0x41])));
    expect((await ask()).result).to.include({ body: '/wBB', encoding: 'base64' });
  });

  it('reads a text in the charset of the server', async () => {
    server.answers((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain; charset=iso-8859-1' });
      response.end(Buffer.from('größe', 'latin1'));
    });
    expect((await ask()).result).to.include({ body: 'größe' });
  });

  // Seen to fail with a text of control characters as it is: six times as long, it fits in no result.
  it('fits the largest answer into a result', async () => {
    server.answers((_request, response) => response.end('\x01'.repeat(128 * 1024)));
    const { result } = await ask({ max_response_bytes: 128 * 1024 });
    expect(result).to.include({ encoding: 'base64' });
    expect(Buffer.byteLength(JSON.stringify(result))).to.be.lessThan(256 * 1024);
  });

  it('lets what calls itself JSON and is none be the text that it is', async () => {
    server.answers((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/problem+json' }).end('{oops');
    });
    expect((await ask()).result).to.include({ body: '{oops' });
  });

  // Seen to fail with only the signal of the task; the attempt hung until the server closed.
  it('gives up after its timeout, and may try again', async () => {
    server.answers(() => undefined);
    expect(await ask({ timeout_ms: 50 })).to.include({ code: 'http_timeout', isFatal: false });
  });

  // Seen to fail with only the signal of the task, under which each byte begins the time anew.
  it('gives up on an answer that goes on for ever', async () => {
    server.answers((request, response) => {
      response.writeHead(200);
      const drip = (): void => {
        if (!request.socket.destroyed) response.write('x', () => setTimeout(drip, 5));
      };
      drip();
    });
    expect(await ask({ timeout_ms: 100 })).to.include({ code: 'http_timeout', isFatal: false });
  });

  // Seen to fail without `signal` in the request: the socket stayed until the timeout.
  it('closes its socket when it is aborted', async () => {
    const abort = new AbortController();
    const reason = new Error('cancelled by the test');
    const asked = new Promise<Promise<unknown>>((resolve) => {
      server.answers((request) => {
        const closed = once(request.socket, 'close');
        resolve(closed.then(() => undefined));
        abort.abort(reason);
      });
    });
    const outcome = await ask({}, { signal: abort.signal });
    expect(outcome).to.include({ message: 'cancelled by the test' });
    await await asked;
  });

  it('takes a server that is not there for a fault of the network', async () => {
    const { url } = server;
    await server.close();
    const outcome = await outcomeOf(http, { url });
    expect(outcome).to.include({ code: 'http_unreachable', isFatal: false });
    expect(outcome.message).to.include('ECONNREFUSED');
    server = await TestServer.open();
  });

  it('takes a connection that breaks for a fault of the network', async () => {
    server.answers((request) => request.socket.destroy());
    expect(await ask()).to.include({ code: 'http_unreachable', isFatal: false });
  });

  const faults: readonly (readonly [unknown, readonly string[]])[] = [
    [null, ['the payload must be an object']],
    [{}, ['url must be an absolute URL']],
    [{ url: 'file:///etc/passwd' }, ['url must begin with http:// or https://']],
    [
      { url: 'http://a', method: 'BREW', timeout_ms: 0, max_response_bytes: 1e9, extra: 1 },
      ['method must be one of', 'timeout_ms must be', 'max_response_bytes must be', 'extra is no'],
    ],
    [{ url: 'http://a', headers: { Host: 'b' } }, ['headers may not have Host']],
    [{ url: 'http://a', headers: { 'a b': 'c' } }, ['headers has "a b", which is no header']],
    [{ url: 'http://a', headers: { a: 'c\r\nd: e' } }, ['headers has "a", which is no header']],
    [{ url: 'http://a', success_codes: ['2xx'] }, ['success_codes holds "2xx"']],
  ];
  for (const [payload, expected] of faults) {
    it(`refuses the payload ${JSON.stringify(payload)} for good`, async () => {
      const outcome: Outcome = await outcomeOf(http, payload);
      expect(outcome).to.include({ code: 'payload_invalid', isFatal: true });
      for (const fault of expected) expect(outcome.message).to.include(fault);
    });
  }
});
