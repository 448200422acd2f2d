import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Client } from 'pg';

/**
 * What the checker judges by: what triggers wrote down in the database, and what handlers wrote down
 * in files. The triggers run at the commit, in the transaction that they tell of, so a line exists if
 * and only if the change does, with the term of that instant.
 */
export type Op = 'term' | 'born' | 'leased' | 'let-go' | 'gone' | 'moved' | 'ended' | 'unended';

export interface HistoryRow {
  /** In the order of commits, as far as one waited for the other. */
  readonly id: number;
  /** By the database's clock, milliseconds since the epoch. */
  readonly atMs: number;
  readonly txid: string;
  /** At the commit. */
  readonly term: number;
  readonly leader: string | null;
  /** Of the session: `skein/<role>/<node>`. */
  readonly session: string;
  /** The backend that wrote it, told from a later one of the same number. */
  readonly backend: string;
  readonly op: Op;
  readonly seq: number;
  readonly leaseSeq: number;
  /** Who holds the lease after `leased`, held it before `let-go`, ended it for `ended`. */
  readonly nodeId: number | null;
  readonly status: number | null;
}

export interface TaskRow {
  readonly seq: number;
  readonly id: string;
  readonly status: number | null;
  readonly leaseSeq: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly triggerRule: number;
  readonly dependencies: readonly string[];
  readonly isLive: boolean;
  /** Among those that did not complete. */
  readonly isListed: boolean;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

/** A line of a handler's file. */
export interface HandlerLine {
  readonly what: 'start' | 'tick' | 'end';
  readonly task: string;
  readonly lease_seq: number;
  readonly place: 'node' | 'child';
  readonly pid: number;
  /** Of the clock that all processes of a machine share; digits, for JSON has no such numbers. */
  readonly at_ns: string;
  readonly wall_ms: number;
}

export interface History {
  readonly rows: readonly HistoryRow[];
  readonly tasks: readonly TaskRow[];
  readonly handlerLines: readonly HandlerLine[];
}

const CREATE = `
create schema chaos;
create table chaos.history (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  txid xid8 not null default pg_current_xact_id(),
  term bigint,
  leader text,
  session text not null default current_setting('application_name'),
  backend text not null,
  op text not null,
  seq bigint not null,
  lease_seq int not null,
  node_id bigint,
  status smallint
);

create function chaos.note(op text, seq bigint, lease_seq int, node_id bigint, status smallint)
returns void language sql as $$
  insert into chaos.history (term, leader, backend, op, seq, lease_seq, node_id, status)
  select t.term, t.leader_name,
    pg_backend_pid() || '/' || inet_client_port(),
    $1, $2, $3, $4, $5
  from skein.term t where t.id = 1
$$;

create function chaos.on_live() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    perform chaos.note('born', new.seq, new.lease_seq, new.node_id, null);
  elsif tg_op = 'DELETE' then
    perform chaos.note('gone', old.seq, old.lease_seq, old.node_id, null);
  elsif old.node_id is null and new.node_id is not null then
    perform chaos.note('leased', new.seq, new.lease_seq, new.node_id, null);
  elsif old.node_id is not null and new.node_id is null then
    perform chaos.note('let-go', new.seq, new.lease_seq, old.node_id, null);
  elsif old.node_id is distinct from new.node_id or old.lease_seq <> new.lease_seq then
    perform chaos.note('moved', new.seq, new.lease_seq, new.node_id, null);
  end if;
  return null;
end $$;

create function chaos.on_task() returns trigger language plpgsql as $$
begin
  if new.status is not null and (old.status is null or old.status <> new.status
    or old.lease_seq <> new.lease_seq) then
    perform chaos.note('ended', new.seq, new.lease_seq, new.node_id, new.status);
  elsif old.status is not null and new.status is null then
    perform chaos.note('unended', new.seq, new.lease_seq, new.node_id, old.status);
  end if;
  return null;
end $$;

create function chaos.on_term() returns trigger language plpgsql as $$
begin
  perform chaos.note('term', 0, 0, new.leader_node_id, null);
  return null;
end $$;

create constraint trigger chaos_live after insert or update or delete on skein.live
  deferrable initially deferred for each row execute function chaos.on_live();
create constraint trigger chaos_task after update on skein.task
  deferrable initially deferred for each row execute function chaos.on_task();
create constraint trigger chaos_term after update on skein.term
  deferrable initially deferred for each row execute function chaos.on_term();`;

/** Into a database that Skein has migrated, before the first task. */
export async function installHistory(client: Client): Promise<void> {
  await client.query(CREATE);
}

const READ_ROWS = `
select id::int, (extract(epoch from at) * 1000)::float8 as "atMs", txid::text, term::int, leader,
  session, backend, op, seq::int, lease_seq as "leaseSeq", node_id::int as "nodeId", status
from chaos.history order by id`;

const READ_TASKS = `
select t.seq::int, t.id, t.status, t.lease_seq as "leaseSeq", t.attempt,
  t.max_attempts as "maxAttempts", t.trigger_rule as "triggerRule", t.dependencies,
  l.seq is not null as "isLive", n.seq is not null as "isListed",
  (extract(epoch from t.started_at) * 1000)::float8 as "startedAtMs",
  (extract(epoch from t.finished_at) * 1000)::float8 as "finishedAtMs"
from skein.task t left join skein.live l on l.seq = t.seq
left join skein.not_completed n on n.seq = t.seq order by t.seq`;

export async function readHistory(client: Client, runsFolder: string): Promise<History> {
  const rows = await client.query<HistoryRow>(READ_ROWS);
  const tasks = await client.query<TaskRow>(READ_TASKS);
  return { rows: rows.rows, tasks: tasks.rows, handlerLines: await readHandlerLines(runsFolder) };
}

async function readHandlerLines(folder: string): Promise<readonly HandlerLine[]> {
  const lines: HandlerLine[] = [];
  for (const file of await readdir(folder)) {
    const text = await readFile(path.join(folder, file), 'utf8');
    for (const line of text.split('\n')) {
      if (line !== '') lines.push(JSON.parse(line) as HandlerLine);
    }
  }
  return lines;
}
