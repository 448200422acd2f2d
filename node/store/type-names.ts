import type { Session, Statement } from './database.ts';

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

/** The numbers of task types by name. A type is never renamed or removed, so a found one stays. */
export class TypeNames {
  readonly #session: Session;
  readonly #known = new Map<string, number>();

  constructor(session: Session) {
    this.#session = session;
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
  async resolve(names: Iterable<string>): Promise<ReadonlyMap<string, number>> {
    const wanted = new Set(names);
    const found = await this.#find(wanted);
    if (found.size === wanted.size) return found;
    const added = [...wanted].filter((name) => !found.has(name));
    await this.#session.query(ADD, [added]);
    return this.#find(wanted);
  }

  async #find(names: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    const missing: string[] = [];
    for (const name of names) {
      const id = this.#known.get(name);
      if (id === undefined) missing.push(name);
      else found.set(name, id);
    }
    if (missing.length === 0) return found;
    const rows = await this.#session.query<{ type_id: number; name: string }>(FIND, [missing]);
    if (this.#known.size + rows.length > CACHED_MAX) this.#known.clear();
    for (const row of rows) {
      found.set(row.name, row.type_id);
      if (rows.length <= CACHED_MAX) this.#known.set(row.name, row.type_id);
    }
    return found;
  }
}
