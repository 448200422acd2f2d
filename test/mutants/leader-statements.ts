import type { Mutant } from './mutant.ts';

/** What the leader writes: the fence, the guards of each statement, and what it leaves behind. */
const WRITER = 'node/store/term-writer.ts';

export const LEADER_STATEMENTS: readonly Mutant[] = [
  {
    name: 'fence-dropped',
    rule: 'rule 9',
    file: WRITER,
    find: `const FENCED = 'exists (select 1 from fence)';`,
    replace: `const FENCED = 'true';`,
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are none where a takeover is under way: the statement waits for it and says: deposed',
      },
    ],
  },
  {
    name: 'fence-without-row-lock',
    rule: 'F2',
    file: WRITER,
    find: 'where id = 1 and term = $1 for share',
    replace: 'where id = 1 and term = $1',
    why: 'A write that began before the takeover commits after it.',
    killedBy: [
      {
        test: 'test/rules/statements-lease.test.ts',
        grep: 'rule 1: waits for a takeover under way, and then writes nothing',
      },
    ],
  },
  {
    name: 'deposed-taken-for-no-work',
    rule: 'rule 9',
    file: WRITER,
    find: 'if (row?.[0] !== 1) throw new DeposedError();',
    replace: 'if (row === undefined) throw new DeposedError();',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are none where a takeover is under way: the statement waits for it and says: deposed',
      },
    ],
  },
  {
    name: 'lease-of-any-number',
    rule: 'rule 9',
    file: WRITER,
    find: 'where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id is null and not l.cancel',
    replace: 'where ${FENCED} and l.node_id is null and not l.cancel',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are those that are as the leader knows them: number, holder, mark, time',
      },
    ],
  },
  {
    name: 'lease-of-a-held-task',
    rule: 'rule 9',
    file: WRITER,
    find: 'and l.lease_seq = w.lease_seq and l.node_id is null and not l.cancel',
    replace: 'and l.lease_seq = w.lease_seq and not l.cancel',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are those that are as the leader knows them: number, holder, mark, time',
      },
    ],
  },
  {
    name: 'lease-of-a-marked-task',
    rule: 'rule 12',
    file: WRITER,
    find: 'and l.node_id is null and not l.cancel',
    replace: 'and l.node_id is null',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are those that are as the leader knows them: number, holder, mark, time',
      },
    ],
  },
  {
    name: 'lease-before-its-time',
    rule: 'rule 9',
    file: WRITER,
    find: 'and (l.run_at is null or l.run_at <= clock_timestamp())',
    replace: '',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are those that are as the leader knows them: number, holder, mark, time',
      },
    ],
  },
  {
    name: 'lease-waits-for-a-lock',
    rule: 'rule 9',
    file: WRITER,
    find: 'for no key update of l skip locked',
    replace: 'for no key update of l',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'do not include one that somebody has locked, for which nobody waits',
      },
    ],
  },
  {
    name: 'lease-keeps-its-number',
    rule: 'F22',
    file: WRITER,
    find: 'set lease_seq = l.lease_seq + 1, node_id = f.node_id, leased_at',
    replace: 'set lease_seq = l.lease_seq, node_id = f.node_id, leased_at',
    killedBy: [
      {
        test: 'test/rules/rule-09-only-returned-rows.test.ts',
        grep: 'are those that are as the leader knows them: number, holder, mark, time',
      },
    ],
  },
  {
    name: 'skip-of-a-held-task',
    rule: 'rule 4',
    file: WRITER,
    find: 'and seq = any ($2::bigint[]) and node_id is null\n  order by',
    replace: 'and seq = any ($2::bigint[])\n  order by',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a task that is leased while the leader takes it for skipped runs on',
      },
    ],
  },
  {
    name: 'take-back-from-any-node',
    rule: 'rule 4',
    file: WRITER,
    find: 'where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id = $4',
    replace: 'where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id is not null',
    why: 'The guard is the number and the node, always.',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a take-back is of the very lease: its number and its node',
      },
    ],
  },
  {
    name: 'take-back-of-any-number',
    rule: 'rule 4',
    file: WRITER,
    find: 'where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id = $4',
    replace: 'where ${FENCED} and l.node_id = $4',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a take-back is of the very lease: its number and its node',
      },
    ],
  },
  {
    name: 'take-back-keeps-the-number',
    rule: 'rule 4',
    file: WRITER,
    find: `set lease_seq = l.lease_seq + 1, node_id = null, leased_at = null, started_at = null,
    losses`,
    replace: `set node_id = null, leased_at = null, started_at = null,
    losses`,
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a settle that waits for a take-back comes too late',
      },
    ],
  },
  {
    name: 'take-back-forgets-the-cancel',
    rule: 'rule 12',
    file: WRITER,
    find: 'select l.seq, l.lease_seq, l.attempt, l.cancel, l.started_at',
    replace: 'select l.seq, l.lease_seq, l.attempt, false as cancel, l.started_at',
    killedBy: [
      {
        test: 'test/rules/rule-12-cancel-outlives-the-lease.test.ts',
        grep: 'where its node is lost, or had never heard of the lease',
      },
    ],
  },
  {
    name: 'take-back-in-any-order',
    rule: 'rule 11',
    file: WRITER,
    find: `and l.node_id = $4
  order by l.seq for update of l`,
    replace: `and l.node_id = $4
  for update of l`,
    killedBy: [
      {
        test: 'test/rules/rule-11-users-cannot-stall.test.ts',
        grep: 'locks rows in the order of their numbers, whatever the order asked',
      },
    ],
  },
  {
    name: 'lost-lease-charged',
    rule: 'rule 17',
    file: WRITER,
    find: 'losses = least(l.losses +',
    replace: 'attempt = l.attempt + 1, losses = least(l.losses +',
    killedBy: [
      {
        test: 'test/rules/statements-lease.test.ts',
        grep: 'rule 17: charges no attempt for a lease, a lost one or one given back',
      },
    ],
  },
  {
    name: 'lost-lease-not-counted',
    rule: 'rule 17',
    file: WRITER,
    find: `case when $5 = 'lost' then 1 else 0 end`,
    replace: '0',
    why: 'A task that kills its node would kill every node in turn.',
    killedBy: [
      {
        test: 'test/rules/rule-04-every-outcome-ends-the-lease.test.ts',
        grep: 'a settle that waits for a take-back comes too late',
      },
    ],
  },
  {
    name: 'burial-without-the-clock',
    rule: 'rule 18',
    file: WRITER,
    find: `and ($3 or lease_until + $4 * interval '1 millisecond' < clock_timestamp())`,
    replace: 'and ($3 or $4 > 0)',
    killedBy: [
      {
        test: 'test/rules/statements-leader.test.ts',
        grep: 'rule 18: a node is buried when its lease and the guard are over',
      },
    ],
  },
  {
    name: 'burial-without-the-guard',
    rule: 'rule 18',
    file: WRITER,
    find: `lease_until + $4 * interval '1 millisecond' < clock_timestamp()`,
    replace: `lease_until + 0 * $4 * interval '1 millisecond' < clock_timestamp()`,
    killedBy: [
      {
        test: 'test/rules/statements-leader.test.ts',
        grep: 'rule 18: a node is buried when its lease and the guard are over',
      },
    ],
  },
  {
    name: 'retry-from-0',
    rule: 'rule 3',
    file: WRITER,
    find: 'select seq, type_id, priority, lease_seq + 1, coalesce(',
    replace: 'select seq, type_id, priority, 0, coalesce(',
    killedBy: [
      {
        test: 'test/rules/rule-03-lease-number-outlives-the-row.test.ts',
        grep: 'goes on when the task is retried: no lease of its former life is ever good again',
      },
    ],
  },
  {
    name: 'revived-and-still-listed',
    rule: 'rule 6',
    file: WRITER,
    find: 'delete from skein.not_completed where seq in (select seq from locked)',
    replace: 'delete from skein.not_completed where false and seq in (select seq from locked)',
    killedBy: [
      {
        test: 'test/rules/statements-settle.test.ts',
        grep: 'rule 3: a revive starts above the winning number, which settles no more',
      },
    ],
  },
  {
    name: 'revival-of-a-completed-task',
    rule: 'rule 13',
    file: WRITER,
    find: 'and status in (2, 3, 4)',
    replace: 'and status in (1, 2, 3, 4)',
    killedBy: [
      {
        test: 'test/rules/statements-leader.test.ts',
        grep: 'rule 13: a task that was retried before and has COMPLETED since stays so',
      },
    ],
  },
];
