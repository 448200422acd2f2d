import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { systemRng } from '../node/base/clock.ts';

/** The ports of one node to come. */
export interface Ports {
  readonly http: number;
  readonly grpc: number;
}

export interface PortsWanted {
  readonly nodes: number;
  readonly httpHost: string;
  /** That of the first node, the others follow; 0 for any free ones. */
  readonly httpPort: number;
  readonly grpcHost: string;
  readonly grpcPort: number;
}

const PORT_MAX = 65_535;
/** Any free port is looked for below those that systems give to outgoing connections. */
const ANY_FROM = 16_384;
const ANY_COUNT = 16_384;
const ANY_TRIES = 200;

/**
 * The ports of all nodes, each seen free a moment ago; throws one error that names every busy one
 * and the flag that moves it, before anything is started.
 */
export async function findPorts(wanted: PortsWanted): Promise<readonly Ports[]> {
  // All are held until all are found, so that none is found twice.
  const held: Server[] = [];
  const faults: string[] = [];
  const hold = async (server: Promise<Server>): Promise<number> => {
    held.push(await server);
    return ((await server).address() as AddressInfo).port;
  };
  const find = async (what: string, host: string, first: number, i: number): Promise<number> => {
    if (first === 0) return hold(listenAnywhere(host));
    const port = first + i;
    try {
      return await hold(listen(host, port));
    } catch (error) {
      const flag = `--${what.toLowerCase()}-port`;
      const name = `port ${String(port)} (${what} of node-${String(i + 1)})`;
      faults.push(`${name} ${reasonOf(error)}: choose others with ${flag}`);
      return 0;
    }
  };
  const ports: Ports[] = [];
  try {
    for (let i = 0; i < wanted.nodes; i += 1) {
      const http = await find('HTTP', wanted.httpHost, wanted.httpPort, i);
      const grpc = await find('gRPC', wanted.grpcHost, wanted.grpcPort, i);
      ports.push({ http, grpc });
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return ports;
}

async function listenAnywhere(host: string): Promise<Server> {
  let last: unknown;
  for (let tries = 0; tries < ANY_TRIES; tries += 1) {
    const port = ANY_FROM + Math.floor(systemRng.random() * ANY_COUNT);
    try {
      return await listen(host, port);
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`no free port on ${host}`, { cause: last });
}

function listen(host: string, port: number): Promise<Server> {
  if (port > PORT_MAX) return Promise.reject(new Error(`is above ${String(PORT_MAX)}`));
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return 'is in use';
  if (code === 'EACCES') return 'is not allowed for this user';
  return error instanceof Error ? error.message : String(error);
}
