-- Up Migration

-- Until when a task must have started; null once it has begun, and where there is no such limit. Beside
-- other nulls of the row it costs nothing, and the leader, which reads it with the row, keeps the time.
alter table skein.live add column expires_at timestamptz;
alter table skein.task add column ttl_ms int;

-- What asks for so many tasks that the leader applies it beside the rest, piece by piece.
alter table skein.inbox add column bulk boolean not null default false;

-- Down Migration

alter table skein.inbox drop column bulk;
alter table skein.task drop column ttl_ms;
alter table skein.live drop column expires_at;
