import { findPorts } from '../../scripts/ports.ts';
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

const HOST = '127.0.0.1';

export async function createNodeProxies(databaseUrl: string): Promise<NodeProxies> {
  const server = new URL(databaseUrl);
  const [ports] = await findPorts({
    nodes: 1,
    httpHost: HOST,
    httpPort: 0,
    grpcHost: HOST,
    grpcPort: 0,
  });
  if (ports === undefined) throw new Error('there are no free ports');
  const database = await createTcpProxy({
    target: { host: server.hostname, port: Number(server.port === '' ? '5432' : server.port) },
  });
  const peer = await createTcpProxy({ target: { host: HOST, port: ports.grpc } });
  const seenUrl = new URL(server);
  seenUrl.host = `${database.host}:${String(database.port)}`;
  return {
    database,
    peer,
    databaseUrl: seenUrl.href,
    httpUrl: `http://${HOST}:${String(ports.http)}`,
    flags: [
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
