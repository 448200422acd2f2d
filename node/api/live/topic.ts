import type { ViewName } from './messages.ts';

/**
 * One view that somebody watches, as its watchers know it: fields by name, and rows by id in an order.
 * It is read again and again; what a read changes becomes a delta with the next sequence number, and
 * the last deltas are kept, so that who comes back after a short while gets what it missed instead of
 * the whole. A topic is shared by all clients of a node that watch the same: it is read once for all.
 *
 *   read ──▶ take ──┐
 *                   ├──▶ delta (seq n) ──▶ ring ──▶ since(seq) or snapshot()
 *   news ──▶ patch ─┘
 *
 * Values are compared by their JSON text, which is also what is sent.
 */
export interface View {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly rows: readonly (object & { readonly id: string })[];
  /** The numbers of the tasks that the rows are about, in their order; none where they are about none. */
  readonly seqs?: readonly number[];
  /** Only for who begins: what deltas carry forward by themselves. */
  readonly beginning?: Readonly<Record<string, unknown>>;
}

/** A view that is watched, or was until a moment ago. */
export interface LiveTopic {
  readonly to: ViewName;
  readonly state: Topic;
  /** Why it cannot be read now; null where it can. */
  fault: { readonly code: string; readonly detail: string } | null;
  watchers: number;
  /** When it was read last, on the monotonic clock. */
  readMs: number;
  /** When it is to be read because of news; Infinity for none. */
  hastenedMs: number;
  /** How long after a read news may bring the next, by what that took. */
  paceMs: number;
  /** When the last watcher left. */
  leftMs: number;
  /** The tasks that it shows, by their numbers: the ids of their rows. */
  seqs: ReadonlyMap<number, string>;
}

/** What has changed of a view, as far as it is known without reading it. */
export interface Patch {
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly rows?: ReadonlyMap<string, object>;
  /** Rows that are no part of the view any more. */
  readonly gone?: ReadonlySet<string>;
  readonly beginning?: Readonly<Record<string, unknown>>;
}

interface Delta {
  readonly seq: number;
  readonly fields: ReadonlyMap<string, string>;
  /** All and only the fields that the view has no more. */
  readonly dropped: readonly string[];
  readonly rows: ReadonlyMap<string, string>;
  /** Ids of all rows in their order; null where neither which they are nor their order changed. */
  readonly order: readonly string[] | null;
}

/** About twenty seconds of a view that always changes. */
const RING_MAX = 100;
/** Rows that the ring may hold together: a wide view that changes wholly is cheaper sent anew. */
const RING_ROWS_MAX = 2000;

export class Topic {
  #seq: number;
  #fields = new Map<string, string>();
  #rows = new Map<string, string>();
  #order: readonly string[] = [];
  #beginning: Readonly<Record<string, unknown>> = {};
  #ring: Delta[] = [];
  #hasView = false;
  /** What was made of the present state for others: by the number from which they go on. */
  readonly #made = new Map<number | 'all', string>();

  /** `after` is a number above all that a topic of the same view ever had. */
  constructor(after: number) {
    this.#seq = after;
  }

  get seq(): number {
    return this.#seq;
  }

  /** False until the first read has succeeded. */
  get hasView(): boolean {
    return this.#hasView;
  }

  /** A row as it is sent; null where there is none. */
  row(id: string): Record<string, unknown> | null {
    const text = this.#rows.get(id);
    return text === undefined ? null : (JSON.parse(text) as Record<string, unknown>);
  }

  field(name: string): unknown {
    const text = this.#fields.get(name);
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  }

