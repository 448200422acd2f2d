import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer } from 'node:tls';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { FromLeader, FromNode, Hello } from '../core/messages.ts';
import { bytesOfFromLeader, parseFromNode, toWireFromLeader } from './frames.ts';
import type { FromLeader as WireFromLeader } from './generated/skein/v1/FromLeader.ts';
import type { FromNode__Output } from './generated/skein/v1/FromNode.ts';
import { Outbox, OUTBOX_BOUNDS } from './outbox.ts';
import type { OutboxBounds } from './outbox.ts';
import { peerPackage, SERVER_OPTIONS } from './peer-package.ts';
import { contextOf, isSameSecret, OPEN, readClusterFiles, SECRET_HEADER } from './peer-security.ts';
import type { PeerSecurity } from './peer-security.ts';
import type { LinkLog } from './ports.ts';

/**
 * The gRPC side of Skein: one service with one method, a stream that every node opens to the leader
 * and that lives as long as the term.
 *
 * ```text
 *   node (leader-link.ts)                    leader (this file)
 *   dial ──────── hello ───────────────────▶ accept(link), or FAILED_PRECONDITION "not the leader"
 *        ◀─────── headers ──────────────────  the link is up
 *        ─ heartbeats, what was settled ───▶ handlers.onMessage
 *   onMessage ◀── leases, aborts, answers ──  link.send, numbered 1, 2, …
 *        ◀─────── goodbye, end ────────────  link.close()
 * ```
 *
 * What it gives: frames arrive whole, in the order they were sent, checked (frames.ts), each at most
 * once; the end of a link is reported exactly once, and nothing is delivered after it.
 *
 * What it does not promise: that a frame arrives. A link may break with frames under way, on either
 * side, without a word. Every message is a hint, and PostgreSQL holds what it tells; whoever needs an
 * answer asks again on the next link.
 *
 * Failures:
 * - a process that dies: its socket closes, and the link ends in milliseconds;
 * - a process that freezes, or a cable that is cut: no socket says so. The roles notice by the
 *   heartbeats on the stream (half a second); the ping of HTTP/2 ends the link for good after 7 s;
 * - a peer that reads too slowly: its frames wait in a bounded outbox, and past the bound the link
 *   ends (RESOURCE_EXHAUSTED). No hint is worth unbounded memory;
 * - a frame that makes no sense, a stream without a hello within 2 s: the link ends
 *   (INVALID_ARGUMENT, DEADLINE_EXCEEDED);
 * - shutdown: streams end after what waits in them, then the server closes; what is still open at
 *   the deadline is cut. (Left alone, grpc-js waits for ever for open streams.)
 *
 * Beside it stands gRPC's health service, for '' and for 'skein.v1.Peer'.
 */
export interface PeerServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly log: LinkLog;
  /** Called when a node's hello has arrived; it may send on the link at once. */
  readonly accept: (link: LinkToNode) => LinkHandlers | { readonly refused: string };
  readonly clock?: Clock;
  readonly outboxBounds?: OutboxBounds;
  readonly security?: PeerSecurity;
}

export interface LinkToNode {
  readonly hello: Hello;
  /** Gives the frame the next number of this stream and returns it. On a closed link nothing is sent. */
  send(frame: Omit<FromLeader, 'number'>): number;
  /** Ends the stream after what was sent. */
  close(): void;
}

export interface LinkHandlers {
  onMessage(message: FromNode): void;
  /** Exactly once, whoever ended the link; never inside a call of the role's own. */
  onClosed(): void;
}

const HELLO_WITHIN_MS = 2000;
const HANDSHAKE_WITHIN_MS = 5000;
/** How often the files of the cluster are read anew. */
const RELOAD_MS = 60_000;
const SERVICES = ['', 'skein.v1.Peer'] as const;

type LinkStream = ServerDuplexStream<FromNode__Output, WireFromLeader>;

export class PeerServer {
  private readonly options: PeerServerOptions;
  private readonly server: Server;
  private readonly health: HealthImplementation;
  /** All and only the streams that have not ended, those before their hello included. */
  private readonly links = new Set<ServerLink>();
  /** All and only the open connections. */
  private readonly sockets = new Set<Socket>();
  private readonly listener: NetServer;
  private readonly injector: ReturnType<Server['createConnectionInjector']>;
  private isStopping = false;
  private cancelReload: () => void = () => undefined;

