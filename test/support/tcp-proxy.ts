import net from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * A TCP proxy that misbehaves on demand: what a network does to PostgreSQL and gRPC, without root.
 * Silence holds bytes back rather than losing them, as a cut cable does while TCP retransmits: after
 * `resume` they arrive. Only `dropReplies` loses bytes, and with them the connection's use.
 */
export type Direction = 'to-target' | 'to-client' | 'both';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Connections open now. */
  connections(): number;
  /** Silence: nothing passes, ends and resets included; connections stay open, new ones are accepted. */
  pause(direction?: Direction): void;
  resume(): void;
  /**
   * The same for the connections that are open now and whose client began with this text, as a session of
   * PostgreSQL does with its name; new ones pass. Answers how many, until `heal`.
   */
  silence(name: string): number;
  /** Resets every connection, on both sides. New ones are welcome. */
  cutAll(): void;
  /** From now on new connections lead there; those that are open stay where they are. */
  leadTo(target: Target): void;
  /** Every byte takes `ms` longer, each way, those under way included. */
  delay(ms: number): void;
  /**
   * Loses what the target answers. With a text: on the first connection whose client sends that text,
   * from then on (so that a COMMIT is carried out and its answer never seen); without: on all
   * connections, at once. Resolves when the first bytes are lost; the connections stay open, silent.
   */
  dropReplies(afterText?: string): Promise<void>;
  /** Ends every fault, a trap of `dropReplies` too; connections that have lost bytes are reset. */
  heal(): void;
  /** Cuts everything and stops listening. */
  close(): Promise<void>;
}

export async function createTcpProxy(options: {
  readonly target: Target;
  /** Where it listens; loopback unless given. */
  readonly host?: string;
}): Promise<TcpProxy> {
  const proxy = new FaultyProxy(options.target, options.host ?? '127.0.0.1');
  await proxy.listen();
  return proxy;
}

/** What is under way beyond this stays with the sender. */
const HELD_BYTES_MAX = 16 * 1024 * 1024;

class FaultyProxy implements TcpProxy {
  readonly host: string;
  private target: Target;
  private readonly server: net.Server;
  private readonly pairs = new Set<Pair>();
  readonly faults = { toTarget: false, toClient: false, delayMs: 0 };
  private trap: { text: string; onLost: () => void } | undefined;

  constructor(target: Target, host: string) {
    this.target = target;
    this.host = host;
    this.server = net.createServer({ allowHalfOpen: true }, (client) => {
      this.onConnection(client);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(0, this.host, resolve);
    });
  }

  connections(): number {
    return this.pairs.size;
  }

  pause(direction: Direction = 'both'): void {
    if (direction !== 'to-client') this.faults.toTarget = true;
    if (direction !== 'to-target') this.faults.toClient = true;
    this.pumpAll();
  }

  resume(): void {
    this.faults.toTarget = false;
    this.faults.toClient = false;
    this.pumpAll();
  }

  silence(name: string): number {
    const named = [...this.pairs].filter((pair) => pair.introduction.includes(name));
    for (const pair of named) pair.isSilent = true;
    return named.length;
  }

  cutAll(): void {
    for (const pair of this.pairs) pair.cut();
  }

  leadTo(target: Target): void {
    this.target = target;
  }

  delay(ms: number): void {
    this.faults.delayMs = ms;
    this.pumpAll();
  }

  async dropReplies(afterText?: string): Promise<void> {
    await new Promise<void>((resolve) => {
      if (afterText !== undefined) {
        this.trap = { text: afterText, onLost: resolve };
        return;
      }
      for (const pair of this.pairs) pair.toClient.lose(resolve);
    });
  }

  heal(): void {
    this.trap = undefined;
    this.faults.delayMs = 0;
    for (const pair of this.pairs) {
      pair.isSilent = false;
      if (pair.toClient.hasLost) pair.cut();
    }
    this.resume();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
  }

  private onConnection(client: net.Socket): void {
    const { host, port } = this.target;
    const target = net.connect({ host, port, allowHalfOpen: true });
    const pair = new Pair(client, target, this.faults, (sent) => {
      if (this.trap === undefined || !sent.includes(this.trap.text)) return;
      pair.toClient.lose(this.trap.onLost);
      this.trap = undefined;
    });
    this.pairs.add(pair);
    const forget = (): void => {
      if (client.closed && target.closed) this.pairs.delete(pair);
    };
    client.once('close', forget);
    target.once('close', forget);
  }

