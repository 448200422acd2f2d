-- Up Migration

-- Who changed what, when and from where: one row for each call that may change something. That of a submit
-- is written with the tasks; that of any other before the change, and its status after it, so that nothing
-- changes without a row.
create table skein.audit (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  -- Submits are many, and are kept for a shorter time than what people do by hand.
  is_submit boolean not null,
  namespace_id int not null default 0,
  actor text not null,
  key_id text,
  address text not null,
  action text not null,
  -- What the path names: a task, a type, a schedule, a key.
  target text,
  -- Of the answer; null where none was given yet, or its node has died.
  status smallint,
  detail json,
  request_id text not null
);
create index audit_age on skein.audit (is_submit, at);

-- Down Migration

drop table skein.audit;
