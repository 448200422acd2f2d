import { WebSocket } from 'ws';
import type { Clock } from '../base/clock.ts';
import { Waker } from '../base/waker.ts';
import { aborted, ClientError } from './client-error.ts';

/**
 * A subscription by the live protocol (deploy/live.md). One line to one node; when it breaks or falls
 * silent, the next node is tried: those that the caller named, and those that the last one said live. What
 * was missed meanwhile comes as one change, or as the whole view.
 *
 *   connect ─▶ hello ─▶ subscribe (resume) ─▶ snapshot, delta, delta … ─▶ broken ─▶ connect to the next
 *
 * What it does not promise: that the caller sees every state in between. Who is slow gets the latest.
 */
export type LiveTopic =
  | { readonly view: 'overview' | 'workflows' | 'nodes' | 'events' }
  | {
      readonly view: 'tasks';
      readonly status?: string;
      readonly type?: string;
      readonly workflow?: string;
      readonly tag?: string;
      readonly limit?: number;
    }
  | { readonly view: 'task' | 'workflow'; readonly id: string };

export type LiveRow = Readonly<Record<string, unknown>> & { readonly id: string };

export interface LiveView {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly rows: readonly LiveRow[];
  /** Of the node that said so. */
  readonly url: string;
}

export interface LiveDeps {
  readonly clock: Clock;
  readonly urls: readonly string[];
  /** Who asks. */
  readonly headers: Readonly<Record<string, string>>;
  /** No node may be reachable for so long, then the subscription fails. */
  readonly outageMs: number;
}

const CONNECT_MS = 5000;
const PAUSE_MS = 250;
/** A line that says nothing for three beats is dead, whatever TCP thinks. */
const BEATS_MISSED_MAX = 3;
const BEAT_MS = 5000;
const FRAME_BYTES_MAX = 64 * 1024 * 1024;

interface Message {
  readonly type: string;
  readonly seq?: number;
  readonly epoch?: string;
  readonly peers?: readonly string[];
  readonly beat_ms?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly dropped?: readonly string[];
  readonly rows?: readonly LiveRow[];
  readonly order?: readonly string[];
  readonly fault?: { readonly code: string; readonly detail: string };
}

