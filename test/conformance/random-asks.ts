import type { Rng } from '../../node/base/clock.ts';
import type { LiveRows } from '../../node/core/events.ts';
import { changes, facts, leader, node, NODE, OTHER_NODE, reader, registry, TERM } from './hands.ts';
import type { Hands, HandSession, Tables } from './hands.ts';

/** One statement with its values, as it can be asked of either server. */
export interface Ask {
  readonly label: string;
  readonly run: (hand: HandSession, hands: Hands) => Promise<unknown>;
}

const HOUR_MS = 3_600_000;
const FUTURE_MS = Date.UTC(2100, 0, 1);
const IDS = ['s1', 's2', 's3', 't1', 't3'];
const TYPES = ['noop', 'w1', 'w2'];

/** Draws statements that have something to do with how the tables stand, most of the time. */
export class Asker {
  private readonly rng: Rng;
  private readonly tables: Tables;

  constructor(rng: Rng, tables: Tables) {
    this.rng = rng;
    this.tables = tables;
  }

  draw(): Ask {
    const drawn = this.rng.random();
    if (drawn < 0.36) return this.ofLeader();
    if (drawn < 0.62) return this.ofNode();
    if (drawn < 0.78) return this.ofUser();
    if (drawn < 0.89) return this.ofRegistry();
    if (drawn < 0.94) return this.ofLock();
    return this.ofReader();
  }

  /** Each is fenced by the term of before or by that which stands. */
  private ofLeader(): Ask {
    const term = this.chance(0.7) ? (this.tables['term']?.[0]?.[0] as number) : TERM;
    const seqs = this.seqs();
    const known = seqs.map((seq) => this.leaseSeqOf(seq));
    const nodeId = this.pick([NODE, NODE, OTHER_NODE]);
    const outcome = this.pick(['lost', 'released'] as const);
    const proven = this.chance(0.4);
    const [member, ids] = [this.pick([1, 2]), this.pick([[1], [2, 1], [1, 2, 3]])];
    const all = {
      leaseMany: (hand: HandSession) =>
        leader(hand, term)
          .leaseMany(
            seqs,
            known,
            seqs.map(() => nodeId),
          )
          .then((l) => zip(l.seqs, l.leaseSeqs)),
      skipMany: (hand: HandSession) =>
        leader(hand, term)
          .skipMany(seqs)
          .then((l) => zip(l.seqs, l.leaseSeqs)),
      expireMany: (hand: HandSession) =>
        leader(hand, term)
          .expireMany(seqs)
          .then((l) => zip(l.seqs, l.leaseSeqs)),
      cancelMany: (hand: HandSession) =>
        leader(hand, term)
          .cancelMany(seqs)
          .then((l) => [zip(l.seqs, l.leaseSeqs), zip(l.markedSeqs)]),
      takeBackMany: (hand: HandSession) =>
        leader(hand, term)
          .takeBackMany(nodeId, seqs, known, outcome)
          .then((t) => [zip(t.seqs, t.nextLeaseSeqs, t.losses), zip(t.cancelledSeqs)]),
      reviveMany: (hand: HandSession) => leader(hand, term).reviveMany(seqs).then(zip),
      buryNode: (hand: HandSession) => leader(hand, term).buryNode(member, proven, 0),
      deleteInboxMany: (hand: HandSession) => leader(hand, term).deleteInboxMany(ids),
      addEvent: (hand: HandSession) => leader(hand, term).addEvent('odd', 'node-1', {}),
    };
    const often = ['leaseMany', 'leaseMany', 'cancelMany', 'takeBackMany', 'expireMany'] as const;
    const rare = ['skipMany', 'buryNode', 'deleteInboxMany', 'addEvent', 'reviveMany'] as const;
    const name = this.chance(0.6) ? this.pick(often) : this.pick(rare);
    const values = { term, seqs, known, nodeId, outcome, member, proven, ids };
    return { label: `${name} ${JSON.stringify(values)}`, run: all[name] };
  }

