import { signal } from '@preact/signals';
import type { Signal } from '@preact/signals';
import { request } from './api.ts';
import type { Row } from './bodies.ts';
import { key, protocols } from './session.ts';

/**
 * The page's line to its node. One socket, one subscription for each view that is on the screen. When
 * the line breaks it tries again; when the node does not come back, it looks which of the others answers
 * and moves there, keeping what is on the screen in the address.
 */
export interface View<R extends Row = Row> {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly rows: readonly R[];
}
export type LineState = 'connecting' | 'live' | 'stale' | 'lost' | 'paused';

interface Watch {
  readonly to: object;
  readonly view: Signal<View | null>;
  readonly fault: Signal<string | null>;
  seq: number;
  epoch: string;
}

interface Message {
  readonly type: string;
  readonly sub?: string;
  readonly seq?: number;
  readonly epoch?: string;
  readonly peers?: readonly string[];
  readonly beat_ms?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly dropped?: readonly string[];
  readonly rows?: readonly Row[];
  readonly order?: readonly string[];
  readonly fault?: { readonly code: string; readonly detail: string };
}

const STALE_MS = 8000;
const HIDDEN_MS = 10_000;
const TRIES_BEFORE_MOVE = 3;
const PROBE_MS = 1500;

export const line = signal<LineState>('connecting');
/** When anything was heard last, milliseconds since 1970. */
export const heardAt = signal(0);
export const movedFrom = signal<string | null>(null);

const watches = new Map<string, Watch>();
let socket: WebSocket | null = null;
let peers: readonly string[] = [];
let tries = 0;
let isMoving = false;
let names = 0;
let retry: number | undefined;

export function watch(to: object): {
  readonly view: Signal<View | null>;
  readonly fault: Signal<string | null>;
  readonly end: () => void;
} {
  names += 1;
  const sub = `v${String(names)}`;
  const entry: Watch = { to, view: signal(null), fault: signal(null), seq: 0, epoch: '' };
  watches.set(sub, entry);
  subscribe(sub, entry);
  return {
    view: entry.view,
    fault: entry.fault,
    end: () => {
      watches.delete(sub);
      say({ type: 'unsubscribe', sub });
    },
  };
}

export function begin(): void {
  const from = new URLSearchParams(location.search).get('from');
  if (from !== null) {
    movedFrom.value = from.slice(0, 100);
    history.replaceState(null, '', `./${location.hash}`);
  }
  // At once, and again with each other key.
  key.subscribe(() => {
    if (line.value !== 'live') connect();
  });
  lookForSilence();
  let hiding: number | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.visibilityState === 'hidden') hiding = window.setTimeout(pause, HIDDEN_MS);
    else if (line.value === 'paused') connect();
  });
}

function pause(): void {
  line.value = 'paused';
  clearTimeout(retry);
  socket?.close();
}

function connect(): void {
  clearTimeout(retry);
  line.value = tries === 0 ? 'connecting' : 'lost';
  const opened = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws`, protocols());
  socket = opened;
  let hasOpened = false;
  opened.addEventListener('message', (event) => {
    hasOpened = true;
    heardAt.value = Date.now();
    line.value = 'live';
    tries = 0;
    take(JSON.parse(String(event.data)) as Message);
  });
  opened.addEventListener('close', () => {
    if (socket !== opened) return;
    socket = null;
    // A refused socket does not say why; a request does.
    if (!hasOpened) void request('GET', '/cluster').catch(() => undefined);
    if (line.value !== 'paused') again();
  });
}

function again(): void {
  if (isMoving) return;
  line.value = 'lost';
  tries += 1;
  if (tries >= TRIES_BEFORE_MOVE) void move();
  // Spread, so that the pages of a dead node do not come all at once.
  retry = window.setTimeout(connect, Math.min(300 * tries, 3000) + Math.random() * 500);
}

/** To the first of the other nodes that answers; stays where none does. */
async function move(): Promise<void> {
  const others = peers.filter((url) => url !== location.origin);
  const answers = others.map(async (url) => {
    await fetch(`${url}/healthz`, { mode: 'no-cors', signal: AbortSignal.timeout(PROBE_MS) });
    return url;
  });
  const next = await Promise.any(answers).catch(() => null);
  if (next === null || line.value === 'live' || isMoving) return;
  // Another try would begin the move anew, and on a slow machine for ever.
  clearTimeout(retry);
  isMoving = true;
  location.replace(`${next}/?from=${encodeURIComponent(location.host)}${location.hash}`);
}

function lookForSilence(): void {
  const silentMs = Date.now() - heardAt.value;
  if (line.value === 'live' && silentMs > STALE_MS) line.value = 'stale';
  // A line that says nothing for two beats more is dead, whatever TCP thinks.
  if (line.value === 'stale' && silentMs > 2 * STALE_MS) socket?.close();
  window.setTimeout(lookForSilence, 1000);
}

function say(message: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function subscribe(sub: string, { to, epoch, seq }: Watch): void {
  say({ type: 'subscribe', sub, to, ...(epoch === '' ? {} : { resume: { epoch, seq } }) });
}

function take(message: Message): void {
  if (message.type === 'hello') {
    peers = message.peers ?? [];
    for (const [sub, entry] of watches) subscribe(sub, entry);
    return;
  }
  const entry = watches.get(message.sub ?? '');
  if (entry === undefined) return;
  if (message.type === 'fault') {
    entry.fault.value = message.fault?.detail ?? 'it cannot be read';
    return;
  }
  if (message.type !== 'snapshot' && message.type !== 'delta') return;
  entry.fault.value = null;
  entry.seq = message.seq ?? 0;
  entry.epoch = message.epoch ?? '';
  const before = message.type === 'delta' ? entry.view.value : null;
  entry.view.value = before === null ? wholeOf(message) : applied(before, message);
}

function wholeOf({ fields = {}, rows = [] }: Message): View {
  return { fields, rows };
}

export function applied(
  before: View,
  { fields = {}, dropped = [], rows = [], order }: Omit<Message, 'type'>,
): View {
  const after: Record<string, unknown> = { ...before.fields, ...fields };
  for (const name of dropped) Reflect.deleteProperty(after, name);
  if (rows.length === 0 && order === undefined) return { fields: after, rows: before.rows };
  const byId = new Map(before.rows.map((row) => [row.id, row]));
  for (const row of rows) byId.set(row.id, row);
  const ids = order ?? before.rows.map(({ id }) => id);
  return { fields: after, rows: ids.flatMap((id) => byId.get(id) ?? []) };
}
