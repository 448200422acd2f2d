// Goal: standard probes (grpc_health_probe, Kubernetes) get the standard answers.
// Method: a plain gRPC client of the health service against a real server.
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect } from 'chai';
import { protoPath } from 'grpc-health-check';
import { setup } from './setup.ts';
import type { Setup } from './setup.ts';

interface HealthClient extends Client {
  check(
    request: { service: string },
    options: { deadline: number },
    callback: (error: ServiceError | null, answer?: { status: string }) => void,
  ): void;
  watch(request: { service: string }): NodeJS.ReadableStream;
}

describe('the health service', () => {
  let world: Setup;
  let client: HealthClient;

  beforeEach(async () => {
    world = await setup();
    const definition = loadSync(protoPath, { enums: String, keepCase: true });
    const loaded = loadPackageDefinition(definition) as unknown as {
      grpc: { health: { v1: { Health: new (...args: unknown[]) => HealthClient } } };
    };
    const address = `127.0.0.1:${String(world.port)}`;
    client = new loaded.grpc.health.v1.Health(address, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    await world.tearDown();
  });

  const check = async (service: string): Promise<string> =>
    new Promise((resolve) => {
      client.check({ service }, { deadline: Date.now() + 5000 }, (error, answer) => {
        resolve(answer?.status ?? status[error?.code ?? status.UNKNOWN]);
      });
    });

  it('answers SERVING for the process and for the peer service', async () => {
    expect(await check('')).to.equal('SERVING');
    expect(await check('skein.v1.Peer')).to.equal('SERVING');
  });

  it('answers NOT_SERVING when the node says so', async () => {
    world.server.setServing(false);
    expect(await check('')).to.equal('NOT_SERVING');
    expect(await check('skein.v1.Peer')).to.equal('NOT_SERVING');
  });

  it('knows no other service', async () => {
    expect(await check('skein.v1.Nobody')).to.equal('NOT_FOUND');
  });

  it('does not keep a server from stopping while somebody watches it', async () => {
    const watch = client.watch({ service: '' });
    const ended = new Promise((resolve) => watch.once('error', resolve));
    await new Promise((resolve) => watch.once('data', resolve));
    await world.server.stop(20);
    await ended;
  });
});
