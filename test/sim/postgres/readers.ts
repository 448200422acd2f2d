import { bySeq, numbersOf, type InboxRow, type LiveRow } from './schema.ts';
import type { Programs, Row } from './statement.ts';
import { STEP } from './transaction.ts';

/** The statements of node/store/graph-reader.ts: each sees one snapshot and locks nothing. */
export const GRAPH_READER: Programs = {
  *'graph-reader.liveAfter'({ transaction, data }, [after, last, limit]) {
    const inRange = transaction.scan(
      data.live,
      ({ seq }) => seq > (after as number) && seq <= (last as number),
    );
    return inRange
      .sort(bySeq)
      .slice(0, limit as number)
      .map(liveColumns);
  },

  *'graph-reader.liveReadyAfter'({ transaction, data }, [after, among, limit]) {
    const stride = transaction
      .scan(data.live, ({ seq }) => seq > (after as number))
      .sort(bySeq)
      .slice(0, among as number);
    const isLive = (seq: number): boolean => transaction.read(data.live, seq) !== undefined;
    // Every node of the simulator handles every type.
    const ready = stride.filter(
      ({ nodeId, cancel, runAt, deps }) =>
        nodeId === 0 && !cancel && (runAt ?? 0) <= data.clockMs() && !deps.some(isLive),
    );
    const columns = ready.slice(0, limit as number).map(liveColumns);
    const lastSeq = stride.at(-1)?.seq ?? 0;
    return (columns.length > 0 ? columns : [Array<null>(15).fill(null)]).map((row) => [
      lastSeq,
      ...row,
    ]);
  },

  *'graph-reader.live'({ transaction, data }, [seqs]) {
    return numbersOf(seqs).flatMap((seq) => {
      const row = transaction.read(data.live, seq);
      return row === undefined ? [] : [liveColumns(row)];
    });
  },

  *'graph-reader.resolve'({ transaction, data }, [seqs]) {
    return numbersOf(seqs).map((seq) => {
      const isLive = transaction.read(data.live, seq) !== undefined;
      return [seq, isLive ? 0 : (transaction.read(data.notCompleted, seq)?.status ?? 1)];
    });
  },

  *'graph-reader.reread'({ transaction, data }, [seqs]) {
    const rows: Row[] = [];
    for (const seq of new Set(numbersOf(seqs))) {
      const task = transaction.read(data.task, seq);
      if (task === undefined) continue;
      const live = transaction.read(data.live, seq);
      const columns = live === undefined ? Array<null>(15).fill(null) : liveColumns(live);
      rows.push([...columns, seq, task.status === 0 ? null : task.status, task.leaseSeq]);
    }
    return rows;
  },

  *'graph-reader.inbox'({ transaction, data }, [limit]) {
    const prompt = transaction
      .scan(data.inbox, ({ bulk }) => !bulk)
      .sort(byInboxId)
      .slice(0, limit as number);
    const bulk = transaction.scan(data.inbox, (row) => row.bulk).sort(byInboxId);
    const first = bulk.slice(0, 1).map((row) => ({ ...row, seqs: [] }));
    return [...prompt, ...first].map(inboxColumns);
  },

  *'graph-reader.bulk'({ transaction, data }, [afterId, limit]) {
    return transaction
      .scan(data.inbox, ({ bulk, inboxId }) => bulk && inboxId > (afterId as number))
      .sort(byInboxId)
      .slice(0, limit as number)
      .map(inboxColumns);
  },

  *'graph-reader.clock'({ data }) {
    return [[data.clockMs()]];
  },

  *'graph-reader.nodes'({ transaction, data }, [alsoIds]) {
    const also = new Set(numbersOf(alsoIds));
    const found = transaction.scan(
      data.node,
      ({ state, nodeId }) => state === 'alive' || state === 'draining' || also.has(nodeId),
    );
    return found.map((row) => [
      ...[row.nodeId, row.name, row.state, row.leaseUntil < data.clockMs(), row.leaseUntil],
      ...[row.bootId, row.pidNamespace, row.pid, row.pidStarted, row.groups],
      row.isDrainAsked,
    ]);
  },

  *'graph-reader.handledTypes'({ transaction, data }) {
    return transaction
      .scan(data.type, ({ handled }) => handled)
      .map(({ typeId, name }) => [typeId, name]);
  },

  *'graph-reader.gatedTypes'({ transaction, data }) {
    return transaction
      .scan(data.type, ({ paused, maxRunning }) => paused || maxRunning !== null)
      .map(({ typeId, paused, maxRunning }) => [typeId, paused, maxRunning]);
  },

  *'graph-reader.firstEnd'({ transaction, data }, [seqs]) {
    const ends = numbersOf(seqs).map((seq) => transaction.read(data.notCompleted, seq)?.finishedAt);
    return [[ends.includes(undefined) ? 0 : Math.min(...(ends as number[]))]];
  },

  *'graph-reader.skippedAfter'({ transaction, data }, [after, sinceMs, limit]) {
    const skipped = transaction.scan(
      data.notCompleted,
      ({ seq, status, finishedAt }) =>
        status === 4 && seq > (after as number) && finishedAt >= (sinceMs as number),
    );
    return skipped
      .sort(bySeq)
      .slice(0, limit as number)
      .map(({ seq }) => {
        const ids = transaction.read(data.task, seq)?.dependencies ?? [];
        return [seq, ids.flatMap((id) => transaction.read(data.taskId, id) ?? [])];
      });
  },
};

