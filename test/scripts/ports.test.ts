import { expect } from 'chai';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { findPorts } from '../../scripts/ports.ts';

describe('findPorts', () => {
  const local = { httpHost: '127.0.0.1', grpcHost: '127.0.0.1' };

  it('gives each node the next port', async () => {
    const first = await freeBlock();
    const ports = await findPorts({ ...local, nodes: 2, httpPort: first, grpcPort: first + 2 });
    expect(ports).to.deep.equal([
      { http: first, grpc: first + 2 },
      { http: first + 1, grpc: first + 3 },
    ]);
  });

  it('finds different free ports for 0', async () => {
    const ports = await findPorts({ ...local, nodes: 50, httpPort: 0, grpcPort: 0 });
    expect(new Set(ports.flatMap((pair) => [pair.http, pair.grpc])).size).to.equal(100);
  });

  it('names every busy port, whose it would be, and the flag that moves it', async () => {
    const squatter = await listen(0);
    try {
      const { port } = squatter.address() as AddressInfo;
      const refused = await findPorts({ ...local, nodes: 1, httpPort: port, grpcPort: port }).catch(
        (error: unknown) => error,
      );
      expect(refused)
        .to.be.an('error')
        .with.property('message')
        .that.equals(
          [
            `port ${String(port)} (HTTP of node-1) is in use: choose others with --http-port`,
            `port ${String(port)} (gRPC of node-1) is in use: choose others with --grpc-port`,
          ].join('\n'),
        );
    } finally {
      squatter.close();
    }
  });

  it('refuses ports beyond the last one', async () => {
    const wanted = { ...local, nodes: 2, httpPort: 65_535, grpcPort: 0 };
    const refused = await findPorts(wanted).catch((error: unknown) => error);
    expect(refused).to.be.an('error').with.property('message').that.includes('65536');
  });
});

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** The first of four ports in a row that are free. */
async function freeBlock(): Promise<number> {
  for (;;) {
    const servers = [await listen(0)];
    const { port } = servers[0]?.address() as AddressInfo;
    for (const next of [1, 2, 3]) {
      const server = await listen(port + next).catch(() => undefined);
      if (server !== undefined) servers.push(server);
    }
    await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
    if (servers.length === 4) return port;
  }
}
