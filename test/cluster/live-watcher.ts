import { WebSocket } from 'ws';

/** A client of `/ws` that keeps views as deploy/live.md says, and goes on elsewhere when its node is gone. */
type Row = Readonly<Record<string, unknown>> & { readonly id: string };

interface Message {
  readonly type: string;
  readonly sub?: string;
  readonly epoch?: string;
  readonly seq?: number;
  readonly from?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly dropped?: readonly string[];
  readonly rows?: readonly Row[];
  readonly order?: readonly string[];
}

export interface WatchedView {
  readonly to: object;
  epoch: string;
  seq: number;
  fields: Record<string, unknown>;
  rows: Map<string, Row>;
}

export class Watcher {
  readonly views = new Map<string, WatchedView>();
  /** What no node may ever do: a delta that does not follow on what was sent. */
  readonly faults: string[] = [];
  private readonly urls: readonly string[];
  private socket: WebSocket | undefined;
  private at = 0;
  private isClosed = false;

  constructor(urls: readonly string[]) {
    this.urls = urls;
    this.open();
  }

  /** The node that it listens to. */
  get url(): string {
    return this.urls[this.at % this.urls.length] ?? '';
  }

  watch(sub: string, to: object): void {
    this.views.set(sub, { to, epoch: '', seq: 0, fields: {}, rows: new Map() });
    if (this.socket?.readyState === WebSocket.OPEN) this.subscribe(sub);
  }

  rowsOf(sub: string): readonly Row[] {
    return [...(this.views.get(sub)?.rows.values() ?? [])];
  }

  close(): void {
    this.isClosed = true;
    this.socket?.terminate();
  }

  private open(): void {
    const socket = new WebSocket(`${this.url.replace('http', 'ws')}/ws`);
    this.socket = socket;
    socket.on('open', () => {
      for (const sub of this.views.keys()) this.subscribe(sub);
    });
    socket.on('message', (data: Buffer) => {
      this.take(JSON.parse(data.toString()) as Message);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.isClosed) return;
      this.at += 1;
      setTimeout(() => {
        if (!this.isClosed) this.open();
      }, 50);
    });
  }

  private subscribe(sub: string): void {
    const view = this.views.get(sub);
    if (view === undefined) return;
    const resume = view.epoch === '' ? {} : { resume: { epoch: view.epoch, seq: view.seq } };
    this.socket?.send(JSON.stringify({ type: 'subscribe', sub, to: view.to, ...resume }));
  }

  private take(message: Message): void {
    const { type, sub = '', epoch = '', seq = 0, from, fields = {}, rows = [], order } = message;
    const view = this.views.get(sub);
    if (view === undefined || (type !== 'snapshot' && type !== 'delta')) return;
    if (type === 'snapshot') {
      view.fields = {};
      view.rows = new Map();
    } else if (view.epoch !== epoch || view.seq !== from) {
      this.faults.push(`${sub}: a delta from ${String(from)} on ${String(view.seq)}`);
    }
    view.epoch = epoch;
    view.seq = seq;
    Object.assign(view.fields, fields);
    for (const name of message.dropped ?? []) Reflect.deleteProperty(view.fields, name);
    for (const row of rows) view.rows.set(row.id, row);
    if (order === undefined) return;
    const kept = order.flatMap((id) => {
      const row = view.rows.get(id);
      return row === undefined ? [] : [[id, row] as const];
    });
    if (kept.length !== order.length) this.faults.push(`${sub}: an order names unknown rows`);
    view.rows = new Map(kept);
  }
}
