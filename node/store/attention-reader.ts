import type { Clock } from '../base/clock.ts';
import type { Session, Statement } from './database.ts';

/**
 * What somebody should look at: what waits in vain, what keeps dying, what could not be submitted. Each
 * part looks at a bounded number of rows, the oldest or the latest, and an answer is good for a few seconds,
 * and for twenty times as long as it took: pages ask all the time.
 */
export interface Attention {
  /** Types of tasks that wait and cannot run, those first that most wait for; of the oldest tasks. */
  readonly types: readonly {
    readonly type: string;
    readonly reason: 'paused' | 'unhandled';
    readonly queued: number;
  }[];
  /** The oldest task that nothing but a slot, its type or a pause keeps from running. */
  readonly oldestReady: {
    readonly id: string;
    readonly type: string;
    readonly readyAt: Date;
  } | null;
  /** Unfinished tasks whose lease was lost, the most often lost first. */
  readonly lost: readonly { readonly id: string; readonly losses: number }[];
  /** Tasks that run for longer than ten times what they were expected to, and a minute at least. */
  readonly overdue: readonly {
    readonly id: string;
    readonly node: string;
    readonly leasedAt: Date;
  }[];
  /** The latest of those whose process died under them too often. */
  readonly quarantined: readonly { readonly id: string; readonly finishedAt: Date }[];
  readonly schedules: readonly {
    readonly id: string;
    readonly problem: string;
    readonly at: Date;
  }[];
  readonly failover: Failover | null;
}

/** The last change of leaders; null where there was one leader only, as far as the events go back. */
export interface Failover {
  readonly at: Date;
  readonly term: number;
  readonly from: string;
  readonly to: string;
  /** Since the new leader had heard the last one; null where it never had. */
  readonly afterMs: number | null;
}

const ROWS_MAX = 10_000;
const NAMED_MAX = 5;

const TYPES: Statement = {
  name: 'attention-reader.types',
  text: `
    select w.type, w.reason, sum(w.queued)::int as queued
    from (
      select y.name as type, q.queued,
        case when y.paused then 'paused'
          when not exists (
            select from skein.node n
            where n.state = 'alive' and n.lease_until > clock_timestamp()
              and (y.name = any (n.types) or (n.simulates and q.has_duration and not y.handled))
          ) then 'unhandled'
        end as reason
      from (
        select o.type_id, o.has_duration, count(*) as queued
        from (
          select type_id, has_duration from skein.live
          where node_id is null order by seq limit ${String(ROWS_MAX)}
        ) o
        group by o.type_id, o.has_duration
      ) q
      join skein.type y on y.type_id = q.type_id
    ) w
    where w.reason is not null
    group by w.type, w.reason
    order by queued desc, w.type
    limit ${String(NAMED_MAX)}`,
};

const OLDEST_READY: Statement = {
  name: 'attention-reader.oldest-ready',
  text: `
    select t.id, y.name as type, greatest(t.created_at, l.run_at) as ready_at
    from (select * from skein.live order by seq limit 1000) l
    join skein.task t on t.seq = l.seq
    join skein.type y on y.type_id = l.type_id
    where l.node_id is null and coalesce(l.run_at, '-infinity') <= clock_timestamp()
      and not exists (select from skein.live p where p.seq = any (l.deps))
    order by ready_at
    limit 1`,
};

const LOST: Statement = {
  name: 'attention-reader.lost',
  text: `
    select t.id, l.losses
    from (select seq, losses from skein.live order by seq limit ${String(ROWS_MAX)}) l
    join skein.task t on t.seq = l.seq
    where l.losses > 0
    order by l.losses desc, l.seq
    limit ${String(NAMED_MAX)}`,
};

