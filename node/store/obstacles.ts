import { endStatusOrThrow, type TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';

/** What stands between a QUEUED task and its start, as far as the database knows: all of it at once. */
export interface Obstacles {
  /** Dependencies that have not ended: the first of them, and how many there are. */
  readonly dependencies: readonly { readonly id: string; readonly status: TaskStatus }[];
  readonly unended: number;
  /** Its time, where that has not come. */
  readonly runAt: Date | null;
  readonly type: string;
  readonly isPaused: boolean;
  readonly maxRunning: number | null;
  /** A living node runs the type; one of those has the labels. */
  readonly hasType: boolean;
  readonly hasNode: boolean;
  /** `key=value`. */
  readonly labels: readonly string[];
  /** Of the labels, those that no living node of the type has. */
  readonly missingLabels: readonly string[];
}

const NAMED_MAX = 20;

/**
 * A type has a place to run where a live node handles it, or simulates it: that is for tasks with a
 * duration, of a type that no handler ever took.
 */
const OBSTACLES: Statement = {
  name: 'obstacles.of',
  text: `
    select case when l.run_at > clock_timestamp() then l.run_at end as run_at, y.name as type,
      y.paused, y.max_running, coalesce(l.labels, '{}') as labels, able.nodes > 0 as has_type,
      able.labelled > 0 as has_node,
      array(
        select needed from unnest(l.labels) needed where not needed = any (able.labels)
      ) as missing_labels,
      (select count(*) from unnest(l.deps) d (seq) join skein.live p on p.seq = d.seq)::int
        as unended,
      array(
        select case when p.node_id is null then 'QUEUED ' else 'RUNNING ' end || t.id
        from unnest(l.deps) with ordinality d (seq, place)
        join skein.live p on p.seq = d.seq
        join skein.task t on t.seq = d.seq
        order by d.place
        limit ${String(NAMED_MAX)}
      ) as dependencies
    from skein.live l
    join skein.type y on y.type_id = l.type_id
    cross join lateral (
      select count(*) as nodes,
        count(*) filter (where n.labels @> coalesce(l.labels, '{}')) as labelled,
        array(
          select unnest(o.labels) from skein.node o
          where o.state = 'alive' and o.lease_until > clock_timestamp()
            and (y.name = any(o.types) or (o.simulates and l.has_duration and not y.handled))
        ) as labels
      from skein.node n
      where n.state = 'alive' and n.lease_until > clock_timestamp()
        and (y.name = any(n.types) or (n.simulates and l.has_duration and not y.handled))
    ) able
    where l.seq = $1 and l.node_id is null`,
};

/** Null where the task is not QUEUED (any more). */
export async function obstaclesOf(session: Session, seq: number): Promise<Obstacles | null> {
  const [row] = await session.query<{
    run_at: Date | null;
    type: string;
    paused: boolean;
    max_running: number | null;
    labels: string[];
    has_type: boolean;
    has_node: boolean;
    missing_labels: string[];
    unended: number;
    dependencies: string[];
  }>(OBSTACLES, [seq]);
  if (row === undefined) return null;
  return {
    dependencies: row.dependencies.map((text) => {
      const at = text.indexOf(' ');
      return { status: text.slice(0, at) as TaskStatus, id: text.slice(at + 1) };
    }),
    ...{ unended: row.unended, runAt: row.run_at, type: row.type, isPaused: row.paused },
    ...{ maxRunning: row.max_running, hasType: row.has_type, hasNode: row.has_node },
    ...{ labels: row.labels, missingLabels: row.missing_labels },
  };
}

/** Dependencies that ended, and not as COMPLETED: why a task was SKIPPED. */
const FAILED_DEPENDENCIES: Statement = {
  name: 'obstacles.failed-dependencies',
  text: `
    select d.id, d.status
    from skein.task t
    cross join unnest(t.dependencies) with ordinality named (id, place)
    join skein.task d on d.namespace_id = t.namespace_id and d.id = named.id
    where t.seq = $1 and d.status between 2 and 4
    order by named.place
    limit ${String(NAMED_MAX)}`,
};

export async function failedDependenciesOf(
  session: Session,
  seq: number,
): Promise<readonly { readonly id: string; readonly status: TaskStatus }[]> {
  const rows = await session.query<{ id: string; status: number }>(FAILED_DEPENDENCIES, [seq]);
  return rows.map(({ id, status }) => ({ id, status: endStatusOrThrow(status) }));
}
