import type { Mutant } from './mutant.ts';

/** What a node writes of its leases and its own row, and what the leader reads. */
const LEASES = 'node/store/lease-store.ts';
const READER = 'node/store/graph-reader.ts';
const REGISTRY = 'node/store/node-registry.ts';

export const NODE_STATEMENTS: readonly Mutant[] = [
  {
    name: 'completion-by-any-node',
    rule: 'rule 4',
    file: LEASES,
    find: 'where l.seq = d.seq and l.lease_seq = d.lease_seq and l.node_id = $1',
    replace: 'where l.seq = d.seq and l.lease_seq = d.lease_seq',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'the same node under an earlier lease is refused, and so is another node',
      },
    ],
  },
  {
    name: 'completion-under-any-number',
    rule: 'F21',
    file: LEASES,
    find: 'where l.seq = d.seq and l.lease_seq = d.lease_seq and l.node_id = $1',
    replace: 'where l.seq = d.seq and l.node_id = $1',
    why: 'A node settles by a lease that it lost and got again.',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'goes on when the task is retried: no lease of its former life is ever good again',
      },
    ],
  },
  {
    name: 'completion-in-any-order',
    rule: 'rule 11',
    file: LEASES,
    find: `as d (seq, lease_seq, started_ago_ms, finished_ago_ms, result)
  order by seq`,
    replace: 'as d (seq, lease_seq, started_ago_ms, finished_ago_ms, result)',
    killedBy: [
      {
        test: 'test/rules/rule-11-users-cannot-stall.test.ts',
        grep: 'locks rows in the order of their numbers, whatever the order asked',
      },
    ],
  },
  {
    name: 'winning-number-not-written',
    rule: 'rule 3',
    file: LEASES,
    find: 'set status = 1, lease_seq = g.lease_seq, attempt',
    replace: 'set status = 1, attempt',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'answers a settle whose COMMIT was lost: it was accepted, and only once',
      },
    ],
  },
  {
    name: 'completion-not-charged',
    rule: 'rule 17',
    file: LEASES,
    find: 'attempt = g.attempt + 1, node_id = $1',
    replace: 'attempt = g.attempt, node_id = $1',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'answers a settle whose COMMIT was lost: it was accepted, and only once',
      },
    ],
  },
  {
    name: 'start-before-the-lease',
    rule: 'rule 19',
    file: LEASES,
    find: `started_at = coalesce(g.started_at, greatest(g.leased_at,
      clock_timestamp() - g.started_ago_ms * interval '1 millisecond')),`,
    replace: `started_at = coalesce(g.started_at,
      clock_timestamp() - g.started_ago_ms * interval '1 millisecond'),`,
    killedBy: [
      {
        test: 'test/rules/statements-settle.test.ts',
        grep: 'rule 19: a child never starts before its parent ended',
      },
    ],
  },
  {
    name: 'failure-by-any-node',
    rule: 'rule 4',
    file: LEASES,
    find: `where l.lease_seq = d.lease_seq and l.node_id = $1
  order by l.seq for update of l`,
    replace: `where l.lease_seq = d.lease_seq and l.node_id is not null
  order by l.seq for update of l`,
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'the same node under an earlier lease is refused, and so is another node',
      },
    ],
  },
  {
    name: 'failure-under-any-number',
    rule: 'rule 4',
    file: LEASES,
    find: `where l.lease_seq = d.lease_seq and l.node_id = $1
  order by l.seq for update of l`,
    replace: `where l.node_id = $1
  order by l.seq for update of l`,
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'the same node under an earlier lease is refused, and so is another node',
      },
    ],
  },
  {
    name: 'failure-keeps-the-number',
    rule: 'rule 4',
    file: LEASES,
    find: 'set lease_seq = l.lease_seq + 1, node_id = null',
    replace: 'set node_id = null',
    why: 'What was settled once is accepted again under the same lease.',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a take-back that waits for a failed attempt leaves the next one alone',
      },
    ],
  },
  {
    name: 'failure-forgets-the-cancel',
    rule: 'rule 12',
    file: LEASES,
    find: 'case when l.cancel then 3 else d.settled_as end as settled_as',
    replace: 'd.settled_as as settled_as',
    killedBy: [
      {
        test: 'test/rules/statements-settle.test.ts',
        grep: 'rule 12: a marked lease that is settled as',
      },
    ],
  },
  {
    name: 'release-charged',
    rule: 'rule 17',
    file: LEASES,
    find: 'case when d.settled_as = 6 then 0 else 1 end as charged',
    replace: '1 as charged',
    killedBy: [
      {
        test: 'test/rules/statements-settle.test.ts',
        grep: 'rule 4: a lease given back raises the number and is remembered',
      },
    ],
  },
  {
    name: 'failed-attempt-not-remembered',
    rule: 'rule 3',
    file: LEASES,
    find: `when 6 then 'released' else 'failed' end`,
    replace: `when 6 then 'released' else 'lost' end`,
    why: 'A retry whose COMMIT was not answered cannot be told from a stale one.',
    killedBy: [
      {
        test: 'test/rules/statements-settle.test.ts',
        grep: 'rule 3: an accepted failure that is tried again is found by its number',
      },
    ],
  },
  {
    name: 'outcome-of-another-lease-taken-for-own',
    rule: 'rule 3',
    file: LEASES,
    find: 't.lease_seq = m.lease_seq and t.node_id = $1 then t.status',
    replace: 't.node_id = $1 then t.status',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'does not take the outcome of another lease, or of another node, for its own',
      },
    ],
  },
  {
    name: 'outcome-of-another-node-taken-for-own',
    rule: 'rule 3',
    file: LEASES,
    find: 't.lease_seq = m.lease_seq and t.node_id = $1 then t.status',
    replace: 't.lease_seq = m.lease_seq then t.status',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'does not take the outcome of another lease, or of another node, for its own',
      },
    ],
  },
  {
    name: 'absent-is-completed-whatever-is-listed',
    rule: 'rule 6',
    file: READER,
    find: 'case when l.seq is not null then 0 else coalesce(n.status, 1) end',
    replace: 'case when l.seq is not null then 0 else 1 end',
    killedBy: [
      {
        test: 'test/rules/rule-06-absent-is-completed-in-one-snapshot.test.ts',
        grep: 'sees a parent live until its failure is committed, and failed from then on',
      },
    ],
  },
  {
    name: 'live-side-not-looked-at',
    rule: 'rule 6',
    file: READER,
    find: 'case when l.seq is not null then 0 else coalesce(n.status, 1) end',
    replace: 'coalesce(n.status, 1)',
    killedBy: [
      {
        test: 'test/rules/rule-06-absent-is-completed-in-one-snapshot.test.ts',
        grep: 'sees a parent live until its failure is committed, and failed from then on',
      },
    ],
  },
  {
    name: 'retry-of-the-task-alone',
    rule: 'rule 13',
    file: READER,
    find: 'return [...below];',
    replace: 'return [...seqs];',
    killedBy: [
      {
        test: 'test/rules/statements-leader.test.ts',
        grep: 'rule 13: a retry brings back what was SKIPPED below it, and nothing else',
      },
    ],
  },
  {
    name: 'dead-node-renewed',
    rule: 'rule 18',
    file: REGISTRY,
    find: `where node_id = any ($1::bigint[]) and state in ('alive', 'draining')`,
    replace: 'where node_id = any ($1::bigint[])',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'a burial that commits first refuses the renewal: the node learns that it is dead',
      },
    ],
  },
  {
    name: 'stable-owner-name',
    rule: 'F14',
    file: REGISTRY,
    find: `  $12, $13, $14)
returning node_id`,
    replace: `  $12, $13, $14)
returning (select coalesce(min(n.node_id), skein.node.node_id) from skein.node n where n.name = $2)`,
    why: 'A restarted node takes itself for its predecessor, and settles by its leases.',
    killedBy: [
      {
        test: 'test/workers/pipeline.test.ts',
        grep: 'keeps the row of a node: its types, its lease, its groups, its end',
      },
    ],
  },
];
