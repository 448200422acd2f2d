import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { errors } from '../../base/errors.ts';
import type { AppError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/uuid.ts';
import type { Caller } from '../../core/access.ts';
import { LIVE_PROTOCOL } from '../access/door.ts';
import type { Door } from '../access/door.ts';
import { LiveClient } from './client.ts';
import { maybeMessage } from './messages.ts';
import type { ClientMessage } from './messages.ts';
import { LiveReader } from './reader.ts';
import type { LiveReaderDeps } from './reader.ts';
import { problem, refusals, toAppError } from '../problem.ts';

/**
 * The live face of a node, at `/ws`: what the page draws, and any other client that would rather be
 * told than ask. deploy/live.md describes it for clients.
 *
 * Here are the clients: who may connect, what they say, what they are sent. What they watch is kept true
 * by reader.ts, once for all clients of a node; whenever a view has changed, each of its watchers
 * that is not behind gets what is new, as one delta.
 *
 * Failures. A read that fails is told to those who watch it; what they have stays. A client that does
 * not answer a ping until the next one is cut off. Whoever is refused gets the status of HTTP before
 * the connection is upgraded.
 *
 * What it does not promise: that a client sees each state of a task. It sees the latest, soon.
 */
export interface LiveDeps extends Omit<LiveReaderDeps, 'onChange'> {
  readonly door: Pick<Door, 'check' | 'admit'>;
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
      // What else is offered there may be a key, which is nothing to be sent back.
      handleProtocols: (offered) => offered.has(LIVE_PROTOCOL) && LIVE_PROTOCOL,
    });
  }

  /** Whether it reads at all: only while it has clients. */
  get isAwake(): boolean {
    return this.#reader.isAwake;
  }

  /** Takes over the upgrades of a server. */
  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      void this.#upgrade(request, socket, head);
    });
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => undefined);
    const admit = (): Promise<Caller> => this.#deps.door.admit(request, 'read');
    try {
      this.#deps.door.check(request, true);
      this.#refuseIfAny(request);
      const caller = await admit();
      // While the key was read, others came in.
      this.#refuseIfAny(request);
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        this.#accept(opened, caller, admit);
      });
    } catch (thrown) {
      refuse(socket, toAppError(thrown));
    }
  }

  /** Origins of the other nodes, by the addresses that they tell; none where they cannot be read. */
  peers(): Promise<readonly string[]> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#peers === null || nowMs - this.#peers.atMs > PEERS_MS) {
      const urls = this.#reader.views.nodes().then(
        (nodes) =>
          nodes
            .filter(({ state }) => state === 'alive' || state === 'drained')
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

  #refuseIfAny({ url }: IncomingMessage): void {
    const { pathname } = new URL(url ?? '', 'http://node');
    if (pathname !== '/ws') throw refusals.noRoute(pathname);
    if (this.#isStopped) throw errors.stopping();
    if (this.#clients.size >= this.#deps.clientsMax) throw refusals.tooManyClients();
  }

  #accept(socket: WebSocket, caller: Caller, admit: () => Promise<Caller>): void {
    const client = new LiveClient(socket, this.#epoch, caller, admit);
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
        void client.maybeExpel();
      }
    }
  }
}

function faultOf(sub: string | null, code: string, detail: string): object {
  return { type: 'fault', sub, fault: { code, detail } };
}

/** As HTTP does it, before there is a WebSocket. */
function refuse(socket: Duplex, error: AppError): void {
  const { status, headers = {}, text } = problem(error, uuidv7());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = String(Buffer.byteLength(text));
  const head = `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}`;
  socket.end(`${head}connection: close\r\ncontent-length: ${length}\r\n\r\n${text}`);
}
