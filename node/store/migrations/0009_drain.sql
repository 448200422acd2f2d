-- Up Migration

-- When somebody asked a node to take no more work; null where nobody did. Its state becomes 'draining' when
-- nothing runs there any more. It belongs to the life of a process: one that starts anew takes work.
alter table skein.node add column drain_asked_at timestamptz;

-- Down Migration

alter table skein.node drop column drain_asked_at;
