import type { Mutant } from './mutant.ts';

/** What users ask of tasks that are stored: limits of time, cancels, retries. */
const WRITER = 'node/store/term-writer.ts';
const EXPIRY = 'test/scheduler/expiry.test.ts';

const STATEMENTS = 'test/rules/statements-leader.test.ts';

export const CONTROLS: readonly Mutant[] = [
  {
    name: 'asked-taken-for-revived',
    rule: 'rule 13',
    file: 'node/leader/inbox.ts',
    find: '      for (const seq of cameBack) revived.add(seq);\n',
    replace: '      for (const seq of [...cameBack, ...found]) revived.add(seq);\n',
    why: 'A task that is skipped by an earlier end while it is retried stays SKIPPED.',
    killedBy: [
      {
        test: 'test/leader/inbox.test.ts',
        grep: 'brings back what was asked for, was not skipped yet, and is skipped meanwhile',
      },
    ],
  },
  {
    name: 'earlier-life-still-waits',
    rule: 'rule 13',
    file: 'node/core/arrivals.ts',
    find: '  state.forgetChild(seq, rows.deps[at] ?? []);\n',
    replace: '',
    why: 'One end is counted twice, and a task begins before its other dependencies have ended.',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'counts an end once where a task was cancelled, and retried with its dependencies',
      },
    ],
  },
  {
    name: 'rule-that-takes-a-skip-for-a-failure',
    rule: 'trigger rules',
    file: 'node/core/task.ts',
    find: `      if (failed > 0) return 'skip';
      return unended === 0 ? 'ready' : 'wait';`,
    replace: `      if (failed + skipped > 0) return 'skip';
      return unended === 0 ? 'ready' : 'wait';`,
    killedBy: [
      { test: 'test/scheduler/graphs.test.ts', grep: 'end as a reference of the contract says' },
    ],
  },
  {
    name: 'key-without-its-body',
    rule: 'Idempotency-Key',
    file: 'node/store/idempotency.ts',
    find: "if (row.fingerprint !== fingerprint) return { kind: 'key-reused' };",
    replace: '',
    killedBy: [
      { test: 'test/api/idempotency.test.ts', grep: 'refuses the key of another request' },
    ],
  },
  {
    name: 'bulk-in-one-round',
    rule: 'rule 11',
    file: 'node/leader/inbox.ts',
    find: 'await this.applyCancels(cancels, BULK_CANCELS_MAX);',
    replace: 'await this.applyCancels(cancels, Infinity);',
    killedBy: [
      {
        test: 'test/leader/inbox.test.ts',
        grep: 'applies what names very many tasks beside the rest, a few hundred at a time',
      },
    ],
  },
  {
    name: 'filter-of-nothing-is-everything',
    rule: 'bulk',
    file: 'node/api/bulk.ts',
    find: 'if (!hasFilter && all !== true) {',
    replace: 'if (!hasFilter && all === false) {',
    killedBy: [
      {
        test: 'test/api/bulk.test.ts',
        grep: 'refuse a filter that names nothing, or what can have no such task',
      },
    ],
  },
  {
    name: 'expiry-of-a-held-task',
    rule: 'rule 4',
    file: WRITER,
    find: `seq = any ($2::bigint[]) and node_id is null
    and expires_at <= clock_timestamp()`,
    replace: `seq = any ($2::bigint[])
    and expires_at <= clock_timestamp()`,
    killedBy: [
      { test: STATEMENTS, grep: 'an expiry that waited for a lease leaves the task alone' },
    ],
  },
  {
    name: 'expiry-before-its-time',
    rule: 'ttl_ms',
    file: WRITER,
    find: '    and expires_at <= clock_timestamp()\n',
    replace: '',
    killedBy: [
      { test: STATEMENTS, grep: 'an expiry ends what nobody has begun in time, and nothing else' },
    ],
  },
  {
    name: 'expiry-of-what-was-lost-while-it-ran',
    rule: 'ttl_ms',
    file: WRITER,
    find: `expires_at = case when $5 <> 'lost' then l.expires_at end`,
    replace: 'expires_at = l.expires_at',
    killedBy: [
      {
        test: STATEMENTS,
        grep: 'what has begun does not expire, what was given back unbegun does',
      },
    ],
  },
  {
    name: 'expiry-of-what-has-begun',
    rule: 'ttl_ms',
    file: 'node/store/lease-store.ts',
    find: 'expires_at = case when k.started_at is null then l.expires_at end',
    replace: 'expires_at = l.expires_at',
    killedBy: [
      {
        test: STATEMENTS,
        grep: 'what has begun does not expire, what was given back unbegun does',
      },
    ],
  },
  {
    name: 'expiry-forgotten-while-it-was-held',
    rule: 'ttl_ms',
    file: 'node/core/scheduler-state.ts',
    find: '    this.deadlines.arm(graph.at(graph.seq, row));\n',
    replace: '',
    killedBy: [
      { test: EXPIRY, grep: 'expire after all where they come back without having begun' },
    ],
  },
  {
    name: 'expiry-after-a-try',
    rule: 'ttl_ms',
    file: 'node/core/settlements.ts',
    find: 'if (settledAs === SettledAs.RETRY) state.deadlines.delete(seq);',
    replace: '',
    killedBy: [
      { test: EXPIRY, grep: 'are left alone while they run, and after a try or a lost lease' },
    ],
  },
  {
    name: 'expiry-that-no-new-leader-knows',
    rule: 'ttl_ms',
    file: 'node/core/arrivals.ts',
    find: 'state.deadlines.set(seq, hasBegun ? 0 : (rows.expiresAtMs[at] as number));',
    replace: 'state.deadlines.set(seq, hasBegun ? 0 : 0);',
    killedBy: [{ test: EXPIRY, grep: 'are asked to end when it is over, wherever they wait' }],
  },
];