/** Throws a ClientError where no node can be reached, the view does not exist, or the caller aborts. */
export async function* watchView(
  deps: LiveDeps,
  to: LiveTopic,
  signal?: AbortSignal,
): AsyncGenerator<LiveView, void, undefined> {
  const line = new Line(deps, to);
  const onAbort = (): void => {
    line.end(aborted(signal));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  line.connect();
  try {
    for (;;) yield await line.next();
  } finally {
    signal?.removeEventListener('abort', onAbort);
    line.end(null);
  }
}

class Line {
  private readonly deps: LiveDeps;
  private readonly to: LiveTopic;
  private readonly waker: Waker;
  private peers: readonly string[] = [];
  private tries = 0;
  private heardMs: number;
  private view: LiveView | null = null;
  private seq = 0;
  private epoch = '';
  private hasNews = false;
  private failure: ClientError | null = null;
  private readonly ended = new AbortController();
  private socket: WebSocket | null = null;
  private cancelTimer: () => void = () => undefined;

  constructor(deps: LiveDeps, to: LiveTopic) {
    this.deps = deps;
    this.to = to;
    this.waker = new Waker(deps.clock);
    this.heardMs = deps.clock.monotonicMs();
  }

  /** The view, when it is another than the last. */
  async next(): Promise<LiveView> {
    for (;;) {
      if (this.hasNews && this.view !== null) {
        this.hasNews = false;
        return this.view;
      }
      if (this.failure !== null) throw this.failure;
      await this.waker.wait(CONNECT_MS, this.ended.signal);
    }
  }

  end(failure: ClientError | null): void {
    this.ended.abort();
    this.failure ??= failure;
    this.cancelTimer();
    this.socket?.terminate();
    this.waker.wake();
  }

  private isDowngrade(peer: string): boolean {
    const isSecret = this.deps.headers['authorization'] !== undefined;
    return isSecret && !peer.startsWith('https:') && this.deps.urls.some(isTls);
  }

  connect(): void {
    if (this.ended.signal.aborted) return;
    const places = [...new Set([...this.deps.urls, ...this.peers])];
    const url = places[this.tries % places.length] ?? '';
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, {
      handshakeTimeout: CONNECT_MS,
      headers: this.deps.headers,
      maxPayload: FRAME_BYTES_MAX,
    });
    this.socket = socket;
    let beatMs = BEAT_MS;
    let cause: Error | null = null;
    socket.on('message', (data: Buffer) => {
      this.heard(BEATS_MISSED_MAX * beatMs, socket);
      const message = parsed(data);
      if (message?.type === 'hello') beatMs = message.beat_ms ?? BEAT_MS;
      if (message !== null) this.take(message, url, socket);
    });
    socket.on('error', (error) => {
      cause = error;
    });
    socket.once('close', () => {
      if (this.socket === socket) this.again(url, cause);
    });
    this.heard(2 * CONNECT_MS, socket, false);
  }

  /** Another word must come within `quietMs`, else the line is cut. */
  private heard(quietMs: number, socket: WebSocket, isWord = true): void {
    this.cancelTimer();
    if (isWord) this.heardMs = this.deps.clock.monotonicMs();
    this.cancelTimer = this.deps.clock.after(quietMs, () => {
      socket.terminate();
    });
  }

  private again(url: string, cause: Error | null): void {
    this.cancelTimer();
    if (this.ended.signal.aborted) return;
    this.socket = null;
    this.tries += 1;
    const { clock, outageMs } = this.deps;
    if (clock.monotonicMs() - this.heardMs > outageMs) {
      const why = cause === null ? '' : ` (${cause.message})`;
      this.end(new ClientError('unreachable', `no node can be reached, ${url} last${why}`));
      return;
    }
    this.cancelTimer = clock.after(Math.min(PAUSE_MS * this.tries, 10 * PAUSE_MS), () => {
      this.connect();
    });
  }

  private take(message: Message, url: string, socket: WebSocket): void {
    switch (message.type) {
      case 'hello': {
        // A key that went out under TLS is not told to anybody without it.
        this.peers = (message.peers ?? []).filter((peer) => !this.isDowngrade(peer));
        const { seq, epoch, to } = this;
        const resume = epoch === '' ? {} : { resume: { epoch, seq } };
        socket.send(JSON.stringify({ type: 'subscribe', sub: 'view', to, ...resume }));
        return;
      }
      case 'fault': {
        const { code, detail } = message.fault ?? { code: 'internal', detail: 'a fault' };
        // What cannot be read for the moment comes later; what does not exist, or is refused, does not.
        if (code === 'not_found' || code === 'invalid' || code === 'forbidden') {
          this.end(new ClientError(code, detail));
        }
        return;
      }
      case 'snapshot':
      case 'delta':
        this.tries = 0;
        this.seq = message.seq ?? 0;
        this.epoch = message.epoch ?? '';
        this.view = applied(message.type === 'delta' ? this.view : null, message, url);
        this.hasNews = true;
        this.waker.wake();
        return;
      default:
        return;
    }
  }
}

/** Null for what is no message of the protocol. */
function parsed(data: Buffer): Message | null {
  try {
    const value: unknown = JSON.parse(data.toString());
    return typeof value === 'object' && value !== null && 'type' in value
      ? (value as Message)
      : null;
  } catch {
    return null;
  }
}

function applied(
  before: LiveView | null,
  { fields = {}, dropped = [], rows = [], order }: Message,
  url: string,
): LiveView {
  if (before === null) return { fields, rows, url };
  const after: Record<string, unknown> = { ...before.fields, ...fields };
  for (const name of dropped) Reflect.deleteProperty(after, name);
  if (rows.length === 0 && order === undefined) return { fields: after, rows: before.rows, url };
  const byId = new Map(before.rows.map((row) => [row.id, row]));
  for (const row of rows) byId.set(row.id, row);
  const ids = order ?? before.rows.map(({ id }) => id);
  return { fields: after, rows: ids.flatMap((id) => byId.get(id) ?? []), url };
}

function isTls(url: string): boolean {
  return url.startsWith('https:');
}
