import { expect } from 'chai';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { batchesOf, postAll, requestOf } from './poster.ts';

/** Goal: what is counted as submitted was acknowledged. Method: a server that answers as it is told. */
describe('the load of the benchmark', () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, body: string, response: ServerResponse) => void;

  beforeEach(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => answer(request, Buffer.concat(chunks).toString(), response));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });

  afterEach((done) => {
    server.closeAllConnections();
    server.close(done);
  });

  const say = (response: ServerResponse, status: number, body = '{"id":"ä"}'): void => {
    response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
  };

  it('posts each request once, over as many connections as are asked for', async () => {
    const seen: string[] = [];
    const ports = new Set<number | undefined>();
    answer = (request, body, response) => {
      ports.add(request.socket.remotePort);
      seen.push(`${request.method ?? ''} ${request.url ?? ''} ${body}`);
      say(response, 201);
    };
    const requests = Array.from({ length: 50 }, (_, at) => requestOf('/tasks', { at }));
    await postAll([url, url], 4, requests);
    expect(ports.size).to.equal(4);
    expect(new Set(seen).size).to.equal(50);
    expect(seen).to.include('POST /tasks {"at":49}');
  });

  it('puts a thousand tasks into a batch, and the rest into the last', async () => {
    const sizes: number[] = [];
    answer = (_request, body, response) => {
      sizes.push((JSON.parse(body) as unknown[]).length);
      say(response, 201);
    };
    await postAll([url], 1, batchesOf(Array.from({ length: 2300 }, (_, at) => ({ at }))));
    expect(sizes).to.deep.equal([1000, 1000, 300]);
  });

  const broken: readonly (readonly [string, (response: ServerResponse) => void, RegExp])[] = [
    ['is refused', (response) => say(response, 503), /answered 503/],
    ['has no answer', (response) => response.destroy(), /closed|ECONNRESET|socket/],
    [
      'has an answer without its length',
      (response) => void response.write('x'),
      /without its length/,
    ],
  ];
  for (const [what, misbehave, fault] of broken) {
    it(`counts nothing where one ${what}`, async () => {
      let count = 0;
      answer = (_request, _body, response) => {
        count += 1;
        if (count < 3) say(response, 201);
        else misbehave(response);
      };
      const requests = Array.from({ length: 5 }, () => requestOf('/tasks', {}));
      const thrown: unknown = await postAll([url], 1, requests).catch((error: unknown) => error);
      expect(String(thrown)).to.match(fault);
    });
  }
});
