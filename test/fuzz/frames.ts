import { randomBytes } from 'node:crypto';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';

/**
 * Malformed frames of the WebSocket and of gRPC: noise, lengths that lie, opcodes that do not exist, broken
 * messages inside of sound frames. Each connection sends a few and is left to the node to end, or ended.
 */
const FRAMES_A_CONNECTION = 20;
const CONNECTIONS_AT_ONCE = 16;
const ANSWER_MS = 2000;

/** Sends about `count` frames to `/ws`; resolves when all connections have ended. */
export async function sendWebSocketFrames(
  url: string,
  count: number,
  random: () => number,
): Promise<void> {
  const { hostname, port } = new URL(url);
  await atOnce(Math.ceil(count / FRAMES_A_CONNECTION), async () => {
    const frames = Array.from({ length: FRAMES_A_CONNECTION }, () => webSocketFrame(random));
    const upgrade =
      `GET /ws HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;
    await speak(hostname, Number(port), Buffer.from(upgrade), frames);
  });
}

async function atOnce(times: number, act: () => Promise<void>): Promise<void> {
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await act();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, worker));
}

function webSocketFrame(random: () => number): Buffer {
  const kind = Math.floor(random() * 6);
  if (kind === 0) return randomBytes(1 + Math.floor(random() * 200));
  const texts = [
    '{"type":"subscribe"}',
    '{"type":"subscribe","sub":"a","to":{"view":"nothing"}}',
    '{"type":"subscribe","sub":"a","to":{"view":"task","id":7}}',
    '{"type":"subscribe","sub":"a","to":{"view":"overview"},"resume":{"epoch":1,"seq":"x"}}',
    '{"type":"unsubscribe","sub":[]}',
    '['.repeat(5000),
    'null',
    '{"type":{}}',
    '',
  ];
  const payload = Buffer.from(texts[Math.floor(random() * texts.length)] ?? '');
  const opcode = kind === 1 ? Math.floor(random() * 256) : 0x81;
  const isMasked = kind !== 2;
  const claimed = kind === 3 ? 0xffffff : payload.length;
  const length =
    claimed < 126
      ? Buffer.from([claimed])
      : claimed < 65_536
        ? Buffer.from([126, claimed >> 8, claimed & 255])
        : Buffer.from([
            127,
            0,
            0,
            0,
            0,
            (claimed >>> 24) & 255,
            (claimed >> 16) & 255,
            (claimed >> 8) & 255,
            claimed & 255,
          ]);
  if (isMasked) length[0] = (length[0] ?? 0) | 0x80;
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([
    Buffer.from([opcode]),
    length,
    isMasked ? Buffer.alloc(4) : Buffer.alloc(0),
    payload,
  ]);
}

/** Raw HTTP/2 noise in one half of the connections, broken messages in sound streams in the other. */
export async function sendGrpcFrames(
  address: string,
  count: number,
  random: () => number,
): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await atOnce(Math.ceil(count / FRAMES_A_CONNECTION / 2), async () => {
    const frames = Array.from({ length: FRAMES_A_CONNECTION }, () => http2Frame(random));
    await speak(host, Number(port), preface, [Buffer.from('000000040000000000', 'hex'), ...frames]);
    await streams(address, FRAMES_A_CONNECTION, random);
  });
}

function http2Frame(random: () => number): Buffer {
  const payload = randomBytes(Math.floor(random() * 64));
  const length = random() < 0.2 ? Math.floor(random() * 0xffffff) : payload.length;
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = Math.floor(random() * 14);
  head[4] = Math.floor(random() * 256);
  head.writeUInt32BE(Math.floor(random() * 8), 5);
  return Buffer.concat([head, payload]);
}

async function streams(address: string, count: number, random: () => number): Promise<void> {
  const session = connectHttp2(`http://${address}`);
  session.on('error', () => undefined);
  const done = Array.from(
    { length: count },
    () =>
      new Promise<void>((resolve) => {
        const stream = session.request({
          [constants.HTTP2_HEADER_METHOD]: 'POST',
          [constants.HTTP2_HEADER_PATH]:
            random() < 0.8 ? '/skein.v1.Peer/Link' : '/skein.v1.Peer/None',
          'content-type': random() < 0.9 ? 'application/grpc' : 'text/plain',
          te: 'trailers',
        });
        stream.on('error', () => undefined);
        stream.once('close', resolve);
        stream.resume();
        const body = randomBytes(Math.floor(random() * 100));
        const head = Buffer.alloc(5);
        head[0] = random() < 0.8 ? 0 : 1;
        head.writeUInt32BE(random() < 0.7 ? body.length : Math.floor(random() * 2 ** 32), 1);
        stream.end(Buffer.concat([head, body]));
        setTimeout(() => {
          stream.close(constants.NGHTTP2_CANCEL);
          resolve();
        }, ANSWER_MS).unref();
      }),
  );
  await Promise.all(done);
  session.destroy();
}

/** Resolves when the other side has ended the connection, or all is sent and a moment has passed. */
function speak(
  host: string,
  port: number,
  greeting: Buffer,
  frames: readonly Buffer[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host);
    let isUp = false;
    const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.once('connect', () => {
      isUp = true;
      socket.write(greeting);
    });
    socket.once('data', () => {
      for (const frame of frames) socket.write(frame);
      socket.end();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      if (isUp) resolve();
      else reject(new Error(`nobody listens on ${host}:${String(port)} any more`));
    });
    socket.resume();
  });
}
