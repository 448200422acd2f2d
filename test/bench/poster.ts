import { connect } from 'node:net';
import type { Socket } from 'node:net';

/**
 * One connection that posts, one request at a time. It shares the machine with what it measures, so it
 * does nothing else: requests are bytes made beforehand, and of an answer it reads the status and the end.
 */
const ANSWER_MS = 60_000;
const BATCH = 1000;
const HEAD_END = '\r\n\r\n';

export class Poster {
  private readonly socket: Socket;
  private received = '';
  private waiting:
    | { readonly resolve: (status: number) => void; readonly reject: (error: Error) => void }
    | undefined;

  static async connect(url: string): Promise<Poster> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Poster(socket);
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('a node did not answer')));
    socket.on('data', (chunk: string) => {
      this.received += chunk;
      this.maybeAnswer();
    });
    socket.on('error', (error) => {
      this.fail(error);
    });
    socket.on('close', () => {
      this.fail(new Error('a node closed the connection'));
    });
  }

  /** The status of the answer. */
  post(request: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private maybeAnswer(): void {
    const headEnd = this.received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.received.slice(0, headEnd);
    const length = /^content-length: (\d+)$/im.exec(head)?.[1];
    if (length === undefined) {
      this.fail(new Error('an answer without its length'));
      return;
    }
    const end = headEnd + HEAD_END.length + Number(length);
    if (this.received.length < end) return;
    this.received = this.received.slice(end);
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.resolve(Number(head.split(' ', 2)[1]));
  }

  private fail(error: Error): void {
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.reject(error);
  }
}

/** A request to be sent as it is. */
export function requestOf(path: string, body: unknown): Uint8Array {
  const text = Buffer.from(JSON.stringify(body));
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: localhost',
    'content-type: application/json',
    `content-length: ${String(text.length)}`,
  ].join('\r\n');
  return Buffer.concat([Buffer.from(`${head}${HEAD_END}`), text]);
}

/** Requests of a thousand tasks each. */
export function batchesOf(tasks: readonly unknown[]): readonly Uint8Array[] {
  const count = Math.ceil(tasks.length / BATCH);
  return Array.from({ length: count }, (_, at) =>
    requestOf('/tasks/batch', tasks.slice(at * BATCH, (at + 1) * BATCH)),
  );
}

/**
 * All of them, over so many connections spread over the nodes, each posting the next as soon as its last
 * is answered. Throws where one is not answered with 201.
 */
export async function postAll(
  urls: readonly string[],
  connections: number,
  requests: readonly Uint8Array[],
): Promise<void> {
  const places = Array.from({ length: connections }, (_, at) => urls[at % urls.length] ?? '');
  const posters = await Promise.all(places.map((url) => Poster.connect(url)));
  let next = 0;
  const postOn = async (poster: Poster): Promise<void> => {
    for (let at = next++; at < requests.length; at = next++) {
      const status = await poster.post(requests[at] ?? new Uint8Array());
      if (status !== 201) throw new Error(`a submit was answered ${String(status)}`);
    }
  };
  try {
    await Promise.all(posters.map(postOn));
  } finally {
    for (const poster of posters) poster.close();
  }
}
