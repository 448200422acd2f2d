import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { uuidv7 } from '../base/uuid.ts';
import { LiveClient } from './live-client.ts';
import { maybeMessage } from './live-messages.ts';
import type { ClientMessage } from './live-messages.ts';
import { LiveReader } from './live-reader.ts';
import type { LiveReaderDeps } from './live-reader.ts';

/**
 * The live face of a node, at `/ws`: what the page draws, and any other client that would rather be
 * told than ask. deploy/live.md describes it for clients.
 *
 * Here are the clients: who may connect, what they say, what they are sent. What they watch is kept true
 * by live-reader.ts, once for all clients of a node; whenever a view has changed, each of its watchers
 * that is not behind gets what is new, as one delta.
 *
 * Failures. A read that fails is told to those who watch it; what they have stays. A client that does
 * not answer a ping until the next one is cut off. Whoever is refused gets the status of HTTP before
 * the connection is upgraded.
 *
 * What it does not promise: that a client sees each state of a task. It sees the latest, soon.
 */
export interface LiveDeps extends Omit<LiveReaderDeps, 'onChange'> {
  /** Clients at a time. */
  readonly clientsMax: number;
}

const FRAME_BYTES_MAX = 64 * 1024;
const SUBSCRIPTIONS_MAX = 8;
const BEAT_MS = 5000;
const PEERS_MS = 1000;
const FAREWELL_MS = 500;

export class LiveServer {
  readonly #deps: LiveDeps;
  readonly #reader: LiveReader;
  readonly #sockets: WebSocketServer;
  /** Names this life of this node: sequence numbers of another mean nothing here. */
  readonly #epoch = uuidv7();
  readonly #clients = new Map<WebSocket, LiveClient>();
  #isStopped = false;
  #cancelBeat: (() => void) | null = null;
  #peers: { readonly atMs: number; readonly urls: Promise<readonly string[]> } | null = null;

  constructor(deps: LiveDeps) {
    this.#deps = deps;
    this.#reader = new LiveReader({
      ...deps,
      onChange: () => {
        for (const client of this.#clients.values()) client.flush();
      },
    });
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: FRAME_BYTES_MAX,
      perMessageDeflate: false,
    });
  }

  /** Whether it reads at all: only while it has clients. */
  get isAwake(): boolean {
    return this.#reader.isAwake;
  }

  /** Takes over the upgrades of a server. */
  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      const refusal = this.#refusalOf(request);
      if (refusal !== null) refuse(socket, refusal);
      else {
        this.#sockets.handleUpgrade(request, socket, head, (opened) => {
          this.#accept(opened);
        });
      }
    });
  }

  /** Origins of the other nodes, by the addresses that they tell; none where they cannot be read. */
  peers(): Promise<readonly string[]> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#peers === null || nowMs - this.#peers.atMs > PEERS_MS) {
      const urls = this.#reader.views.nodes().then(
        (nodes) =>
          nodes
            .filter(({ state }) => state === 'alive')
            .flatMap(({ httpUrl }) => (URL.canParse(httpUrl) ? [new URL(httpUrl).origin] : [])),
        () => [],
      );
      this.#peers = { atMs: nowMs, urls };
    }
    return this.#peers.urls;
  }

  /** Tells the clients to go elsewhere, and cuts off those that stay. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelBeat?.();
    for (const client of this.#clients.values()) client.close(1001, 'this node is shutting down');
    const { clock } = this.#deps;
    for (let waitedMs = 0; this.#clients.size > 0 && waitedMs < FAREWELL_MS; waitedMs += 10) {
      await clock.sleep(10);
    }
    for (const client of this.#clients.values()) client.terminate();
    this.#sockets.close();
    await this.#reader.stop();
  }

  /** A page of another site must not reach a node through its user's browser. */
  #refusalOf({ url, headers }: IncomingMessage): number | null {
    if (new URL(url ?? '', 'http://node').pathname !== '/ws') return 404;
    const { origin, host } = headers;
    const isForeign =
      origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
    if (isForeign) return 403;
    const isFull = this.#clients.size >= this.#deps.clientsMax;
    return isFull || this.#isStopped ? 503 : null;
  }

  #accept(socket: WebSocket): void {
    const client = new LiveClient(socket, this.#epoch);
    this.#clients.set(socket, client);
    socket.on('message', (data: Buffer, isBinary) => {
      const message = isBinary ? null : maybeMessage(data.toString());
      if (!client.mayTalk(this.#deps.clock.monotonicMs())) client.close(1008, 'too many messages');
      else if (message === null) client.say(faultOf(null, 'invalid', 'no message of the protocol'));
      else this.#hear(client, message);
    });
    socket.on('pong', () => {
      client.isUnanswered = false;
    });
    // A frame that is too long, or none at all; ws closes the connection then.
    socket.on('error', (error) => {
      this.#deps.log.info('A live client broke the protocol.', { error: error.message });
    });
    socket.once('close', () => {
      this.#clients.delete(socket);
      for (const sub of [...client.subscriptions.keys()]) this.#leave(client, sub);
    });
    void this.peers().then((peers) => {
      client.say({ type: 'hello', protocol: 1, epoch: this.#epoch, beat_ms: BEAT_MS, peers });
    });
    this.#beatLater();
  }

  #hear(client: LiveClient, message: ClientMessage): void {
    switch (message.type) {
      case 'ping':
        client.say({ type: 'pong' });
        return;
      case 'unsubscribe':
        this.#leave(client, message.sub);
        return;
      case 'subscribe': {
        const { sub, to, resume } = message;
        this.#leave(client, sub);
        if (client.subscriptions.size >= SUBSCRIPTIONS_MAX) {
          client.say(faultOf(sub, 'overloaded', `more than ${String(SUBSCRIPTIONS_MAX)} views`));
          return;
        }
        const seq = resume?.epoch === this.#epoch ? resume.seq : null;
        client.subscriptions.set(sub, {
          topic: this.#reader.join(to),
          seq,
          fault: null,
          isNew: true,
        });
        client.flush();
      }
    }
  }

  #leave(client: LiveClient, sub: string): void {
    const subscription = client.subscriptions.get(sub);
    if (subscription === undefined) return;
    client.subscriptions.delete(sub);
    this.#reader.leave(subscription.topic);
  }

  /** While there are clients. */
  #beatLater(): void {
    this.#cancelBeat ??= this.#deps.clock.after(BEAT_MS, () => {
      this.#cancelBeat = null;
      this.#beat();
      if (this.#clients.size > 0) this.#beatLater();
    });
  }

  #beat(): void {
    for (const client of this.#clients.values()) {
      if (client.isUnanswered) client.terminate();
      else {
        client.ping();
        client.say({ type: 'beat' });
        client.flush();
      }
    }
  }
}

function faultOf(sub: string | null, code: string, detail: string): object {
  return { type: 'fault', sub, fault: { code, detail } };
}

const TITLES: Readonly<Record<number, string>> = {
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
};

function refuse(socket: Duplex, status: number): void {
  const title = TITLES[status] ?? '';
  const retry = status === 503 ? 'Retry-After: 1\r\n' : '';
  socket.on('error', () => undefined);
  const head = `HTTP/1.1 ${String(status)} ${title}\r\n${retry}`;
  socket.end(`${head}Connection: close\r\nContent-Length: 0\r\n\r\n`);
}
