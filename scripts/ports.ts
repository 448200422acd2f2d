import { createServer } from 'node:net';

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

/**
 * The ports of all nodes, each seen free a moment ago; throws one error that names every busy one and
 * the flag that moves it, before anything is started.
 */
export async function findPorts(wanted: PortsWanted): Promise<readonly Ports[]> {
  const faults: string[] = [];
  const http = await findRange('HTTP', '--http-port', wanted.httpHost, wanted.httpPort);
  const grpc = await findRange('gRPC', '--grpc-port', wanted.grpcHost, wanted.grpcPort);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return http.map((port, i) => ({ http: port, grpc: grpc[i] ?? 0 }));

  async function findRange(
    what: string,
    flag: string,
    host: string,
    first: number,
  ): Promise<readonly number[]> {
    const ports: number[] = [];
    for (let i = 0; i < wanted.nodes; i += 1) {
      const port = first === 0 ? 0 : first + i;
      const name = `port ${String(port)} (${what} of node-${String(i + 1)})`;
      try {
        if (port > PORT_MAX) throw new Error(`is above ${String(PORT_MAX)}`);
        ports.push(await freePort(host, port, ports));
      } catch (error) {
        faults.push(`${name} ${reasonOf(error)}: choose others with ${flag}`);
      }
    }
    return ports;
  }
}

/** `port` itself when it is free, or any free one that is not in `taken`, for 0. */
async function freePort(host: string, port: number, taken: readonly number[]): Promise<number> {
  for (;;) {
    const found = await listenOnce(host, port);
    if (port !== 0 || !taken.includes(found)) return found;
  }
}

function listenOnce(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  });
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return 'is in use';
  if (code === 'EACCES') return 'is not allowed for this user';
  return error instanceof Error ? error.message : String(error);
}