  private ofNode(): Ask {
    const seqs = this.seqs();
    const leaseSeqs = seqs.map((seq) => this.leaseSeqOf(seq));
    const nodeId = this.chance(0.85) ? this.holderOf(seqs[0] as number) : OTHER_NODE;
    const settledAs = seqs.map(() => this.pick([2, 5, 5, 6, 3] as const));
    const delayMs = seqs.map(() => this.pick([0, 0, HOUR_MS]));
    const times = { startedAgoMs: seqs.map(() => 1), finishedAgoMs: seqs.map(() => 0) };
    const code = this.pick(['thrown', 'process_died']);
    const [first] = seqs as [number];
    const all = {
      completeMany: (hand: HandSession) =>
        node(hand, nodeId)
          .completeMany({ ...times, seqs, leaseSeqs, results: seqs.map(() => 'null') })
          .then(zip),
      settleMany: (hand: HandSession) =>
        node(hand, nodeId)
          .settleMany({
            ...{ ...times, seqs, leaseSeqs, settledAs, delayMs },
            errors: settledAs.map((as) => (as === 6 ? null : `{"code":"${code}"}`)),
          })
          .then((rows) => sorted(rows.map(withoutTimes))),
      verifyMany: (hand: HandSession) =>
        node(hand, nodeId)
          .verifyMany(seqs, leaseSeqs)
          .then((rows) => sorted(rows.map(withoutTimes))),
      markStarted: (hand: HandSession) =>
        node(hand, nodeId).markStarted(seqs, leaseSeqs, times.startedAgoMs),
      work: (hand: HandSession) => node(hand, nodeId).work(seqs).then(sorted),
      deaths: (hand: HandSession) => node(hand, nodeId).deaths(first),
    };
    const often = [
      'completeMany',
      'settleMany',
      'settleMany',
      'verifyMany',
      'markStarted',
    ] as const;
    const name = this.chance(0.85) ? this.pick(often) : this.pick(['work', 'deaths'] as const);
    const values = { nodeId, seqs, leaseSeqs, settledAs, delayMs, code };
    return { label: `${name} ${JSON.stringify(values)}`, run: all[name] };
  }

  private ofUser(): Ask {
    const seq = this.seq();
    const patch = this.pick([
      { priority: 7 },
      { payload: '"edited"' },
      { runAtMs: FUTURE_MS },
      { runAtMs: null, priority: 9 },
    ]);
    const ids = new Set([this.pick(IDS), this.pick(IDS)].slice(0, this.pick([1, 1, 2])));
    const outside = this.pick([[], [], ['t1'], ['t2', 't1'], ['s1'], ['none']]);
    const dependencies = outside.filter((id) => !ids.has(id));
    // New types are stored by a session apart, which the model does not do.
    const limit = seq === 2 ? { ttlMs: HOUR_MS } : {};
    const delayed = [...ids].map((id) => ({ id, dependencies, delayMs: this.pick([0, HOUR_MS]) }));
    const tasks = delayed.map((task) => ({ ...task, ...limit }));
    const all = {
      patch: (hand: HandSession) => changes(hand).tryPatch(seq, patch),
      cancel: (hand: HandSession) => changes(hand).tryCancel(seq),
      retry: (hand: HandSession) => changes(hand).tryRetry(seq),
      submit: (hand: HandSession, hands: Hands) => hands.submit(hand, tasks),
      removeTask: (hand: HandSession, hands: Hands) => hands.removeTask(hand, seq),
    };
    const often = ['patch', 'patch', 'patch', 'submit', 'submit'] as const;
    const rare = ['cancel', 'retry', 'removeTask'] as const;
    const name = this.chance(0.7) ? this.pick(often) : this.pick(rare);
    return { label: `${name} ${JSON.stringify({ seq, patch, tasks })}`, run: all[name] };
  }

  private ofRegistry(): Ask {
    const nodeIds = this.pick([[1], [2], [1, 2], [2, 1]]);
    const [nodeId] = nodeIds as [number];
    const leaseMs = this.pick([HOUR_MS, -HOUR_MS]);
    const state = this.pick(['draining', 'left'] as const);
    const newcomer = facts(this.pick([2, 3, 4]), [this.pick(TYPES), this.pick(['w1', 'w2'])]);
    const types = [...new Set(newcomer.types)];
    const all = {
      renewMany: (hand: HandSession) =>
        registry(hand)
          .renewMany(nodeIds, leaseMs)
          .then((rows) => zip(rows.map((row) => row.nodeId))),
      setState: (hand: HandSession) => registry(hand).setState(nodeId, state),
      setProcessGroups: (hand: HandSession) => registry(hand).setProcessGroups(nodeId, [4, 2]),
      register: (hand: HandSession) => registry(hand).register({ ...newcomer, types }, leaseMs),
    };
    const name = this.pick(['renewMany', 'renewMany', 'setState', 'setProcessGroups', 'register']);
    const values = { nodeIds, leaseMs, state, newcomer: newcomer.name, types };
    const run = all[name as keyof typeof all];
    return { label: `${name} ${JSON.stringify(values)}`, run };
  }

