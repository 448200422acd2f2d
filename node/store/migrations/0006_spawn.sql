-- Up Migration

-- The task that added this one while it ran; null for one that was submitted. Never changes, so that the
-- index costs the updates of a task nothing.
alter table skein.task add column parent_seq bigint;
create index task_parent on skein.task (parent_seq, seq) where parent_seq is not null;

-- Down Migration

alter table skein.task drop column parent_seq;
