-- Up Migration

-- Where a task may run, and how many of a type may run at once.
--
-- Labels are texts of the form key=value, sorted, each once; a task runs on nodes that have all of its
-- own. They stand in the row of the task itself, so that the leader needs no second read for them: null
-- costs nothing, and most tasks have none.
alter table skein.task add column labels text[];
alter table skein.live add column labels text[];
alter table skein.node add column labels text[] not null default '{}';

-- Leases of the type at the same time, in the whole cluster; null for no limit.
alter table skein.type add column max_running int check (max_running >= 0);

-- The kinds of inbox rows are those that node/leader/inbox.ts applies: one list is enough.
alter table skein.inbox drop constraint inbox_kind_check;

-- Down Migration

alter table skein.type drop column max_running;
alter table skein.node drop column labels;
alter table skein.live drop column labels;
alter table skein.task drop column labels;
