import type { Session, Statement } from './database.ts';

/**
 * What users may say about a type: that its tasks wait, and how many of them may run at the same time.
 * The leader reads it anew for the row that each change leaves in the inbox in the same commit. A type may
 * be held back before the first task of it is submitted.
 */
export interface TypeGate {
  readonly paused?: boolean;
  /** Null for no limit. */
  readonly maxRunning?: number | null;
}

export interface TypeRecord {
  readonly type: string;
  readonly paused: boolean;
  readonly maxRunning: number | null;
  /** A node has registered a handler of it at some time: it is never simulated again. */
  readonly isHandled: boolean;
  /** The names of the living nodes that handle it. */
  readonly nodes: readonly string[];
}

const SET_GATE: Statement = {
  name: 'type-control.set-gate',
  text: `
    with changed as (
      insert into skein.type as y (name, paused, max_running)
      values ($1, coalesce($2::boolean, false), case when $3::boolean then $4::int end)
      on conflict (namespace_id, name) do update
      set paused = coalesce($2::boolean, y.paused),
        max_running = case when $3::boolean then $4::int else y.max_running end
      returning type_id
    )
    insert into skein.inbox (kind, first_seq, last_seq)
    select 'types', type_id, type_id from changed`,
};

const COLUMNS = `y.type_id, y.name as type, y.paused, y.max_running, y.handled,
      array(
        select n.name from skein.node n
        where n.state = 'alive' and n.lease_until > clock_timestamp() and y.name = any(n.types)
        order by n.name
      ) as nodes`;

const FIND: Statement = {
  name: 'type-control.find',
  text: `select ${COLUMNS} from skein.type y where y.namespace_id = 0 and y.name = $1`,
};

const LIST: Statement = {
  name: 'type-control.list',
  text: `
    select ${COLUMNS} from skein.type y
    where y.namespace_id = 0 and y.type_id > $1
    order by y.type_id
    limit $2`,
};

interface TypeRow {
  readonly type_id: number;
  readonly type: string;
  readonly paused: boolean;
  readonly max_running: number | null;
  readonly handled: boolean;
  readonly nodes: readonly string[];
}

export interface TypePage {
  readonly types: readonly TypeRecord[];
  /** After which the next page begins; null where this is the last. */
  readonly next: number | null;
}

export class TypeControl {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async setGate(type: string, { paused, maxRunning }: TypeGate): Promise<void> {
    const limit = maxRunning ?? null;
    await this.#session.query(SET_GATE, [type, paused ?? null, maxRunning !== undefined, limit]);
  }

  async find(type: string): Promise<TypeRecord | null> {
    const [row] = await this.#session.query<TypeRow>(FIND, [type]);
    return row === undefined ? null : toRecord(row);
  }

  /** In the order in which the types were first heard of. */
  async list(limit: number, after: number | null): Promise<TypePage> {
    const rows = await this.#session.query<TypeRow>(LIST, [after ?? 0, limit]);
    const last = rows.at(-1);
    return {
      types: rows.map(toRecord),
      next: rows.length === limit && last !== undefined ? last.type_id : null,
    };
  }
}

function toRecord(row: TypeRow): TypeRecord {
  return {
    type: row.type,
    paused: row.paused,
    maxRunning: row.max_running,
    isHandled: row.handled,
    nodes: row.nodes,
  };
}
