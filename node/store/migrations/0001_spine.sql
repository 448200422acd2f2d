-- Up Migration

-- The tables of Skein. Three habits hold throughout:
--   * what changes after insert is never indexed, so that every later update stays HOT;
--   * every key that a user names carries namespace_id (0 by default);
--   * the status of an unfinished task is not stored: it is QUEUED or RUNNING by its row in `live`.
-- Codes of status and trigger rule are those of node/core/task.ts.

create schema if not exists skein;

-- The one fence row. Every write of the leader locks it and checks the term in the same statement.
create table skein.term (
  id smallint primary key default 1 check (id = 1),
  term bigint not null default 0,
  leader_node_id bigint,
  leader_name text,
  leader_grpc_address text,
  leader_http_url text,
  since timestamptz
) with (fillfactor = 10);
insert into skein.term (id) values (1);

-- One row per incarnation of a node; it holds the node's lease, which covers all it runs.
create table skein.node (
  node_id bigint generated always as identity primary key,
  incarnation uuid not null unique,
  name text not null,
  state text not null default 'alive' check (state in ('alive', 'draining', 'left', 'dead')),
  lease_until timestamptz not null,
  last_heartbeat_at timestamptz not null default clock_timestamp(),
  started_at timestamptz not null default clock_timestamp(),
  -- What proves the death of a process on the same machine: the boot, the process namespace, the
  -- process and its start time in clock ticks.
  boot_id text not null,
  pid_namespace text not null,
  pid int not null,
  pid_started text not null,
  -- Process groups of children that may outlive the node; they are killed before an early reclaim.
  process_groups int[] not null default '{}',
  http_url text not null,
  grpc_address text not null,
  slots int not null,
  types text[] not null,
  simulates boolean not null,
  version text not null
) with (fillfactor = 50);

create table skein.type (
  type_id int generated always as identity primary key,
  namespace_id int not null default 0,
  name text not null,
  paused boolean not null default false,
  -- A handler registered under this name at some time: the type is never simulated again.
  handled boolean not null default false,
  unique (namespace_id, name)
);

create table skein.workflow (
  workflow_seq bigint generated always as identity primary key,
  namespace_id int not null default 0,
  id text not null,
  name text not null,
  priority smallint not null,
  total int not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (namespace_id, id)
);

create sequence skein.task_seq as bigint;

-- The record of a task. Indexed on what never changes only.
create table skein.task (
  seq bigint primary key,
  namespace_id int not null default 0,
  id text not null,
  type_id int not null,
  workflow_seq bigint,
  priority smallint not null,
  max_attempts smallint not null,
  trigger_rule smallint not null,
  duration_ms int,
  expected_ms int,
  timeout_ms int,
  backoff_fixed boolean not null default false,
  backoff_base_ms int not null,
  backoff_max_ms int not null,
  run_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  dependencies text[] not null default '{}',
  tags text[] not null default '{}',
  payload json,
  -- Written when the task ends, by whoever ends it, under the lease that won.
  status smallint check (status between 1 and 4),
  lease_seq int not null default 0,
  attempt smallint not null default 0,
  node_id bigint,
  started_at timestamptz,
  finished_at timestamptz,
  result json,
  error json
) with (fillfactor = 45);
create unique index task_id on skein.task (namespace_id, id);
create index task_workflow on skein.task (workflow_seq, seq) where workflow_seq is not null;

-- The unfinished, narrow. No row: the task ended. node_id null: nobody holds a lease on it.
create table skein.live (
  seq bigint primary key,
  run_at timestamptz,
  leased_at timestamptz,
  started_at timestamptz,
  workflow_seq bigint,
  node_id bigint,
  type_id int not null,
  lease_seq int not null default 0,
  expected_ms real not null,
  priority smallint not null,
  attempt smallint not null default 0,
  losses smallint not null default 0,
  trigger_rule smallint not null,
  cancel boolean not null default false,
  -- The task carries duration_ms, so that it can be simulated where no node handles its type.
  has_duration boolean not null,
  deps bigint[] not null default '{}'
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0
);

-- One row for every end other than COMPLETED.
create table skein.not_completed (
  seq bigint primary key,
  status smallint not null check (status between 2 and 4),
  finished_at timestamptz not null default clock_timestamp()
);
create index not_completed_status on skein.not_completed (status, seq);

-- Attempts that did not complete, and lost leases; the accepted attempt lives in `task`.
create table skein.attempt (
  seq bigint not null,
  lease_seq int not null,
  attempt smallint not null,
  outcome text not null check (outcome in ('failed', 'cancelled', 'released', 'lost')),
  node_id bigint,
  started_at timestamptz,
  finished_at timestamptz not null default clock_timestamp(),
  error json,
  primary key (seq, lease_seq)
);

-- What the leader has yet to apply: every transaction that changes the graph, other than a settle,
-- leaves one row here in the same commit.
create table skein.inbox (
  inbox_id bigint generated always as identity primary key,
  kind text not null check (kind in ('submitted', 'patched', 'cancel', 'retry')),
  first_seq bigint not null,
  last_seq bigint not null,
  seqs bigint[]
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 10000
);

-- Elections, joins, losses, reclaims: what an operator reads afterwards.
create table skein.event (
  event_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  kind text not null,
  node_name text,
  term bigint,
  detail jsonb not null default '{}'
);

-- Down Migration

drop schema skein cascade;
