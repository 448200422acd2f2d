-- Up Migration

-- What runs have said of themselves, append-only: a chunk holds lines that one run wrote within a moment,
-- each a JSON array on a line of its own: milliseconds before `at`, level, message, fields as JSON text.
-- Chunks of one lease come from one node, which numbers them. Logged, because what was said before a crash
-- is what one wants to read after it, and a standby must have it too; their commits do not wait for the
-- disk. Whoever deletes a task deletes its rows here, and in `progress`, by `seq`.
create table skein.log (
  seq bigint not null,
  lease_seq int not null,
  chunk bigint not null,
  attempt smallint not null,
  node_id bigint not null,
  at timestamptz not null default clock_timestamp(),
  -- Came when the lease was over: its node did not know yet.
  is_stale boolean not null,
  lines text not null,
  primary key (seq, lease_seq, chunk)
);

-- How far a run says it is: the last of the latest lease.
create table skein.progress (
  seq bigint primary key,
  lease_seq int not null,
  fraction real not null,
  note text,
  at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Down Migration

drop table skein.progress;
drop table skein.log;
