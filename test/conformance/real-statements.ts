/** The SQL of real-hands.ts; model-programs.ts does the same on the model. */
export const RESET = `
delete from skein.task; delete from skein.live; delete from skein.not_completed;
delete from skein.attempt; delete from skein.inbox; delete from skein.node; delete from skein.type;
delete from skein.event;
select setval('skein.task_seq', 1, false);
select setval(pg_get_serial_sequence('skein.inbox', 'inbox_id'), 1, false);
select setval(pg_get_serial_sequence('skein.node', 'node_id'), 1, false);
select setval(pg_get_serial_sequence('skein.type', 'type_id'), 1, false);
insert into skein.type (name) values ('noop')`;

export const CLEAR_TERM = `
update skein.term set term = $1, leader_node_id = null, leader_name = null,
  leader_grpc_address = null, leader_http_url = null`;

export const ADD = `
with added as (
  insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
    backoff_base_ms, backoff_max_ms, dependencies)
  select seq, 't' || seq, 1, 50, 3, 0, 100, 1000,
    array(select 't' || d from unnest($2::bigint[]) as d)
  from unnest($1::bigint[]) as seq returning seq),
alive as (
  insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
  select seq, 1, 1, 50, 0, false, $2::bigint[] from added)
select setval('skein.task_seq', max(seq)) from added`;

export const ALTER = `
update skein.live set lease_seq = coalesce($2, lease_seq), node_id = coalesce($3, node_id),
  cancel = coalesce($4, cancel),
  run_at = coalesce(clock_timestamp() + $5 * interval '1 millisecond', run_at),
  leased_at = coalesce(clock_timestamp() - $6 * interval '1 millisecond', leased_at),
  expires_at = coalesce(clock_timestamp() + $7 * interval '1 millisecond', expires_at)
where seq = $1`;

export const STANDING = `
select json_build_object(
  'live', (select json_build_object('lease', lease_seq, 'node', node_id, 'attempt', attempt,
    'losses', losses, 'cancel', cancel) from skein.live where seq = t.seq),
  'task', json_build_object('status', status, 'lease', lease_seq, 'attempt', attempt),
  'attempts', array(select lease_seq || ' ' || outcome from skein.attempt
    where seq = t.seq order by lease_seq),
  'listed', (select status from skein.not_completed where seq = t.seq)) as standing
from skein.task t where seq = $1`;

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

export const TIMES = `
select ${ms('l.started_at')} as "liveStartedAtMs", ${ms('t.started_at')} as "startedAtMs",
  ${ms('t.finished_at')} as "finishedAtMs"
from skein.task t left join skein.live l on l.seq = t.seq where t.seq = $1`;

/** All rows of a table as arrays, in the order of their keys. */
const rows = (table: string, order: string, ...columns: readonly string[]): string =>
  `(select coalesce(json_agg(json_build_array(${columns.join(', ')}) order by ${order}), '[]')
    from skein.${table})`;

const TASK = rows(
  'task',
  'seq',
  ...['seq', 'id', 'coalesce(status, 0)', 'lease_seq', 'attempt', 'coalesce(node_id, 0)'],
  ...['priority', 'payload::text', 'error::text', 'dependencies'],
  ...['started_at is not null', 'finished_at is not null', 'coalesce(parent_seq, 0)'],
);
const whenOf = (column: string): string =>
  `case when ${column} is null then 'none' when ${column} <= clock_timestamp() then 'past'
     else 'future' end`;
const LIVE = rows(
  'live',
  'seq',
  ...['seq', 'lease_seq', 'coalesce(node_id, 0)', 'attempt', 'losses', 'cancel', 'priority'],
  ...['expected_ms', 'has_duration', 'deps'],
  whenOf('run_at'),
  whenOf('expires_at'),
  ...['leased_at is not null', 'started_at is not null'],
);

export const TABLES = `
select json_build_object(
  'task', ${TASK},
  'live', ${LIVE},
  'ended', ${rows('not_completed', 'seq', 'seq', 'status')},
  'attempt', ${rows(
    'attempt',
    'seq, lease_seq',
    ...['seq', 'lease_seq', 'attempt', 'outcome', 'coalesce(node_id, 0)', 'error::text'],
  )},
  'inbox', ${rows(
    'inbox',
    'inbox_id',
    ...['inbox_id', 'kind', 'first_seq', 'last_seq', "coalesce(seqs, '{}')"],
  )},
  'node', ${rows(
    'node',
    'node_id',
    ...['node_id', 'name', 'state', 'lease_until < clock_timestamp()', 'process_groups'],
  )},
  'type', ${rows('type', 'type_id', ...['type_id', 'name', 'handled', 'paused', 'max_running'])},
  'term', ${rows('term', 'id', 'term', 'coalesce(leader_node_id, 0)')}) as tables`;
