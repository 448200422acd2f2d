-- Up Migration

-- Fires that could not be submitted: what they name is gone, or taken.
alter table skein.schedule add column refused bigint not null default 0;

-- Down Migration

alter table skein.schedule drop column refused;
