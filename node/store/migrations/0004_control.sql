-- Up Migration

-- Until when a task must have started; null once it has begun, and where there is no such limit. Beside
-- other nulls of the row it costs nothing, and the leader, which reads it with the row, keeps the time.
alter table skein.live add column expires_at timestamptz;
alter table skein.task add column ttl_ms int;

-- What asks for so many tasks that the leader applies it beside the rest, piece by piece.
alter table skein.inbox add column bulk boolean not null default false;

-- Answers to submits that carried an Idempotency-Key, for a day. The answer is text: it goes out as it is.
create table skein.idempotency_key (
  namespace_id int not null default 0,
  key text not null,
  fingerprint text not null,
  answer text not null,
  location text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (namespace_id, key)
);
create index idempotency_key_created_at on skein.idempotency_key (created_at);

-- Down Migration

drop table skein.idempotency_key;
alter table skein.inbox drop column bulk;
alter table skein.task drop column ttl_ms;
alter table skein.live drop column expires_at;
