import { createServer, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Client } from 'pg';

/**
 * A pooler in transaction mode: clients borrow a backend for one transaction each. It speaks just
 * enough of the protocol to lend and take back, and lets everybody in.
 *
 * `lends` says which of the free backends a client gets: the one given back last, as pgbouncer
 * does, so that a lone client sees the same one again and again; or the one given back first.
 */
export interface FakePooler {
  readonly url: string;
  close(): Promise<void>;
}

export async function createFakePooler(
  databaseUrl: string,
  lends: 'last-returned' | 'first-returned',
): Promise<FakePooler> {
  const free: Backend[] = [];
  for (let made = 0; made < 3; made += 1) free.push(await Backend.open(databaseUrl));
  const backends = [...free];
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    let lent: Backend | undefined;
    let isWelcome = false;
    client.on('error', () => client.destroy());
    client.on('data', (bytes) => {
      if (!isWelcome) {
        isWelcome = true;
        client.write(welcome());
        return;
      }
      lent ??= lends === 'last-returned' ? free.pop() : free.shift();
      lent?.lend(bytes, client, () => {
        if (lent !== undefined) free.push(lent);
        lent = undefined;
      });
    });
    client.on('close', () => {
      // A client that left within a transaction: its backend is not used again.
      lent?.close();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    close: async () => {
      for (const client of clients) client.destroy();
      for (const backend of backends) backend.close();
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    },
  };
}

/** A connection to PostgreSQL whose socket was taken over once the client had logged in. */
class Backend {
  readonly #socket: Socket;
  #client: Socket | undefined;
  #onReturned: () => void = () => undefined;
  #unread = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.removeAllListeners('data');
    socket.on('data', (bytes) => {
      this.#client?.write(bytes);
      this.#unread = Buffer.concat([this.#unread, bytes]);
      this.#readMessages();
    });
  }

  static async open(databaseUrl: string): Promise<Backend> {
    const socket = new Socket();
    const client = new Client({ connectionString: databaseUrl, stream: () => socket });
    client.on('error', () => undefined);
    await client.connect();
    return new Backend(socket);
  }

  lend(bytes: Buffer, client: Socket, onReturned: () => void): void {
    this.#client = client;
    this.#onReturned = onReturned;
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The loan ends where the server is ready for a query outside any transaction: `Z`, then `I`. */
  #readMessages(): void {
    while (this.#unread.length >= 5) {
      const length = 1 + this.#unread.readInt32BE(1);
      if (this.#unread.length < length) return;
      const message = this.#unread.subarray(0, length);
      this.#unread = this.#unread.subarray(length);
      if (message.toString('latin1', 0, 1) !== 'Z') continue;
      if (message.toString('latin1', 5, 6) === 'I') this.#onReturned();
    }
  }
}

/** Logged in, a key for cancelling that leads nowhere, ready. */
function welcome(): Buffer {
  const authenticated = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
  const key = Buffer.from([0x4b, 0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 7]);
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  return Buffer.concat([authenticated, key, ready]);
}
