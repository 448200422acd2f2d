// Goal: the faults that other tests rely on are what they claim to be.
// Method: an echo server behind the proxy, one client in front of it; "silence" is shown by what
// arrives after it ends, so that nothing waits for a time to pass.
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect } from 'chai';
import { until } from '../cluster/setup.ts';
import { createTcpProxy } from './tcp-proxy.ts';
import type { TcpProxy } from './tcp-proxy.ts';

describe('the TCP proxy for tests', () => {
  let echo: net.Server;
  let received: string;
  let onReceived: () => void;
  let proxy: TcpProxy;
  const clients: net.Socket[] = [];

  beforeEach(async () => {
    received = '';
    onReceived = () => undefined;
    echo = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => {
        received += bytes.toString();
        onReceived();
        socket.write(bytes);
      });
    });
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo;
    proxy = await createTcpProxy({ target: { host: '127.0.0.1', port } });
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await proxy.close();
    echo.close();
  });

  const connect = async (): Promise<net.Socket> => {
    const client = net.connect(proxy.port, proxy.host);
    client.on('error', () => undefined);
    clients.push(client);
    await once(client, 'connect');
    return client;
  };

  const nextText = async (client: net.Socket): Promise<string> => {
    const [bytes] = (await once(client, 'data')) as [Buffer];
    return bytes.toString();
  };

  const targetReceives = async (text: string): Promise<void> => {
    await new Promise<void>((resolve) => {
      onReceived = () => {
        if (received.includes(text)) resolve();
      };
      onReceived();
    });
  };

  /** Round trips beside the proxy leave it all the time it needs to let something through. */
  const passTime = async (): Promise<void> => {
    const { port } = echo.address() as AddressInfo;
    const direct = net.connect(port, '127.0.0.1');
    clients.push(direct);
    for (const word of [' one', ' two', ' three']) {
      direct.write(word);
      await nextText(direct);
    }
  };

  it('passes bytes and ends both ways', async () => {
    const client = await connect();
    client.end('hello');
    expect(await nextText(client)).to.equal('hello');
    await once(client, 'end');
  });

  it('holds what goes to the client while that direction is paused', async () => {
    const client = await connect();
    proxy.pause('to-client');
    const answer = nextText(client);
    client.write('one');
    await targetReceives('one');
    await passTime();
    expect(client.bytesRead).to.equal(0);
    proxy.resume();
    expect(await answer).to.equal('one');
  });

  it('holds what goes to the target while that direction is paused', async () => {
    const client = await connect();
    client.write('before');
    await nextText(client);
    proxy.pause('to-target');
    client.write('held');
    await passTime();
    expect(received).to.equal('before one two three');
    proxy.resume();
    expect(await nextText(client)).to.equal('held');
  });

  // Seen to fail with a silence of all connections, and with one that heal does not end.
  it('silences the connections that began with a name, and no other, until it heals', async () => {
    const [named, other] = [await connect(), await connect()];
    named.write('name/a');
    other.write('name/b');
    await Promise.all([nextText(named), nextText(other)]);
    expect(proxy.silence('name/a')).to.equal(1);
    let heard = '';
    named.on('data', (bytes: Buffer) => (heard += bytes.toString()));
    named.write(' held');
    other.write(' passes');
    await targetReceives(' passes');
    await passTime();
    expect(received).to.not.include(' held');
    proxy.heal();
    await targetReceives(' held');
    await until(() => Promise.resolve(heard === ' held' ? true : undefined), 'the echo');
  });

  it('delays without changing the order', async () => {
    const client = await connect();
    proxy.delay(20);
    client.write('a');
    proxy.delay(0);
    client.write('b');
    let text = '';
    while (text.length < 2) text += await nextText(client);
    expect(text).to.equal('ab');
  });

  it('holds what is delayed', async () => {
    const client = await connect();
    proxy.delay(60_000);
    client.write('held');
    await passTime();
    expect(received).to.equal(' one two three');
  });

  it('resets every connection and welcomes the next', async () => {
    const client = await connect();
    client.write('x');
    await nextText(client);
    proxy.cutAll();
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNRESET');
    const next = await connect();
    next.write('y');
    expect(await nextText(next)).to.equal('y');
  });

  it('loses the answer to a text that it let through, and all after it', async () => {
    const client = await connect();
    const lost = proxy.dropReplies('COMMIT');
    client.write('insert');
    expect(await nextText(client)).to.equal('insert');
    client.write('COM');
    expect(await nextText(client)).to.equal('COM');
    const bytesBefore = client.bytesRead;
    client.write('MIT');
    await lost;
    expect(received).to.equal('insertCOMMIT');
    await passTime();
    expect(client.bytesRead).to.equal(bytesBefore);
    expect(client.destroyed).to.equal(false);
  });

  it('heals: what was held arrives, a connection that lost bytes is reset, no trap stays', async () => {
    const deaf = await connect();
    const lost = proxy.dropReplies('one');
    deaf.write('one');
    await lost;
    void proxy.dropReplies('two');
    proxy.delay(60_000);
    proxy.pause();
    const held = await connect();
    held.write('two');
    const reset = new Promise((resolve) => deaf.once('close', resolve));
    proxy.heal();
    await reset;
    expect(await nextText(held)).to.equal('two');
  });
});