  /** Takes what is known without a read; true where that changes anything. */
  patch({ fields = {}, rows = NO_ROWS, gone = NOTHING, beginning }: Patch): boolean {
    if (beginning !== undefined) {
      this.#beginning = beginning;
      this.#made.delete('all');
    }
    if (!this.#hasView) return false;
    const known = [...rows].filter(([id]) => this.#rows.has(id) && !gone.has(id));
    const isOrderNew = [...gone].some((id) => this.#rows.has(id));
    const delta: Delta = {
      seq: this.#seq + 1,
      fields: changed(this.#fields, textsOf(Object.entries(fields))),
      dropped: [],
      rows: changed(this.#rows, textsOf(known)),
      order: isOrderNew ? this.#order.filter((id) => !gone.has(id)) : null,
    };
    if (delta.fields.size + delta.rows.size === 0 && !isOrderNew) return false;
    for (const [name, text] of delta.fields) this.#fields.set(name, text);
    for (const [id, text] of delta.rows) this.#rows.set(id, text);
    for (const id of gone) this.#rows.delete(id);
    this.#order = delta.order ?? this.#order;
    this.#keep(delta);
    return true;
  }

  /** Takes what a read has found; how many rows that changes, null for nothing at all. */
  take(view: View): number | null {
    const fields = textsOf(Object.entries(view.fields));
    const rows = textsOf(view.rows.map((row) => [row.id, row] as const));
    const order = view.rows.map((row) => row.id);
    const isSameOrder =
      order.length === this.#order.length && order.every((id, i) => id === this.#order[i]);
    const delta: Delta = {
      seq: this.#seq + 1,
      fields: changed(this.#fields, fields),
      dropped: [...this.#fields.keys()].filter((name) => !fields.has(name)),
      rows: changed(this.#rows, rows),
      order: isSameOrder ? null : order,
    };
    this.#beginning = view.beginning ?? {};
    this.#made.delete('all');
    const isFirst = !this.#hasView;
    this.#hasView = true;
    const { size } = delta.fields;
    const isSame = size + delta.rows.size + delta.dropped.length === 0 && isSameOrder;
    if (isSame && !isFirst) return null;
    this.#fields = fields;
    this.#rows = rows;
    this.#order = order;
    this.#keep(delta);
    return delta.rows.size;
  }

  snapshot(): string {
    return this.#madeOnce('all', () => this.#snapshot());
  }

  #snapshot(): string {
    const beginning = textsOf(Object.entries(this.#beginning));
    const fields = objectText([...this.#fields, ...beginning]);
    const rows = this.#order.map((id) => this.#rows.get(id) ?? 'null').join(',');
    return `"seq":${String(this.#seq)},"fields":${fields},"rows":[${rows}]`;
  }

  /** What came after `seq`, as one delta; null where that is not known any more, or never was. */
  since(seq: number): string | null {
    if (seq > this.#seq || !this.#hasView) return null;
    const missed = this.#ring.filter((delta) => delta.seq > seq);
    if (missed.length !== this.#seq - seq) return null;
    return this.#madeOnce(seq, () => this.#joined(seq, missed));
  }

  #joined(seq: number, missed: readonly Delta[]): string {
    const fields = new Map<string, string>();
    const dropped = new Set<string>();
    const rows = new Map<string, string>();
    let order: readonly string[] | null = null;
    for (const delta of missed) {
      for (const [name, text] of delta.fields) {
        fields.set(name, text);
        dropped.delete(name);
      }
      for (const name of delta.dropped) {
        fields.delete(name);
        dropped.add(name);
      }
      for (const [id, text] of delta.rows) rows.set(id, text);
      order = delta.order ?? order;
    }
    const shown = [...rows].flatMap(([id, text]) => (this.#rows.has(id) ? [text] : []));
    const parts = [`"seq":${String(this.#seq)}`, `"from":${String(seq)}`];
    if (fields.size > 0) parts.push(`"fields":${objectText([...fields])}`);
    if (dropped.size > 0) parts.push(`"dropped":${JSON.stringify([...dropped])}`);
    if (shown.length > 0) parts.push(`"rows":[${shown.join(',')}]`);
    if (order !== null) parts.push(`"order":${JSON.stringify(order)}`);
    return parts.join(',');
  }

  /** All who are equally far get the same text. */
  #madeOnce(from: number | 'all', make: () => string): string {
    const text = this.#made.get(from) ?? make();
    this.#made.set(from, text);
    return text;
  }

  #keep(delta: Delta): void {
    this.#seq = delta.seq;
    this.#made.clear();
    this.#ring.push(delta);
    let rows = this.#ring.reduce((sum, { rows: each, order }) => {
      return sum + each.size + (order?.length ?? 0);
    }, 0);
    // The last one always stays: it is what goes out to those who are up to date.
    while (this.#ring.length > 1 && (this.#ring.length > RING_MAX || rows > RING_ROWS_MAX)) {
      const oldest = this.#ring.shift();
      rows -= (oldest?.rows.size ?? 0) + (oldest?.order?.length ?? 0);
    }
  }
}

const NO_ROWS: ReadonlyMap<string, object> = new Map();
const NOTHING: ReadonlySet<string> = new Set();

function textsOf(entries: Iterable<readonly [string, unknown]>): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [key, value] of entries) texts.set(key, JSON.stringify(value));
  return texts;
}

function changed(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, text] of after) if (before.get(key) !== text) found.set(key, text);
  return found;
}

function objectText(entries: readonly (readonly [string, string])[]): string {
  return `{${entries.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}