const OVERDUE: Statement = {
  name: 'attention-reader.overdue',
  text: `
    select t.id, n.name as node, l.leased_at
    from (
      select * from skein.live
      where node_id is not null order by seq limit ${String(ROWS_MAX)}
    ) l
    join skein.task t on t.seq = l.seq
    join skein.node n on n.node_id = l.node_id
    where l.expected_ms > 0 and l.leased_at < clock_timestamp()
      - greatest(60000, 10 * l.expected_ms) * interval '1 millisecond'
    order by l.leased_at
    limit ${String(NAMED_MAX)}`,
};

const QUARANTINED: Statement = {
  name: 'attention-reader.quarantined',
  text: `
    select t.id, t.finished_at
    from (
      select seq from skein.not_completed where status = 2 order by seq desc limit 200
    ) f
    join skein.task t on t.seq = f.seq
    where t.error ->> 'code' = 'quarantined'
    order by t.seq desc
    limit ${String(NAMED_MAX)}`,
};

const SCHEDULES: Statement = {
  name: 'attention-reader.schedules',
  text: `
    select id, problem, problem_at as at
    from skein.schedule
    where problem is not null
    order by problem_at desc
    limit ${String(NAMED_MAX)}`,
};

/** An election after that of the same node is none that anybody has to know of, and shown all the same. */
const FAILOVER: Statement = {
  name: 'attention-reader.failover',
  text: `
    select at, term, node_name as "to", (detail ->> 'after_ms')::float8 as after_ms
    from skein.event
    where kind = 'elected'
    order by event_id desc
    limit 2`,
};

const GOOD_FOR = { times: 20, leastMs: 5000 };

export class AttentionReader {
  readonly #session: Session;
  readonly #clock: Clock;
  #known: Promise<Attention> | undefined;
  #goodUntilMs = 0;
  #term = 0;

  constructor({ session, clock }: { readonly session: Session; readonly clock: Clock }) {
    this.#session = session;
    this.#clock = clock;
  }

  /** What was found in another term is not good any more. */
  attention(term: number): Promise<Attention> {
    const startedMs = this.#clock.monotonicMs();
    const isSame = this.#term === term && startedMs < this.#goodUntilMs;
    if (this.#known !== undefined && isSame) return this.#known;
    this.#term = term;
    // Good for as long as it is under way; a failed one is forgotten.
    this.#goodUntilMs = Number.POSITIVE_INFINITY;
    const known = this.#read();
    this.#known = known;
    known.then(
      () => {
        const nowMs = this.#clock.monotonicMs();
        const goodMs = Math.max(GOOD_FOR.leastMs, (nowMs - startedMs) * GOOD_FOR.times);
        this.#goodUntilMs = nowMs + goodMs;
      },
      () => {
        this.#known = undefined;
      },
    );
    return known;
  }

  async #failover(): Promise<Failover | null> {
    const [last, before] = await this.#session.query<{
      at: Date;
      term: number;
      to: string;
      after_ms: number | null;
    }>(FAILOVER);
    if (last === undefined || before === undefined) return null;
    const { at, term, to, after_ms: afterMs } = last;
    return { at, term, from: before.to, to, afterMs };
  }

  /** One after the other, on one session at a time: nobody waits for it. */
  async #read(): Promise<Attention> {
    const session = this.#session;
    const types = await session.query<Attention['types'][number]>(TYPES);
    const [ready] = await session.query<{ id: string; type: string; ready_at: Date }>(OLDEST_READY);
    const lost = await session.query<Attention['lost'][number]>(LOST);
    const overdue = await session.query<{ id: string; node: string; leased_at: Date }>(OVERDUE);
    const dead = await session.query<{ id: string; finished_at: Date }>(QUARANTINED);
    const schedules = await session.query<Attention['schedules'][number]>(SCHEDULES);
    return {
      ...{ types, lost, schedules, failover: await this.#failover() },
      oldestReady:
        ready === undefined ? null : { id: ready.id, type: ready.type, readyAt: ready.ready_at },
      overdue: overdue.map(({ id, node, leased_at: leasedAt }) => ({ id, node, leasedAt })),
      quarantined: dead.map(({ id, finished_at: finishedAt }) => ({ id, finishedAt })),
    };
  }
}
