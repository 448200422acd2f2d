import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { Clock } from '../base/clock.ts';
import { uuidv7 } from '../base/uuid.ts';
import { Waker } from '../base/waker.ts';
import { LiveClient } from './live-client.ts';
import { keyOf, maybeMessage } from './live-messages.ts';
import type { ClientMessage, ViewName } from './live-messages.ts';
import { Topic } from './live-topic.ts';
import type { LiveTopic } from './live-topic.ts';
import { LiveViews } from './live-views.ts';
import type { LiveReads } from './live-views.ts';
import type { FeedPort, LogPort } from './ports.ts';
import { toAppError } from './problem.ts';

/**
 * The live face of a node, at `/ws`: what the page draws, and any other client that would rather be
 * told than ask. deploy/live.md describes it for clients.
 *
 * All clients of a node share its reads. One loop turns while somebody watches, and sleeps otherwise: it
 * reads each watched view once a second, one after the other, and a turn that took long is followed by
 * a pause as long, so that however much is watched, it takes half of one connection at most. News of
 * the feed (a task that is shown has ended, a new leader) makes the views it is about due at once, at
 * most five times a second. What a read changes goes out as one delta to all who watch it.
 *
 * Failures. A read that fails is told to those who watch it, and tried again; what they have stays.
 * A client that does not answer a ping until the next one is cut off. Whoever is refused gets the
 * status of HTTP before the connection is upgraded.
 *
 * What it does not promise: that a client sees each state of a task. It sees the latest, soon.
 */
export interface LiveDeps extends LiveReads {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly feed: FeedPort;
  /** Clients at a time. */
  readonly clientsMax: number;
}

const FRAME_BYTES_MAX = 64 * 1024;
const SUBSCRIPTIONS_MAX = 8;
const POLL_MS = 1000;
const NEWS_MS = 200;
/** What nobody watches any more is kept so long, for those who come back. */
const KEPT_MS = 30_000;
const BEAT_MS = 5000;
const PEERS_MS = 1000;
const FAREWELL_MS = 500;

export class LiveServer {
  readonly #deps: LiveDeps;
  readonly #views: LiveViews;
  readonly #sockets: WebSocketServer;
  /** Names this life of this node: sequence numbers of another mean nothing here. */
  readonly #epoch = uuidv7();
  readonly #clients = new Map<WebSocket, LiveClient>();
  readonly #topics = new Map<string, LiveTopic>();
  readonly #waker: Waker;
  readonly #stopped = new AbortController();
  readonly #unlisten: readonly (() => void)[];
  #loop: Promise<void> | null = null;
  #beatMs = 0;
  /** The highest sequence number of all topics that were forgotten. */
  #lastSeq = 0;
  #peers: { readonly atMs: number; readonly urls: Promise<readonly string[]> } | null = null;

