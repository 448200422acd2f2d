import { Client } from 'pg';
import { toError } from '../../node/base/errors.ts';

/** The priority of what nobody waits for at the end: its leases count, its ends do not. */
export const LEAST_URGENT = 100;

/**
 * What the figures are made of: triggers write down each raised term, each lease and each end, by the
 * clock of the database, and the instant of a fault is asked of the same clock. The triggers run at the
 * commit, in the transaction that they tell of.
 */
const CREATE = `
create schema outages;
create table outages.term (term bigint, at timestamptz);
create table outages.lease (
  id bigint generated always as identity primary key,
  at timestamptz, term bigint, seq bigint, lease_seq int, node_id bigint
);
create index on outages.lease (term, at);
create table outages.ending (
  id bigint generated always as identity primary key,
  at timestamptz, seq bigint, lease_seq int
);
create table outages.killed (node_id bigint, at timestamptz);
create table outages.acknowledged (id text);

create function outages.on_term() returns trigger language plpgsql as $$
begin
  insert into outages.term values (new.term, clock_timestamp());
  return null;
end $$;
create function outages.on_lease() returns trigger language plpgsql as $$
begin
  insert into outages.lease (at, term, seq, lease_seq, node_id)
  select clock_timestamp(), term, new.seq, new.lease_seq, new.node_id from skein.term;
  return null;
end $$;
create function outages.on_end() returns trigger language plpgsql as $$
begin
  insert into outages.ending (at, seq, lease_seq)
  values (clock_timestamp(), new.seq, new.lease_seq);
  return null;
end $$;

create constraint trigger outages_term after update on skein.term
  deferrable initially deferred for each row when (old.term <> new.term)
  execute function outages.on_term();
create constraint trigger outages_lease after update on skein.live
  deferrable initially deferred for each row
  when (old.node_id is null and new.node_id is not null) execute function outages.on_lease();
create constraint trigger outages_end after update on skein.task
  deferrable initially deferred for each row
  when (new.status is not null and new.priority <> ${String(LEAST_URGENT)})
  execute function outages.on_end();`;

const MOMENT = `
select term::int, leader_name as leader, leader_node_id::int as "leaderNodeId",
  (extract(epoch from clock_timestamp()) * 1000)::float8 as "atMs" from skein.term`;

const FIRST_LEASE = `
select (extract(epoch from min(at)) * 1000)::float8 as "atMs" from outages.lease where term > $1`;

const STEPS = `
select
  (select (extract(epoch from min(at)) * 1000)::float8 from outages.term where term > $1) as "termMs",
  (select (extract(epoch from min(at)) * 1000)::float8 from outages.lease where term > $1) as "leaseMs",
  (select (extract(epoch from min(t.started_at)) * 1000)::float8
    from outages.lease l join skein.task t using (seq, lease_seq)
    where l.term = (select min(term) from outages.lease where term > $1)) as "startMs"`;

const ENDED = 'select coalesce(max(id), 0)::int as count from outages.ending';

const CONNECT_MS = 3000;
const QUERY_MS = 60_000;

/** How things stand, and when. */
export interface Moment {
  readonly term: number;
  readonly leader: string;
  readonly leaderNodeId: number;
  /** By the database's clock, milliseconds since the epoch. */
  readonly atMs: number;
}

/** When a later term was raised, leased first, and started its first task; null where it did not. */
export interface Steps {
  readonly termMs: number | null;
  readonly leaseMs: number | null;
  readonly startMs: number | null;
}

/** One session, past all proxies, opened anew where the server has been away. */
export class Ledger {
  private readonly url: string;
  private client: Promise<Client> | undefined;

  constructor(url: string) {
    this.url = url;
  }

  /** Into a database that Skein has migrated, before the first task. */
  async install(): Promise<void> {
    await this.query(CREATE);
  }

  /** Rejects while the server is away. */
  async query<Row extends object>(
    text: string,
    values?: readonly unknown[],
  ): Promise<readonly Row[]> {
    const client = await this.open();
    const { rows } = await client.query<Row>(text, values as unknown[] | undefined);
    return rows;
  }

  async one<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row> {
    const [row] = await this.query<Row>(text, values);
    if (row === undefined) throw new Error('the database answered without a row');
    return row;
  }

  moment(): Promise<Moment> {
    return this.one<Moment>(MOMENT);
  }

  async firstLeaseAfter(term: number): Promise<number | null> {
    return (await this.one<{ atMs: number | null }>(FIRST_LEASE, [term])).atMs;
  }

  steps(term: number): Promise<Steps> {
    return this.one<Steps>(STEPS, [term]);
  }

  /** Tasks that have ended so far. */
  async ended(): Promise<number> {
    return (await this.one<{ count: number }>(ENDED)).count;
  }

  async noteKilled(nodeId: number, atMs: number): Promise<void> {
    await this.query('insert into outages.killed values ($1, to_timestamp($2::float8 / 1000))', [
      nodeId,
      atMs,
    ]);
  }

  async close(): Promise<void> {
    const client = await this.client?.catch(() => undefined);
    await client?.end().catch(() => undefined);
  }

  private open(): Promise<Client> {
    if (this.client !== undefined) return this.client;
    const opening = connect(this.url, () => {
      if (this.client === opening) this.client = undefined;
    });
    this.client = opening;
    return opening;
  }
}

async function connect(url: string, onLost: () => void): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: 'outages',
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
  });
  client.on('error', onLost);
  client.on('end', onLost);
  try {
    await client.connect();
  } catch (thrown) {
    onLost();
    throw toError(thrown);
  }
  return client;
}
