import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { FatalError, type Handler, type HandlerContext } from '../../node/core/handler.ts';

/** A server of HTTP on this machine that remembers what it was asked, and who has hung up. */
export class TestServer {
  readonly asked: {
    readonly method: string;
    readonly url: string;
    readonly headers: http.IncomingHttpHeaders;
    readonly body: string;
  }[] = [];
  /** Connections made, in their order. */
  connections = 0;
  port = 0;
  private readonly server: http.Server;
  private answer: http.RequestListener = (_request, response) => response.end();

  private constructor() {
    this.server = http.createServer((request, response) => {
      let body = '';
      request.on('data', (bytes: Buffer) => {
        body += bytes.toString();
      });
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        this.asked.push({ method, url, headers, body });
        this.answer(request, response);
      });
    });
    this.server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async open(): Promise<TestServer> {
    const opened = new TestServer();
    await new Promise<void>((resolve) => opened.server.listen(0, '127.0.0.1', resolve));
    opened.port = (opened.server.address() as AddressInfo).port;
    return opened;
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.port)}`;
  }

  answers(answer: http.RequestListener): void {
    this.answer = answer;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export interface RunOptions {
  readonly id?: string;
  readonly signal?: AbortSignal;
  readonly attempt?: number;
  readonly fencingToken?: number;
}

/** What a handler does with a payload, as a value. */
export async function outcomeOf(
  handler: Handler,
  payload: unknown,
  options: RunOptions = {},
): Promise<Outcome> {
  const { id = 'task-1', signal = new AbortController().signal, attempt = 1 } = options;
  const context: Partial<HandlerContext> = {
    ...{ signal, attempt, fencingToken: options.fencingToken ?? 1 },
    sleep: () => Promise.reject(new Error('nothing here sleeps')),
  };
  try {
    const task = { id, type: handler.type, payload, durationMs: null };
    return { result: await handler.run(task, Object.create(context) as HandlerContext) };
  } catch (thrown) {
    const { message } = thrown as Error;
    const { code } = thrown as { readonly code?: string };
    const { retryAfterMs } = thrown as { readonly retryAfterMs?: number };
    return { code, message, isFatal: thrown instanceof FatalError, retryAfterMs };
  }
}

export interface Outcome {
  readonly result?: unknown;
  readonly code?: string | undefined;
  readonly message?: string;
  readonly isFatal?: boolean;
  readonly retryAfterMs?: number | undefined;
}
