import type { Clock } from '../base/clock.ts';
import type { TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';

/**
 * The cluster as the database knows it: nodes by their latest incarnation, the leader, the counts.
 *
 * Counting walks whole tables (about 0.1 s at a million tasks), and dashboards ask all the time. So
 * an answer is good for twenty times as long as it took, and one count is made for all who ask at
 * once: at most a twentieth of one session, and on a small database the counts are fresh.
 */
export interface NodeRecord {
  readonly nodeId: number;
  readonly name: string;
  readonly pid: number;
  /**
   * `alive`, `lost` (its lease is over), `dead`, `left`; `draining`: it takes no more work; `drained`:
   * nothing runs there any more, and it stays.
   */
  readonly state: string;
  readonly isLeader: boolean;
  readonly httpUrl: string;
  readonly grpcAddress: string;
  readonly slots: number;
  readonly running: number;
  readonly types: readonly string[];
  /** `key=value`. */
  readonly labels: readonly string[];
  readonly version: string;
  readonly startedAt: Date;
  readonly lastHeartbeatAt: Date;
}

export interface ClusterRecord {
  readonly term: number;
  /** The name of the leading node; null where none is known to lead. */
  readonly leader: string | null;
  readonly nodes: readonly NodeRecord[];
  readonly counts: Readonly<Record<TaskStatus, number>>;
  /** When they were counted, on the monotonic clock: they may be older than the rest. */
  readonly countedMs: number;
}

export interface EventRecord {
  readonly eventId: number;
  readonly at: Date;
  readonly kind: string;
  readonly node: string | null;
  readonly term: number | null;
  /** JSON text of an object. */
  readonly detail: string;
}

interface Counts {
  readonly countedMs: number;
  readonly byStatus: Readonly<Record<TaskStatus, number>>;
  readonly runningByNode: ReadonlyMap<number, number>;
}

/** The latest incarnation of each name; the dead and the gone are shown for an hour. */
const NODES: Statement = {
  name: 'cluster-reader.nodes',
  text: `
    select distinct on (n.name) n.node_id, n.name, n.pid,
      case when n.state in ('alive', 'draining') and n.lease_until < clock_timestamp() then 'lost'
        when n.drain_asked_at is null then n.state
        when n.state = 'alive' then 'draining' when n.state = 'draining' then 'drained'
        else n.state end as state,
      n.node_id = t.leader_node_id and n.state in ('alive', 'draining') as is_leader,
      n.http_url, n.grpc_address, n.slots, n.types, n.labels, n.version, n.started_at, n.last_heartbeat_at
    from skein.node n
    cross join skein.term t
    where n.state in ('alive', 'draining')
      or n.last_heartbeat_at > clock_timestamp() - interval '1 hour'
    order by n.name, n.node_id desc
    limit 1000`,
};

/** A leader whose node left or died is one no more, though the term row still names it. */
const TERM: Statement = {
  name: 'cluster-reader.term',
  text: `
    select t.term,
      case when n.state is null or n.state in ('alive', 'draining') then t.leader_name end as leader
    from skein.term t
    left join skein.node n on n.node_id = t.leader_node_id`,
};

const COUNTS: Statement = {
  name: 'cluster-reader.counts',
  text: `
    select (select count(*) from skein.task) as total,
      (select count(*) from skein.live where node_id is null) as queued,
      (select count(*) from skein.not_completed where status = 2) as failed,
      (select count(*) from skein.not_completed where status = 3) as cancelled,
      (select count(*) from skein.not_completed where status = 4) as skipped,
      array(
        select array[node_id, count(*)]
        from skein.live where node_id is not null group by node_id
      )::text as running`,
};

const EVENTS: Statement = {
  name: 'cluster-reader.events',
  text: `
    select event_id, at, kind, node_name, term, detail
    from skein.event
    where event_id < $1
    order by event_id desc
    limit $2`,
};

const COUNTS_GOOD_FOR = 20;

export class ClusterReader {
  readonly #session: Session;
  readonly #clock: Clock;
  #counts: Promise<Counts> | undefined;
  #countsGoodUntilMs = 0;

  constructor({ session, clock }: { readonly session: Session; readonly clock: Clock }) {
    this.#session = session;
    this.#clock = clock;
  }

  async cluster(): Promise<ClusterRecord> {
    const [nodes, [term], counts] = await Promise.all([
      this.nodes(),
      this.#session.query<{ term: number; leader: string | null }>(TERM),
      this.#countsNow(),
    ]);
    return {
      term: term?.term ?? 0,
      leader: term?.leader ?? null,
      nodes,
      counts: counts.byStatus,
      countedMs: counts.countedMs,
    };
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    const [rows, counts] = await Promise.all([
      this.#session.query<{
        node_id: number;
        name: string;
        pid: number;
        state: string;
        is_leader: boolean | null;
        http_url: string;
        grpc_address: string;
        slots: number;
        types: string[];
        labels: string[];
        version: string;
        started_at: Date;
        last_heartbeat_at: Date;
      }>(NODES),
      this.#countsNow(),
    ]);
    return rows.map((row) => ({
      nodeId: row.node_id,
      name: row.name,
      pid: row.pid,
      state: row.state,
      isLeader: row.is_leader ?? false,
      httpUrl: row.http_url,
      grpcAddress: row.grpc_address,
      slots: row.slots,
      running: counts.runningByNode.get(row.node_id) ?? 0,
      types: row.types,
      labels: row.labels,
      version: row.version,
      startedAt: row.started_at,
      lastHeartbeatAt: row.last_heartbeat_at,
    }));
  }

  /** Newest first; `before` is the number of the last one of the page before. */
  async events(limit: number, before: number | null): Promise<readonly EventRecord[]> {
    const rows = await this.#session.query<{
      event_id: number;
      at: Date;
      kind: string;
      node_name: string | null;
      term: number | null;
      detail: string;
    }>(EVENTS, [before ?? Number.MAX_SAFE_INTEGER, limit]);
    return rows.map(({ event_id, node_name, ...row }) => ({
      ...row,
      eventId: event_id,
      node: node_name,
    }));
  }

  #countsNow(): Promise<Counts> {
    if (this.#counts !== undefined && this.#clock.monotonicMs() < this.#countsGoodUntilMs) {
      return this.#counts;
    }
    const startedMs = this.#clock.monotonicMs();
    // Good for as long as it is under way; a failed one is forgotten.
    this.#countsGoodUntilMs = Number.POSITIVE_INFINITY;
    const counts = this.#count();
    this.#counts = counts;
    counts.then(
      () => {
        const nowMs = this.#clock.monotonicMs();
        this.#countsGoodUntilMs = nowMs + (nowMs - startedMs) * COUNTS_GOOD_FOR;
      },
      () => {
        this.#counts = undefined;
      },
    );
    return counts;
  }

  async #count(): Promise<Counts> {
    const countedMs = this.#clock.monotonicMs();
    const [row] = await this.#session.query<{
      total: number;
      queued: number;
      failed: number;
      cancelled: number;
      skipped: number;
      running: string;
    }>(COUNTS);
    if (row === undefined) throw new Error('a count returned no row');
    const runningByNode = new Map<number, number>();
    let running = 0;
    for (const [, node, count] of row.running.matchAll(/\{(\d+),(\d+)\}/g)) {
      runningByNode.set(Number(node), Number(count));
      running += Number(count);
    }
    const { total, queued, failed, cancelled, skipped } = row;
    const completed = total - queued - running - failed - cancelled - skipped;
    return {
      countedMs,
      byStatus: {
        QUEUED: queued,
        RUNNING: running,
        COMPLETED: completed,
        FAILED: failed,
        CANCELLED: cancelled,
        SKIPPED: skipped,
      },
      runningByNode,
    };
  }
}
