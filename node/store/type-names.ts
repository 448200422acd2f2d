import type { Database, Statement } from './database.ts';

/** Names are users' words: without a bound, a client that makes them up would fill the memory. */
const CACHED_MAX = 10_000;

const FIND: Statement = {
  name: 'type-names.find',
  text: `select type_id, name from skein.type where namespace_id = 0 and name = any($1::text[])`,
};

const ADD: Statement = {
  name: 'type-names.add',
  text: `
    insert into skein.type (namespace_id, name)
    select 0, name from unnest($1::text[]) name
    order by name
    on conflict (namespace_id, name) do nothing`,
};

/** Numbers of types by name, as they are on one server. */
export interface TypeIds {
  readonly serverName: string;
  get(name: string): number | undefined;
}

/**
 * The numbers of task types by name. A type is never renamed or removed, so a found one stays, until
 * the database fails over: a type that was only in the lost tail may leave its number to another.
 */
export class TypeNames {
  readonly #database: Pick<Database, 'query' | 'serverName'>;
  readonly #known = new Map<string, number>();
  #knownOn = '';

  constructor(database: Pick<Database, 'query' | 'serverName'>) {
    this.#database = database;
  }

  /** Whether any of the names is that of no type yet. */
  async hasNew(names: Iterable<string>): Promise<boolean> {
    const wanted = new Set(names);
    return (await this.#find(wanted)).size < wanted.size;
  }

  /**
   * The number of each name; new names are added by a statement of their own, ahead of the transaction
   * that needs them, because two first submits of one type would otherwise wait for each other.
   */
  async resolve(names: Iterable<string>): Promise<TypeIds> {
    const { serverName } = this.#database;
    const wanted = new Set(names);
    let found = await this.#find(wanted);
    if (found.size < wanted.size) {
      const added = [...wanted].filter((name) => !found.has(name));
      await this.#database.query(ADD, [added]);
      found = await this.#find(wanted);
    }
    return { serverName, get: (name) => found.get(name) };
  }

  async #find(names: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
    const { serverName } = this.#database;
    if (this.#knownOn !== serverName) this.#known.clear();
    this.#knownOn = serverName;
    const found = new Map<string, number>();
    const missing: string[] = [];
    for (const name of names) {
      const id = this.#known.get(name);
      if (id === undefined) missing.push(name);
      else found.set(name, id);
    }
    if (missing.length === 0) return found;
    const rows = await this.#database.query<{ type_id: number; name: string }>(FIND, [missing]);
    const isStillThere = this.#database.serverName === serverName;
    if (this.#known.size + rows.length > CACHED_MAX) this.#known.clear();
    for (const row of rows) {
      found.set(row.name, row.type_id);
      if (isStillThere && rows.length <= CACHED_MAX) this.#known.set(row.name, row.type_id);
    }
    return found;
  }
}
