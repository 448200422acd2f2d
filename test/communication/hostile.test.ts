// Goal: bytes that no node of ours would send end their own stream and nothing else.
// Method: a raw gRPC client that writes bytes unserialised, beside an honest link that must live on.
import { Client, credentials, status } from '@grpc/grpc-js';
import { expect } from 'chai';
import fc from 'fast-check';
import { setup } from './setup.ts';
import type { Accepted, Dialled, Setup } from './setup.ts';

describe('a peer server facing hostile bytes', () => {
  let world: Setup;
  let raw: Client;
  let honest: Dialled;
  let leader: Accepted;

  beforeEach(async () => {
    world = await setup();
    raw = new Client(`127.0.0.1:${String(world.port)}`, credentials.createInsecure());
    honest = world.dial();
    leader = await world.accepted.first();
  });
  afterEach(async () => {
    raw.close();
    await world.tearDown();
  });

  const sendRaw = async (bytes: Buffer): Promise<status> => {
    const same = (value: Buffer): Buffer => value;
    const stream = raw.makeBidiStreamRequest('/skein.v1.Peer/Link', same, same);
    stream.on('error', () => undefined);
    stream.on('data', () => undefined);
    const ended = new Promise<status>((resolve) => {
      stream.on('status', ({ code }) => {
        resolve(code);
      });
    });
    stream.end(bytes);
    return ended;
  };

  const honestLinkLives = async (): Promise<void> => {
    leader.messages.all.length = 0;
    honest.link.send({ look: true });
    expect(await leader.messages.first()).to.include({ look: true });
  };

  it('ends each stream of random bytes and serves the others', async () => {
    const check = async (bytes: Uint8Array): Promise<void> => {
      // Some random bytes are a message without a hello, the rest are none at all.
      const code = await sendRaw(Buffer.from(bytes));
      expect(code).to.be.oneOf([status.INTERNAL, status.INVALID_ARGUMENT]);
    };
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 300 });
    expect(world.accepted.all).to.have.length(1);
    await honestLinkLives();
  });

  it('ends a stream whose frame is above 16 MiB', async () => {
    const code = await sendRaw(Buffer.alloc(16 * 1024 * 1024 + 1));
    expect(code).to.equal(status.RESOURCE_EXHAUSTED);
    await honestLinkLives();
  });
});
