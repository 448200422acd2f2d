import { errors } from '../base/errors.ts';

/**
 * Which PostgreSQL is the one. A node knows an address, and after a failover the same address leads to
 * another server with another history: what the old one acknowledged last may be missing in it, and
 * the numbers of nodes, tasks and leases in that lost tail are given out again. Two things tell the
 * histories apart, and every role may ask for them: the `system_identifier`, which a standby shares
 * with its primary, and the timeline, which every promotion raises.
 *
 *   1. A session is used only after its server has said that it takes writes: one in recovery, or one
 *      that is read-only, is refused (`target_session_attrs=read-write`). That costs one round trip a
 *      connection and nothing later.
 *   2. A process is on one server at a time, for one **era**. The first session that reaches another
 *      one begins the next era, and at that moment every session of the old one is cut, wherever it
 *      leads: no node reads from one history and writes into another.
 *   3. There is no way back. A server that this process has left, and one of an earlier timeline than
 *      the present, is refused: an old primary that lives on, or wakes up, is never taken for the new.
 *      Where somebody means to go back to it, the nodes are restarted.
 *   4. A life of a node belongs to one era (`Anchor`), because its number and its leases may be
 *      another's in the new history. When the era ends, the life does: it leads no more, interrupts its
 *      tasks, and the node begins anew under another number.
 *   5. Nodes of different eras do not talk: the hello names the era, and a leader refuses any other.
 *      So node 7 of one history is never taken for node 7 of the other, and what one history calls
 *      settled releases nothing in the other.
 *
 * Sessions that live on at an old primary notice nothing by themselves, so each process also opens one
 * now and then to see where the address leads today (primary-probe.ts).
 *
 * What it does not promise: to tell apart two standbys that were promoted side by side (they share
 * both marks), or a server whose disk was put back to an earlier state; nor that nobody writes into an
 * old primary that nobody fenced. Whoever promotes must see to it that there is only one.
 */
export interface ServerIdentity {
  /** A number of 64 bits, as the server says it. */
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** Where a session asks whether it may be used, before its first statement. */
export interface Servers {
  /** The present era's; empty before the first session, and where any primary will do. */
  readonly serverName: string;
  /** @throws AppError `database_not_primary` where it must not be. */
  meet(server: ServerIdentity): Era;
}

/** Select list of the one question; every role may ask it. The last is null in recovery. */
export const SERVER_COLUMNS = `
  pg_is_in_recovery() as in_recovery,
  current_setting('transaction_read_only') as read_only,
  (select system_identifier::text from pg_control_system()) as system_identifier,
  case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as wal_file`;

export interface ServerRow {
  readonly in_recovery: boolean;
  readonly read_only: string;
  readonly system_identifier: string;
  /** `000000020000000100000003`: the first eight digits are the timeline. */
  readonly wal_file: string | null;
}

/**
 * The timeline is that of the file being written now: pg_control_checkpoint() tells that of the last
 * checkpoint, which after a promotion is the old one for a while.
 */
export function identityOrThrow(row: Partial<ServerRow> | undefined): ServerIdentity {
  if (row?.in_recovery === true) throw errors.databaseNotPrimary('it is a standby, in recovery');
  if (row?.read_only !== 'off') throw errors.databaseNotPrimary('it is read-only');
  const { system_identifier: systemIdentifier, wal_file: file } = row;
  if (systemIdentifier === undefined || file == null) {
    throw errors.databaseNotPrimary('it does not say which server it is');
  }
  return { systemIdentifier, timeline: Number.parseInt(file.slice(0, 8), 16) };
}

/** The time for which a process holds one server for the primary. Once over it never comes back. */
export class Era {
  readonly server: ServerIdentity;
  readonly #listeners = new Set<() => void>();
  #isOver = false;

  constructor(server: ServerIdentity) {
    this.server = server;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** For peers and logs: `7612345678901234567/2`. */
  get name(): string {
    return nameOf(this.server);
  }

  /** Called once when it is over, after `isOver` says so; the answer takes the listener back. */
  onOver(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    this.#isOver = true;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

/** One for each process: the present era, and the servers that were left. */
export class PrimaryWatch implements Servers {
  readonly #onChanged: (from: ServerIdentity, to: ServerIdentity) => void;
  #era: Era | undefined;
  /** By system identifier, the latest timeline that this process was on. */
  readonly #left = new Map<string, number>();

  constructor(onChanged: (from: ServerIdentity, to: ServerIdentity) => void = () => undefined) {
    this.#onChanged = onChanged;
  }

  /** Undefined until the first session has reached a server. */
  get era(): Era | undefined {
    return this.#era;
  }

  get serverName(): string {
    return this.#era?.name ?? '';
  }

  meet(server: ServerIdentity): Era {
    const present = this.#era;
    if (present !== undefined && isSame(present.server, server)) return present;
    this.#refuseLeft(server);
    const era = new Era(server);
    this.#era = era;
    if (present === undefined) return era;
    this.#left.set(present.server.systemIdentifier, present.server.timeline);
    this.#onChanged(present.server, server);
    present.end();
    return era;
  }

  #refuseLeft(server: ServerIdentity): void {
    const present = this.#era?.server;
    const { systemIdentifier, timeline } = server;
    const left =
      present?.systemIdentifier === systemIdentifier
        ? present.timeline
        : this.#left.get(systemIdentifier);
    if (left === undefined || timeline > left) return;
    throw errors.databaseNotPrimary(
      `it is server ${nameOf(server)}, and this node has moved on to ${present ? nameOf(present) : ''}`,
    );
  }
}

/** Keeps one life of a node on one server: the first that its sessions reach. */
export class Anchor implements Servers {
  readonly #servers: Servers;
  readonly #onOver: () => void;
  #era: Era | undefined;

  /** `onOver` is called once, inside whatever met another server first. */
  constructor(servers: Servers, onOver: () => void) {
    this.#servers = servers;
    this.#onOver = onOver;
  }

  get serverName(): string {
    return this.#era?.name ?? '';
  }

  get isOver(): boolean {
    return this.#era?.isOver ?? false;
  }

  meet(server: ServerIdentity): Era {
    const era = this.#servers.meet(server);
    if (this.#era === undefined) {
      this.#era = era;
      era.onOver(this.#onOver);
    }
    if (era === this.#era) return era;
    throw errors.databaseNotPrimary(
      `it is server ${nameOf(server)}, and this life of the node began on ${this.#era.name}`,
    );
  }
}

/** For sessions that outlive nothing: any server that takes writes will do. */
export const ANY_PRIMARY: Servers = { serverName: '', meet: (server) => new Era(server) };

function isSame(a: ServerIdentity, b: ServerIdentity): boolean {
  return a.systemIdentifier === b.systemIdentifier && a.timeline === b.timeline;
}

function nameOf({ systemIdentifier, timeline }: ServerIdentity): string {
  return `${systemIdentifier}/${String(timeline)}`;
}