  constructor(deps: LiveDeps) {
    this.#deps = deps;
    this.#views = new LiveViews(deps);
    this.#waker = new Waker(deps.clock);
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: FRAME_BYTES_MAX,
      perMessageDeflate: false,
    });
    this.#unlisten = [
      deps.feed.onEnded((seqs) => {
        const ended = new Set(seqs);
        this.#hasten(({ seq }) => seq !== null && ended.has(seq));
      }),
      deps.feed.onTerm(() => {
        for (const { seq } of this.#topics.values()) if (seq !== null) deps.feed.watch([seq]);
        this.#hasten(() => true);
      }),
    ];
  }

  /** Whether it reads at all: only while it has clients. */
  get isAwake(): boolean {
    return this.#loop !== null;
  }

  private get isStopped(): boolean {
    return this.#stopped.signal.aborted;
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
      const urls = this.#deps.cluster.nodes().then(
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
    for (const unlisten of this.#unlisten) unlisten();
    this.#stopped.abort();
    for (const client of this.#clients.values()) client.close(1001, 'this node is shutting down');
    const { clock } = this.#deps;
    for (let waitedMs = 0; this.#clients.size > 0 && waitedMs < FAREWELL_MS; waitedMs += 10) {
      await clock.sleep(10);
    }
    for (const client of this.#clients.values()) client.terminate();
    this.#sockets.close();
    await this.#loop;
  }

  /** A page of another site must not reach a node through its user's browser. */
  #refusalOf({ url, headers }: IncomingMessage): number | null {
    if (new URL(url ?? '', 'http://node').pathname !== '/ws') return 404;
    const { origin, host } = headers;
    const isForeign =
      origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
    if (isForeign) return 403;
    const isFull = this.#clients.size >= this.#deps.clientsMax;
    return isFull || this.#stopped.signal.aborted ? 503 : null;
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
    this.#begin();
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
        client.subscriptions.set(sub, { topic: this.#join(to), seq, fault: null, isNew: true });
        client.flush();
        this.#begin();
      }
    }
  }

  #join(to: ViewName): LiveTopic {
    const key = keyOf(to);
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      topic = {
        ...{ to, state: new Topic(this.#lastSeq), fault: null, watchers: 0 },
        ...{ dueMs: 0, readMs: 0, leftMs: 0, seq: null },
      };
      this.#topics.set(key, topic);
    }
    topic.watchers += 1;
    return topic;
  }

  #leave(client: LiveClient, sub: string): void {
    const subscription = client.subscriptions.get(sub);
    if (subscription === undefined) return;
    client.subscriptions.delete(sub);
    subscription.topic.watchers -= 1;
    subscription.topic.leftMs = this.#deps.clock.monotonicMs();
  }

  #hasten(isAbout: (topic: LiveTopic) => boolean): void {
    for (const topic of this.#topics.values()) {
      if (isAbout(topic)) topic.dueMs = Math.min(topic.dueMs, topic.readMs + NEWS_MS);
    }
    this.#waker.wake();
  }

  /** The loop runs while there are clients, and at no other time. */
  #begin(): void {
    this.#waker.wake();
    this.#loop ??= this.#run().finally(() => {
      this.#loop = null;
    });
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopped;
    this.#beatMs = clock.monotonicMs() + BEAT_MS;
    while (!signal.aborted && this.#clients.size > 0) {
      const startedMs = clock.monotonicMs();
      for (const topic of this.#topics.values()) {
        if (this.isStopped) return;
        if (topic.watchers > 0 && topic.dueMs <= clock.monotonicMs()) await this.#read(topic);
      }
      this.#maybeBeat();
      this.#forget();
      // As long as the reads took, at least: what is watched never takes more than half of a connection.
      const tookMs = clock.monotonicMs() - startedMs;
      await clock.sleep(Math.min(tookMs, POLL_MS), signal).catch(() => undefined);
      await this.#waker.wait(this.#idleMs(), signal);
    }
  }

  async #read(topic: LiveTopic): Promise<void> {
    const { clock, feed, log } = this.#deps;
    topic.readMs = clock.monotonicMs();
    topic.dueMs = topic.readMs + POLL_MS;
    try {
      const view = await this.#views.read(topic.to, (seq) => {
        // The leader forgets who watches a task when it has ended; nothing is left to take back.
        if (topic.seq === null) feed.watch([seq]);
        topic.seq = seq;
      });
      topic.state.take(view);
      topic.fault = null;
    } catch (thrown) {
      const { code, message, httpStatus, cause } = toAppError(thrown);
      if (httpStatus === 500) log.error('A live view could not be read.', { code, cause });
      topic.fault = { code, detail: message };
    }
    for (const client of this.#clients.values()) client.flush();
  }

  #maybeBeat(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#beatMs) return;
    this.#beatMs = nowMs + BEAT_MS;
    for (const client of this.#clients.values()) {
      if (client.isUnanswered) client.terminate();
      else {
        client.ping();
        client.say({ type: 'beat' });
        client.flush();
      }
    }
  }

  #forget(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [key, { watchers, leftMs, state }] of this.#topics) {
      if (watchers > 0 || nowMs - leftMs <= KEPT_MS) continue;
      this.#topics.delete(key);
      this.#lastSeq = Math.max(this.#lastSeq, state.seq);
    }
  }

  #idleMs(): number {
    let untilMs = this.#beatMs;
    for (const { watchers, dueMs } of this.#topics.values()) {
      if (watchers > 0) untilMs = Math.min(untilMs, dueMs);
    }
    return Math.max(0, untilMs - this.#deps.clock.monotonicMs());
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