  constructor(options: PeerServerOptions) {
    this.options = options;
    this.server = new Server(SERVER_OPTIONS);
    const link: handleBidiStreamingCall<FromNode__Output, WireFromLeader> = (stream) => {
      this.onStream(stream);
    };
    this.server.addService(peerPackage().Peer.service, { Link: link });
    this.health = new HealthImplementation();
    this.health.addToServer(this.server);
    this.setServing(true);
    // Connections are accepted here and handed to grpc-js, which has no way to cut them itself: its
    // forceShutdown ends open streams only while channelz counts them, and waits for the peer's word
    // before it closes a socket (grpc-js 1.14).
    this.injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    const { clusterDir } = options.security ?? OPEN;
    this.listener =
      clusterDir === null
        ? createServer((socket) => {
            this.onConnection(socket);
          })
        : this.createTls(clusterDir);
  }

  /** Listens; rejects when the address is taken or is not this machine's. */
  async start(): Promise<{ readonly port: number }> {
    const { host, port } = this.options;
    this.listener.listen({ host, port });
    try {
      await once(this.listener, 'listening');
    } catch (thrown) {
      const cause = toError(thrown);
      throw new Error(`gRPC cannot listen on ${host}, port ${String(port)}`, { cause });
    }
    // Later errors are of single connections (no file descriptor left for them, say).
    this.listener.on('error', (error) => {
      this.options.log.warn('a connection could not be accepted', { err: error });
    });
    return { port: (this.listener.address() as AddressInfo).port };
  }