  private pumpAll(): void {
    for (const pair of this.pairs) {
      pair.toTarget.pump();
      pair.toClient.pump();
    }
  }
}

interface Faults {
  readonly toTarget: boolean;
  readonly toClient: boolean;
  readonly delayMs: number;
}

/** A client's connection and the target's, each piped into the other. */
class Pair {
  readonly toTarget: Pipe;
  readonly toClient: Pipe;
  isSilent = false;
  /** What the client sent first. */
  introduction = '';
  private readonly sockets: readonly net.Socket[];

  constructor(
    client: net.Socket,
    target: net.Socket,
    faults: Faults,
    onSent: (recent: string) => void,
  ) {
    this.sockets = [client, target];
    for (const socket of this.sockets) socket.setNoDelay(true);
    this.toTarget = new Pipe(client, target, faults, () => this.isSilent || faults.toTarget);
    this.toClient = new Pipe(target, client, faults, () => this.isSilent || faults.toClient);
    let recent = '';
    client.on('data', (bytes: Buffer) => {
      // A text may be split over two chunks.
      recent = recent.slice(-256) + bytes.toString('latin1');
      if (this.introduction === '') this.introduction = recent;
      onSent(recent);
    });
  }

  cut(): void {
    for (const socket of this.sockets) reset(socket);
    this.toTarget.stop();
    this.toClient.stop();
  }
}

const resets = new WeakSet<net.Socket>();

/**
 * Once: a reset in the tick of the end, also of the end that another reset has begun, fails with EINVAL
 * and leaves a handle that Node 20 waits for in a busy loop at its exit. One before the connection is
 * made waits for somebody who may never answer.
 */
function reset(socket: net.Socket): void {
  if (resets.has(socket)) return;
  resets.add(socket);
  if (socket.writableEnded || socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}

type Passenger = Buffer | 'end' | 'reset';

/** One direction of a connection: a queue of bytes, each with the time at which it came. */
class Pipe {
  private readonly source: net.Socket;
  private readonly sink: net.Socket;
  private readonly faults: Faults;
  private readonly isHeld: () => boolean;
  private readonly queue: { readonly passenger: Passenger; readonly cameMs: number }[] = [];
  private heldBytes = 0;
  private timer: NodeJS.Timeout | undefined;
  private onLost: (() => void) | undefined;

  constructor(source: net.Socket, sink: net.Socket, faults: Faults, isHeld: () => boolean) {
    this.source = source;
    this.sink = sink;
    this.faults = faults;
    this.isHeld = isHeld;
    source.on('data', (bytes: Buffer) => {
      this.take(bytes);
    });
    source.on('end', () => {
      this.take('end');
    });
    source.on('error', () => {
      this.take('reset');
    });
    sink.on('drain', () => {
      this.pump();
    });
  }

  get hasLost(): boolean {
    return this.onLost !== undefined;
  }

  /** From now on what comes is lost. */
  lose(onLost: () => void): void {
    this.onLost = onLost;
  }

  stop(): void {
    clearTimeout(this.timer);
    this.queue.length = 0;
  }

  pump(): void {
    clearTimeout(this.timer);
    while (!this.isHeld() && !this.sink.writableNeedDrain) {
      const head = this.queue[0];
      if (head === undefined) break;
      const waitMs = head.cameMs + this.faults.delayMs - performance.now();
      if (waitMs > 0) {
        this.timer = setTimeout(() => {
          this.pump();
        }, waitMs);
        break;
      }
      this.queue.shift();
      this.pass(head.passenger);
    }
    if (this.heldBytes > HELD_BYTES_MAX) this.source.pause();
    else this.source.resume();
  }

  private take(passenger: Passenger): void {
    if (this.onLost !== undefined) {
      this.onLost();
      return;
    }
    if (passenger instanceof Buffer) this.heldBytes += passenger.length;
    this.queue.push({ passenger, cameMs: performance.now() });
    this.pump();
  }

  private pass(passenger: Passenger): void {
    if (passenger === 'end') this.sink.end();
    else if (passenger === 'reset') reset(this.sink);
    else {
      this.heldBytes -= passenger.length;
      this.sink.write(passenger);
    }
  }
}
