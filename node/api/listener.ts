import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import type { LogPort } from './ports.ts';
import { networkOf } from './access/rate-limiter.ts';

/**
 * The socket of the REST face: HTTP, or HTTPS with files whose new content is taken over within a minute.
 * What a client may take without saying anything is bounded here: time for its headers and its body, their
 * size, connections in all and of one address.
 */
export interface ListenerDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly tls: TlsFiles | null;
  readonly connectionsMax: number;
  /** Of one address that is not loopback; Infinity where a proxy calls for all. */
  readonly connectionsPerAddressMax: number;
}

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5000,
  maxHeaderSize: 16 * 1024,
};
/** A body of which not a byte comes for so long is not waited for. */
const SILENT_BODY_MS = 30_000;
const HANDSHAKE_MS = 10_000;
const CERTIFICATES_MS = 60_000;

export class Listener {
  readonly server: Server;
  readonly #deps: ListenerDeps;
  readonly #connections = new Map<string, number>();
  /** The same server, where it speaks TLS. */
  readonly #tlsServer: TlsServer | null = null;
  #pem: { readonly cert: Buffer; readonly key: Buffer } | null = null;
  #cancelReload: () => void = () => undefined;

  /** Throws where a certificate cannot be read or used. */
  constructor(deps: ListenerDeps, listener: RequestListener) {
    this.#deps = deps;
    const onRequest: RequestListener = (request, response) => {
      const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
      if (length !== '0' || encoding !== undefined) {
        const { socket } = request;
        // Without a listener of its own, the server destroys a socket whose time is up.
        socket.setTimeout(SILENT_BODY_MS);
        request.once('end', () => socket.setTimeout(0));
      }
      listener(request, response);
    };
    if (deps.tls === null) this.server = createServer(LIMITS, onRequest);
    else {
      this.#pem = readPem(deps.tls);
      const options = { ...LIMITS, ...this.#pem, minVersion: 'TLSv1.2' as const };
      this.#tlsServer = createTlsServer({ ...options, handshakeTimeout: HANDSHAKE_MS }, onRequest);
      this.server = this.#tlsServer;
    }
    this.server.maxConnections = deps.connectionsMax;
    // Beyond its bound a server drops headers without a word, any of them; the door counts them.
    this.server.maxHeadersCount = 0;
    this.server.on('connection', (socket) => {
      this.#maybeKeep(socket);
    });
  }

  /** Throws the error of the system where the address cannot be listened on. */
  async start(): Promise<{ readonly port: number }> {
    const { host, port } = this.#deps;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, () => {
        this.server.off('error', reject);
        resolve();
      });
    });
    if (this.#pem !== null) this.#reloadLater();
    return { port: (this.server.address() as AddressInfo).port };
  }

  /** Takes no new connections; resolves when the last one is gone. */
  close(): Promise<void> {
    this.#cancelReload();
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
    this.server.closeIdleConnections();
    return closed;
  }

  #maybeKeep(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    if (isLoopback(address)) return;
    const network = networkOf(address);
    const count = this.#connections.get(network) ?? 0;
    if (count >= this.#deps.connectionsPerAddressMax) {
      socket.destroy();
      return;
    }
    this.#connections.set(network, count + 1);
    socket.once('close', () => {
      const left = (this.#connections.get(network) ?? 1) - 1;
      if (left > 0) this.#connections.set(network, left);
      else this.#connections.delete(network);
    });
  }

  #reloadLater(): void {
    this.#cancelReload = this.#deps.clock.after(CERTIFICATES_MS, () => {
      this.reload();
      this.#reloadLater();
    });
  }

  /** Takes over what the files of the certificate say now; keeps what it has where they are of no use. */
  reload(): void {
    const { tls, log } = this.#deps;
    if (tls === null || this.#pem === null) return;
    try {
      const pem = readPem(tls);
      if (pem.cert.equals(this.#pem.cert) && pem.key.equals(this.#pem.key)) return;
      this.#tlsServer?.setSecureContext({ ...pem, minVersion: 'TLSv1.2' });
      this.#pem = pem;
      log.info('The certificate of REST was replaced.');
    } catch (thrown) {
      const error = toError(thrown).message;
      log.error('The new certificate of REST cannot be used; the old one stays.', { error });
    }
  }
}

function readPem({ certFile, keyFile }: TlsFiles): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}