  private ofLock(): Ask {
    const all = {
      tryLock: (hand: HandSession) => hand.tryLock(),
      takeOver: async (hand: HandSession) => {
        const { taken } = await hand.tryLock();
        return [taken, await hand.bumpTerm(TERM, OTHER_NODE)];
      },
      readTerm: (hand: HandSession) => hand.readTerm(),
    };
    const name = this.pick(['tryLock', 'takeOver', 'takeOver', 'readTerm'] as const);
    return { label: name, run: all[name] };
  }

  private ofReader(): Ask {
    const seqs = this.seqs();
    const all: Readonly<Record<string, Ask['run']>> = {
      liveAfter: (hand) => reader(hand).liveAfter(1, 9, 3).then(liveRows),
      live: (hand) => reader(hand).live(seqs).then(liveRows),
      resolve: (hand) =>
        reader(hand)
          .resolve(seqs)
          .then((found) => zip(found.seqs, found.codes)),
      reread: (hand) =>
        reader(hand)
          .reread(seqs)
          .then((r) => [liveRows(r.rows), zip(r.endedSeqs, r.endedCodes, r.endedLeaseSeqs)]),
      inbox: (hand) => reader(hand).inbox(3),
      nodes: (hand) =>
        reader(hand)
          .nodes([1, 2])
          .then((rows) => sorted(rows.map((row) => ({ ...row, leaseUntilMs: 0 })))),
      handledTypes: (hand) =>
        reader(hand)
          .handledTypes()
          .then((types) => sorted([...types])),
      firstEnd: (hand) =>
        reader(hand)
          .firstEndMs(seqs)
          .then((ms) => ms > 0),
      skippedBelow: (hand) => reader(hand).skippedBelow(seqs, 0).then(zip),
    };
    const name = this.pick(Object.keys(all));
    return { label: `${name} ${JSON.stringify(seqs)}`, run: all[name] as Ask['run'] };
  }

  private leaseSeqOf(seq: number): number {
    const row = this.tables['live']?.find(([live]) => live === seq);
    return this.chance(0.9) ? ((row?.[1] as number | undefined) ?? 0) : this.pick([0, 1, 2, 3]);
  }

  private holderOf(seq: number): number {
    const row = this.tables['live']?.find(([live]) => live === seq);
    const holder = row?.[2] as number | undefined;
    return holder === undefined || holder === 0 ? NODE : holder;
  }

  private seq(): number {
    return this.pick([1, 1, 1, 2, 2, 2, 3, 4]);
  }

  /** In any order, none twice. */
  private seqs(): readonly number[] {
    const few = [this.seq(), this.seq(), this.seq()].slice(0, this.pick([1, 1, 2, 3]));
    return [...new Set(few)];
  }

  private chance(share: number): boolean {
    return this.rng.random() < share;
  }

  private pick<T>(among: readonly T[]): T {
    return among[Math.floor(this.rng.random() * among.length)] as T;
  }
}

/** Columns as rows, in an order of their own. */
function zip(...columns: readonly (readonly unknown[])[]): readonly unknown[] {
  const [first = []] = columns;
  return sorted(first.map((_, at) => columns.map((column) => column[at])));
}

function sorted(rows: readonly unknown[]): readonly unknown[] {
  return rows
    .map((row) => ({ row, key: JSON.stringify(row) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ row }) => row);
}

function withoutTimes(row: { readonly runAtMs: number }): object {
  return { ...row, runAtMs: row.runAtMs > 0 };
}

function liveRows(rows: LiveRows): readonly unknown[] {
  const columns = Object.entries(rows as unknown as Record<string, readonly unknown[]>);
  const values = columns.map(([name, column]) =>
    name === 'runAtMs' || name === 'expiresAtMs' ? column.map((ms) => (ms as number) > 0) : column,
  );
  return zip(rows.seqs, ...values);
}