function byInboxId(a: InboxRow, b: InboxRow): number {
  return a.inboxId - b.inboxId;
}

function inboxColumns(row: InboxRow): Row {
  return [row.inboxId, row.kind, row.firstSeq, row.lastSeq, row.seqs, row.bulk];
}

function liveColumns(row: LiveRow): Row {
  return [
    ...[row.seq, row.typeId, row.hasDuration, row.priority, row.rule, row.leaseSeq, row.nodeId],
    ...[row.attempt, row.losses, row.cancel, row.runAt ?? 0, row.expectedMs, row.deps],
    row.expiresAt ?? 0,
    null,
  ];
}

/** The statements of node/store/node-registry.ts. */
export const NODE_REGISTRY: Programs = {
  *'node-registry.handleTypes'({ transaction, data }, [names]) {
    for (const name of (names as string[]).toSorted()) {
      const row = {
        typeId: data.next('type'),
        name,
        handled: true,
        paused: false,
        maxRunning: null,
      };
      if (yield* transaction.tryInsert(data.type, name, row)) continue;
      const known = yield* transaction.lockNewest(data.type, name, 'no key update');
      if (known?.handled === false) transaction.put(data.type, name, { ...known, handled: true });
    }
    return [];
  },

  *'node-registry.register'({ transaction, data }, values) {
    const [incarnation, name, leaseMs, bootId, pidNamespace, pid, pidStarted] = values;
    const nodeId = data.next('node');
    yield STEP;
    // The index leads to the row of that incarnation, and who changes that is waited for.
    const known = data.incarnation.get(incarnation as string);
    if (known !== undefined) yield* transaction.awaitWriter(data.node, known);
    yield* transaction.insert(data.incarnation, incarnation as string, nodeId);
    yield* transaction.insert(data.node, nodeId, {
      nodeId,
      incarnation: incarnation as string,
      name: name as string,
      state: 'alive',
      leaseUntil: data.clockMs() + (leaseMs as number),
      bootId: bootId as string,
      pidNamespace: pidNamespace as string,
      pid: pid as number,
      pidStarted: pidStarted as string,
      groups: [],
      isDrainAsked: false,
    });
    return [[nodeId]];
  },

  *'node-registry.renewMany'({ transaction, data }, [nodeIds, leaseMs]) {
    // An index scan for `= any` goes through the numbers in their order, however they were given.
    const keys = numbersOf(nodeIds).toSorted((a, b) => a - b);
    const rows = yield* transaction.lockWhere(data.node, keys, isMember, 'no key update');
    return rows.map((row) => {
      const leaseUntil = data.clockMs() + (leaseMs as number);
      transaction.put(data.node, row.nodeId, { ...row, leaseUntil });
      return [row.nodeId, leaseUntil];
    });
  },

  *'node-registry.setState'({ transaction, data }, [nodeId, state]) {
    const [row] = yield* transaction.lockWhere(
      data.node,
      [nodeId as number],
      isMember,
      'no key update',
    );
    if (row === undefined) return [];
    transaction.put(data.node, row.nodeId, { ...row, state: state as string });
    return [[row.nodeId]];
  },

  *'node-registry.setProcessGroups'({ transaction, data }, [nodeId, groups]) {
    const [row] = yield* transaction.lockWhere(
      data.node,
      [nodeId as number],
      () => true,
      'no key update',
    );
    if (row === undefined) return [];
    transaction.put(data.node, row.nodeId, { ...row, groups: numbersOf(groups) });
    return [[row.nodeId]];
  },
};

function isMember({ state }: { readonly state: string }): boolean {
  return state === 'alive' || state === 'draining';
}
