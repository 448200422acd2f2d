import { findPorts } from '../../scripts/ports.ts';
import type { Ports } from '../../scripts/ports.ts';
import { createTcpProxy } from './tcp-proxy.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/**
 * The place of one node among proxies: one between it and PostgreSQL, one between the address that it
 * advertises to its peers and the port on which it listens. They outlive the process of the node, so
 * that it comes back to the same place under the same name.
 */
export interface NodeProxies {
  /** All of this node's connections to PostgreSQL. */
  readonly database: TcpProxy;
  /** The streams of all followers to this node, when it leads. */
  readonly peer: TcpProxy;
  /** What the node sees PostgreSQL by. */
  readonly databaseUrl: string;
  readonly httpUrl: string;
  /** For the command line of the node. */
  readonly flags: readonly string[];
  /** Ends every fault of the two. */
  heal(): void;
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';

/** Where a node lives that shares no network with the others. */
export interface Site {
  /** Its address there. */
  readonly host: string;
  /** What runs a program there: it must become that program, so that the process is the node. */
  readonly command: readonly string[];
}

/** `proxyHost` is where the proxies listen: it must be reached from each node's site. */
export async function createNodeProxies(
  databaseUrl: string,
  proxyHost = LOOPBACK,
  site?: Site,
): Promise<NodeProxies> {
  const server = new URL(databaseUrl);
  const host = site?.host ?? LOOPBACK;
  const ports = site === undefined ? await findTwoPorts() : PORTS_OF_A_SITE;
  const database = await createTcpProxy({
    target: { host: server.hostname, port: Number(server.port === '' ? '5432' : server.port) },
    host: proxyHost,
  });
  const peer = await createTcpProxy({ target: { host, port: ports.grpc }, host: proxyHost });
  const seenUrl = new URL(server);
  seenUrl.host = `${database.host}:${String(database.port)}`;
  return {
    database,
    peer,
    databaseUrl: seenUrl.href,
    httpUrl: `http://${host}:${String(ports.http)}`,
    flags: [
      ...['--http-host', host, '--grpc-host', host],
      // The network of a site is its own: nobody else is there.
      ...(site === undefined ? [] : ['--i-know-this-is-insecure']),
      ...['--http-port', String(ports.http), '--grpc-port', String(ports.grpc)],
      ...['--advertise-grpc-address', `${peer.host}:${String(peer.port)}`],
    ],
    heal: () => {
      database.heal();
      peer.heal();
    },
    close: async () => {
      await Promise.all([database.close(), peer.close()]);
    },
  };
}

/** Nobody else is there to take them. */
const PORTS_OF_A_SITE: Ports = { http: 18_080, grpc: 19_090 };

async function findTwoPorts(): Promise<Ports> {
  const hosts = { httpHost: LOOPBACK, grpcHost: LOOPBACK };
  const [ports] = await findPorts({ ...hosts, nodes: 1, httpPort: 0, grpcPort: 0 });
  if (ports === undefined) throw new Error('there are no free ports');
  return ports;
}
