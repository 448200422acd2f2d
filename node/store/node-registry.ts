import { BUILT_IN_TYPES } from '../core/handler.ts';
import { numbers, type Statement, type Statements } from './pipeline.ts';

/**
 * The rows of the nodes. A restart is a new row: identity is the incarnation, never the name, so that
 * a node which finds its own name in the table does not take itself for its predecessor.
 */
const REGISTER: Statement = {
  name: 'node-registry.register',
  text: `
insert into skein.node (incarnation, name, lease_until, boot_id, pid_namespace, pid, pid_started,
  http_url, grpc_address, slots, types, simulates, version, labels)
values ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', $4, $5, $6, $7, $8, $9, $10, $11,
  $12, $13, $14)
returning node_id`,
};

/** Types that this node handles, and those of our own: from now on they are never simulated. */
const HANDLE_TYPES: Statement = {
  name: 'node-registry.handleTypes',
  text: `
insert into skein.type (name, handled)
select name, true from unnest($1::text[]) as names (name) order by name
on conflict (namespace_id, name) do update set handled = true where not skein.type.handled`,
};

/** One statement renews every node given; a dead one is not among the answer. */
const RENEW_MANY: Statement = {
  name: 'node-registry.renewMany',
  text: `
update skein.node
set lease_until = clock_timestamp() + $2 * interval '1 millisecond',
  last_heartbeat_at = clock_timestamp()
where node_id = any ($1::bigint[]) and state in ('alive', 'draining')
returning node_id, (extract(epoch from lease_until) * 1000)::float8`,
};

const SET_STATE: Statement = {
  name: 'node-registry.setState',
  text: `
update skein.node set state = $2
where node_id = $1 and state in ('alive', 'draining')
returning node_id`,
};

/** By its incarnation too: after a failover the number may be another node's. */
const SIGN_OUT_FORMER: Statement = {
  name: 'node-registry.signOutFormer',
  text: `
update skein.node set state = 'left'
where node_id = $1 and incarnation = $2 and state in ('alive', 'draining')
returning node_id`,
};

const SET_PROCESS_GROUPS: Statement = {
  name: 'node-registry.setProcessGroups',
  text: 'update skein.node set process_groups = $2::int[] where node_id = $1 returning node_id',
};

export interface NodeFacts {
  readonly incarnation: string;
  readonly name: string;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly pidStarted: string;
  readonly httpUrl: string;
  readonly grpcAddress: string;
  readonly slots: number;
  readonly types: readonly string[];
  readonly simulates: boolean;
  readonly version: string;
  /** `key=value`, sorted, each once. */
  readonly labels: readonly string[];
}

export interface FormerLife {
  readonly nodeId: number;
  readonly incarnation: string;
}

export interface Renewal {
  readonly nodeId: number;
  readonly leaseUntilMs: number;
}

export class NodeRegistry {
  private readonly pipeline: Statements;

  constructor(pipeline: Statements) {
    this.pipeline = pipeline;
  }

  /** Writes the types first, so that whoever sees the node sees them as handled. */
  async register(facts: NodeFacts, leaseMs: number): Promise<number> {
    await this.pipeline.query(HANDLE_TYPES, [[...new Set([...facts.types, ...BUILT_IN_TYPES])]]);
    const [row] = await this.pipeline.query(REGISTER, [
      facts.incarnation,
      facts.name,
      leaseMs,
      facts.bootId,
      facts.pidNamespace,
      facts.pid,
      facts.pidStarted,
      facts.httpUrl,
      facts.grpcAddress,
      facts.slots,
      facts.types,
      facts.simulates,
      facts.version,
      facts.labels,
    ]);
    return row?.[0] as number;
  }

  /** All and only the nodes whose lease was renewed. */
  async renewMany(nodeIds: readonly number[], leaseMs: number): Promise<readonly Renewal[]> {
    const rows = await this.pipeline.query(RENEW_MANY, [numbers(nodeIds), leaseMs]);
    return rows.map((row) => ({ nodeId: row[0] as number, leaseUntilMs: row[1] as number }));
  }

  /** False where the database holds the node for dead already. */
  async setState(nodeId: number, state: 'alive' | 'draining' | 'left'): Promise<boolean> {
    return (await this.pipeline.query(SET_STATE, [nodeId, state])).length === 1;
  }

  /** A life of this node that is over; false where this server does not know it, or held it for dead. */
  async signOutFormer({ nodeId, incarnation }: FormerLife): Promise<boolean> {
    return (await this.pipeline.query(SIGN_OUT_FORMER, [nodeId, incarnation])).length === 1;
  }

  /** The process groups of children, written down before a child starts its task. */
  async setProcessGroups(nodeId: number, groups: readonly number[]): Promise<void> {
    await this.pipeline.query(SET_PROCESS_GROUPS, [nodeId, numbers(groups)]);
  }
}
