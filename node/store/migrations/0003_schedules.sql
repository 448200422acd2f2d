-- Up Migration

-- Schedules: what is submitted again and again, and when next. A fire is a submit under the id
-- `<schedule>@<its time in UTC>`; the leader moves next_fire_at on in the transaction that submits.
-- Few rows beside tasks, so that next_fire_at may be indexed although it changes.
create table skein.schedule (
  schedule_seq bigint generated always as identity primary key,
  namespace_id int not null default 0,
  id text not null,
  -- Raised by every change that a user makes: the leader fires only what it has read.
  revision int not null default 1,
  -- By cron in a time zone, or every so many milliseconds counted from an anchor.
  cron text,
  timezone text,
  every_ms bigint,
  anchor timestamptz,
  starts_at timestamptz,
  ends_at timestamptz,
  catch_up text not null check (catch_up in ('none', 'last', 'all')),
  overlap text not null check (overlap in ('allow', 'skip', 'buffer_one', 'cancel_running')),
  paused boolean not null,
  -- One of the two, as the user gave it.
  task json,
  workflow json,
  -- Null: paused, or no fire is left.
  next_fire_at timestamptz,
  -- A fire that waits for the end of a run (buffer_one).
  held_fire_at timestamptz,
  last_fire_at timestamptz,
  last_run_id text,
  fired bigint not null default 0,
  skipped bigint not null default 0,
  missed bigint not null default 0,
  -- Runs that had not ended when they were last looked at, a hundred of each at most.
  open_tasks bigint[] not null default '{}',
  open_workflows bigint[] not null default '{}',
  -- Why the last fire could not be submitted.
  problem text,
  problem_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  check ((cron is null) <> (every_ms is null)),
  check ((cron is null) = (timezone is null) and (every_ms is null) = (anchor is null)),
  check ((task is null) <> (workflow is null)),
  unique (namespace_id, id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index schedule_next on skein.schedule (next_fire_at) where next_fire_at is not null;
create index schedule_held on skein.schedule (schedule_seq) where held_fire_at is not null;

-- A change of a schedule is told to the leader by a row of its own kind.
alter table skein.inbox drop constraint if exists inbox_kind_check;

-- Down Migration

drop table skein.schedule;
