import type { Session, Statement } from './database.ts';

/**
 * What people ask of a node. The row of its present life says so; the leader finds it there and tells the
 * node. The event is written by the same statement, where anything changes.
 */
const SET_DRAIN: Statement = {
  name: 'node-control.set-drain',
  text: `
    with target as (
      select node_id, state in ('alive', 'draining') and lease_until > clock_timestamp() as is_here
      from skein.node
      where name = $1
      order by node_id desc
      limit 1
    ), changed as (
      update skein.node n
      set drain_asked_at = case when $2::boolean then clock_timestamp() end,
        state = case when $2::boolean then n.state else 'alive' end
      from target t
      where n.node_id = t.node_id and t.is_here and n.state in ('alive', 'draining')
        and case when $2::boolean then n.drain_asked_at is null
          else n.drain_asked_at is not null or n.state = 'draining' end
      returning n.name
    ), said as (
      insert into skein.event (kind, node_name)
      select case when $2::boolean then 'drain-asked' else 'drain-ended' end, name from changed
    )
    select is_here from target`,
};

export class NodeControl {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Null where no node of that name is known; false where it has left, or its lease is over. */
  async setDrain(name: string, isOn: boolean): Promise<boolean | null> {
    const [row] = await this.#session.query<{ is_here: boolean }>(SET_DRAIN, [name, isOn]);
    return row?.is_here ?? null;
  }
}
