import type { Mutant } from './mutant.ts';

/** Where tasks may run, what holds types back, and what tasks add. */
const STATE = 'node/core/scheduler-state.ts';
const SPAWNED = 'node/store/spawned-batch.ts';
const GATES = 'test/scheduler/gates.test.ts';
const SPAWN = 'test/api/spawn.test.ts';

export const PLACEMENTS: readonly Mutant[] = [
  {
    name: 'paused-type-runs',
    rule: 'a paused type waits',
    file: STATE,
    find: 'if (type.isPaused) return false;',
    replace: '',
    killedBy: [
      {
        test: GATES,
        grep: 'waits, blocks nobody behind it, and goes on where it was when it is resumed',
      },
    ],
  },
  {
    name: 'limit-before-the-leases-are-read',
    rule: 'limits are counted from live leases',
    file: STATE,
    find: 'return this.isTakenOver && type.leases.size < type.maxRunning;',
    replace: 'return type.leases.size < type.maxRunning;',
    why: 'A new leader gives out what the one before has given out already.',
    killedBy: [
      {
        test: GATES,
        grep: 'waits, after a failover, for the leases of the term before to be read',
      },
    ],
  },
  {
    name: 'doubted-lease-not-counted',
    rule: 'limits are counted from live leases',
    file: 'node/core/settlements.ts',
    find: 'state.suspend(row);',
    replace: 'state.unplace(row);',
    killedBy: [
      { test: GATES, grep: 'counts a lease that may have been committed, until it is read again' },
    ],
  },
  {
    name: 'one-label-is-enough',
    rule: 'a node must have all labels',
    file: 'node/core/members.ts',
    find: 'for (const label of labels) if (!member.labels.has(label)) return false;',
    replace: 'if (labels.length > 0 && !labels.some((l) => member.labels.has(l))) return false;',
    killedBy: [
      { test: GATES, grep: 'lead a task to a node that has them all, and block nobody behind it' },
    ],
  },
  {
    name: 'closed-class-ends-the-round',
    rule: 'a class that cannot run now blocks nobody behind it',
    file: 'node/core/scheduler.ts',
    find: `        contest.drop();
        continue;`,
    replace: '        return;',
    killedBy: [
      {
        test: GATES,
        grep: 'waits, blocks nobody behind it, and goes on where it was when it is resumed',
      },
    ],
  },
  {
    name: 'gates-not-read-at-takeover',
    rule: 'what holds types back outlives its leader',
    file: 'node/leader/takeover.ts',
    find: "mailbox.post({ kind: 'types-gated', ...gates });",
    replace: '',
    killedBy: [
      {
        test: 'test/leader/takeover.test.ts',
        grep: 'says that a load of pages is under way from before the first to after the last',
      },
    ],
  },
  {
    name: 'spawn-after-its-lease',
    rule: 'tasks are added under the lease of their parent',
    file: SPAWNED,
    find: '  oneOrThrow(await session.query(HOLD_PARENT, [parent.seq, parent.leaseSeq, parent.nodeId]));',
    replace: '',
    killedBy: [
      {
        test: SPAWN,
        grep: 'are rolled back where the lease is taken back before they are committed',
      },
    ],
  },
  {
    name: 'spawn-twice',
    rule: 'tasks are added once however often their parent is tried',
    file: SPAWNED,
    find: '(id) => byId.get(id) ?? 0);',
    replace: '() => 0);',
    killedBy: [
      {
        test: SPAWN,
        grep: 'are there once, however often an attempt adds them, and what is new is added',
      },
    ],
  },
];