  /** What the health service answers. */
  setServing(isServing: boolean): void {
    for (const service of SERVICES) {
      this.health.setStatus(service, isServing ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Ends every link after what was sent on it; after `deadlineMs` whatever is open is cut. */
  async stop(deadlineMs: number): Promise<void> {
    this.isStopping = true;
    this.cancelReload();
    this.setServing(false);
    for (const link of this.links) link.close();
    const patience = new AbortController();
    const closed = new Promise<void>((resolve) => {
      this.listener.close(() => {
        resolve();
      });
    });
    this.injector.drain(deadlineMs);
    const expired = (this.options.clock ?? systemClock).sleep(deadlineMs, patience.signal);
    // The sleep rejects when it is cut short, which is what we hope for.
    await Promise.race([closed, expired.catch(() => undefined)]);
    patience.abort();
    for (const socket of this.sockets) socket.destroy();
    this.server.forceShutdown();
    await closed;
  }

  /** Throws where the files of the cluster cannot be used. */
  private createTls(folder: string): TlsServer {
    const { log, clock = systemClock } = this.options;
    const server = createTlsServer({
      ...contextOf(readClusterFiles(folder)),
      ...{ requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_WITHIN_MS },
      ALPNProtocols: ['h2'],
    });
    // A connection counts from its first byte, so that one amid its handshake is cut as well.
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    server.on('secureConnection', (socket) => {
      this.onConnection(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      log.warn('a peer without a certificate of this cluster was refused', {
        address: socket.remoteAddress,
        err: error,
      });
    });
    const reload = (): void => {
      try {
        server.setSecureContext(contextOf(readClusterFiles(folder)));
      } catch (thrown) {
        log.warn('the new files of the cluster cannot be used; the old ones stay', {
          err: toError(thrown),
        });
      }
      this.cancelReload = clock.after(RELOAD_MS, reload);
    };
    this.cancelReload = clock.after(RELOAD_MS, reload);
    return server;
  }

  private onConnection(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    this.injector.injectConnection(socket);
  }

  private onStream(stream: LinkStream): void {
    const link = new ServerLink(stream, this.options, (ended) => this.links.delete(ended));
    this.links.add(link);
    if (this.isStopping) link.fail(status.UNAVAILABLE, 'this node is shutting down');
    const { security = OPEN, log } = this.options;
    const [given] = stream.metadata.get(SECRET_HEADER);
    if (security.secret === null || isSameSecret(String(given ?? ''), security.secret)) return;
    log.warn('a peer without the secret of this cluster was refused', {
      address: stream.getPeer(),
    });
    link.fail(status.UNAUTHENTICATED, 'the secret of this cluster is another');
  }
}

/** One stream, from its first byte to its end: waits for the hello, then is accepted or refused. */
class ServerLink implements LinkToNode {
  private readonly stream: LinkStream;
  private readonly options: PeerServerOptions;
  private readonly onEnded: (link: ServerLink) => void;
  private readonly outbox: Outbox<WireFromLeader>;
  private readonly cancelHelloTimer: () => void;
  private greeting: Hello | undefined;
  private handlers: LinkHandlers | undefined;
  private lastNumber = 0;
  private hasEnded = false;

  constructor(stream: LinkStream, options: PeerServerOptions, onEnded: (link: ServerLink) => void) {
    this.stream = stream;
    this.options = options;
    this.onEnded = onEnded;
    this.outbox = new Outbox(stream, options.outboxBounds ?? OUTBOX_BOUNDS);
    this.cancelHelloTimer = (options.clock ?? systemClock).after(HELLO_WITHIN_MS, () => {
      this.fail(status.DEADLINE_EXCEEDED, `no hello within ${String(HELLO_WITHIN_MS)} ms`);
    });
    stream.on('data', (wire: FromNode__Output) => {
      this.onFrame(wire);
    });
    // The node has ended its half: answer with ours.
    stream.on('end', () => {
      this.close();
    });
    // However the stream goes, grpc-js says 'cancelled' last, after our own end too.
    stream.on('cancelled', () => {
      this.cut();
    });
  }

  get hello(): Hello {
    if (this.greeting === undefined) throw new Error('a link without a hello was handed out');
    return this.greeting;
  }

  send(frame: Omit<FromLeader, 'number'>): number {
    this.lastNumber += 1;
    if (this.hasEnded) return this.lastNumber;
    const numbered = toWireFromLeader({ ...frame, number: this.lastNumber });
    if (!this.outbox.push(numbered, bytesOfFromLeader(frame))) {
      this.options.log.warn('a node does not read its stream; the link is cut', this.fields());
      this.fail(status.RESOURCE_EXHAUSTED, 'the node does not read its stream');
    }
    return this.lastNumber;
  }

  close(): void {
    this.outbox.end();
    this.end();
  }

  /** Ends the link with an error, without what waits in the outbox. */
  fail(code: status, details: string): void {
    if (this.hasEnded) return;
    this.outbox.drop();
    // The way of grpc-js for a handler to end a stream with a status.
    this.stream.emit('error', { code, details, metadata: new Metadata() });
    this.end();
  }

  /** The stream is gone, or nobody waits for it any longer. */
  cut(): void {
    this.outbox.drop();
    this.stream.destroy();
    this.end();
  }

  private onFrame(wire: FromNode__Output): void {
    if (this.hasEnded) return;
    const parsed = parseFromNode(wire);
    if (parsed.fault !== undefined) {
      this.options.log.warn('a node sent a frame that makes no sense; the link is cut', {
        ...this.fields(),
        fault: parsed.fault,
      });
      this.fail(status.INVALID_ARGUMENT, parsed.fault);
    } else if (this.handlers !== undefined) {
      this.handlers.onMessage(parsed.frame);
    } else {
      this.onFirstFrame(parsed.frame);
    }
  }

  private onFirstFrame(frame: FromNode): void {
    this.cancelHelloTimer();
    if (frame.hello === undefined) {
      this.fail(status.INVALID_ARGUMENT, 'the first message carries no hello');
      return;
    }
    this.greeting = frame.hello;
    const answer = this.askRole();
    if ('refused' in answer) {
      this.options.log.debug('a link is refused', { ...this.fields(), reason: answer.refused });
      this.fail(status.FAILED_PRECONDITION, answer.refused);
      return;
    }
    this.handlers = answer;
    // The role may have closed the link, or overrun it, before it returned its handlers.
    if (this.hasEnded) return;
    // Tells the node that it is accepted, before there is anything to say.
    this.stream.sendMetadata(new Metadata());
    this.options.log.debug('a link is open', this.fields());
    if (carriesMore(frame)) answer.onMessage(frame);
  }

  private askRole(): LinkHandlers | { readonly refused: string } {
    try {
      return this.options.accept(this);
    } catch (thrown) {
      this.options.log.error('a link could not be accepted', {
        ...this.fields(),
        err: toError(thrown),
      });
      return { refused: 'the link could not be accepted' };
    }
  }

  private end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.cancelHelloTimer();
    this.onEnded(this);
    this.options.log.debug('a link has ended', this.fields());
    // Later, so that a role never hears of the end in the middle of its own send or close.
    queueMicrotask(() => this.handlers?.onClosed());
  }

  private fields(): Readonly<Record<string, unknown>> {
    return {
      peer: this.stream.getPeer(),
      peer_name: this.greeting?.name,
      peer_node_id: this.greeting?.nodeId,
    };
  }
}

function carriesMore({ heartbeat, told, look, watch, unwatch }: FromNode): boolean {
  return (
    heartbeat !== undefined ||
    told !== undefined ||
    look === true ||
    (watch ?? []).length + (unwatch ?? []).length > 0
  );
}
