import type { Mutant } from './mutant.ts';

/** What is made of ends: by trigger rules, by budgets, by whoever is told. */
const TASK = 'node/core/task.ts';

export const OUTCOMES: readonly Mutant[] = [
  {
    name: 'started-before-the-last-parent',
    rule: 'I4',
    file: TASK,
    find: `if (failed + skipped > 0) return 'skip';
      return unended === 0 ? 'ready' : 'wait';`,
    replace: `if (failed + skipped > 0) return 'skip';
      return unended <= 1 ? 'ready' : 'wait';`,
    killedBy: [{ test: 'test/core/task.test.ts', grep: 'a task' }, { seeds: 100 }],
  },
  {
    name: 'failed-parent-taken-for-a-success',
    rule: 'I4',
    file: TASK,
    find: `if (failed + skipped > 0) return 'skip';
      return unended`,
    replace: `if (skipped > 0) return 'skip';
      return unended`,
    killedBy: [{ test: 'test/core/task.test.ts', grep: 'a task' }, { seeds: 100 }],
  },
  {
    name: 'all-done-at-the-first-end',
    rule: 'I4',
    file: TASK,
    find: `case TriggerRule.all_done:
      return unended === 0 ? 'ready' : 'wait';`,
    replace: `case TriggerRule.all_done:
      return succeeded + failed + skipped > 0 ? 'ready' : 'wait';`,
    killedBy: [{ test: 'test/core/task.test.ts', grep: 'a task' }, { seeds: 100 }],
  },
  {
    name: 'one-success-never-skipped',
    rule: 'I2',
    file: TASK,
    find: `if (succeeded > 0) return 'ready';
      return unended === 0 ? 'skip' : 'wait';`,
    replace: `if (succeeded > 0) return 'ready';
      return 'wait';`,
    killedBy: [{ test: 'test/core/task.test.ts', grep: 'a task' }, { seeds: 100 }],
  },
  {
    name: 'skip-taken-for-a-success',
    rule: 'I4',
    file: 'node/core/scheduler-state.ts',
    find: `          ? Seen.SKIP
          : Seen.FAILURE;`,
    replace: `          ? Seen.SUCCESS
          : Seen.FAILURE;`,
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'takes a skipped dependency for neither a success nor a failure',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'one-attempt-too-many',
    rule: 'I3',
    file: 'node/worker/executor.ts',
    find: 'isFatal(cause) || attempt >= work.maxAttempts',
    replace: 'isFatal(cause) || attempt > work.maxAttempts',
    killedBy: [
      {
        test: 'test/workers/outcomes.test.ts',
        grep: 'of the last attempt is the end, and carries its error',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'stale-outcome-told',
    rule: 'rule 3',
    file: 'node/worker/settler.ts',
    find: 'return accepted.map(toCompleted);',
    replace: 'return [...new Set([...accepted, ...done.seqs])].map(toCompleted);',
    why: 'A success under a lease that is over releases the children of its task.',
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'under a lease that is over is dropped and counted',
      },
    ],
  },
  {
    name: 'release-taken-for-an-end',
    rule: 'rule 4',
    file: 'node/core/settlements.ts',
    find: 'if (settledAs !== SettledAs.RETRY && settledAs !== SettledAs.RELEASED) {',
    replace: 'if (settledAs !== SettledAs.RETRY) {',
    killedBy: [{ seeds: 100 }],
  },
  {
    name: 'takeover-without-the-live-set',
    rule: 'rule 2',
    file: 'node/leader/takeover.ts',
    find: `  await mailbox.postAndWait({ kind: 'tasks-loaded', rows });
  return`,
    replace: `  await mailbox.postAndWait({ kind: 'time-passed' });
  return`,
    why: 'What an earlier leader has applied stands in no inbox.',
    killedBy: [
      {
        test: 'test/leader/takeover.test.ts',
        grep: 'says that a load of pages is under way from before the first to after the last',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'due-task-forgotten',
    rule: 'I2',
    file: 'node/core/scheduler.ts',
    find: `    this.releaseDue();
    this.lease();`,
    replace: '    this.lease();',
    killedBy: [
      { test: 'test/scheduler/scheduler.test.ts', grep: 'waits for run_at, and only for it' },
    ],
  },
  {
    name: 'submitted-tasks-not-loaded',
    rule: 'rule 2',
    file: 'node/leader/inbox.ts',
    find: 'for (const range of mergeRanges(rows.filter(isLoad))) await this.loadRange(range);',
    replace:
      'for (const range of mergeRanges(rows.filter(isLoad)).slice(1)) await this.loadRange(range);',
    why: 'The row is applied and deleted, and nobody ever looks at its tasks again.',
    killedBy: [{ seeds: 100 }],
  },
  {
    name: 'lost-office-lost-for-ever',
    rule: 'F15',
    file: 'node/core/election.ts',
    find: '? Math.max(state.campaignsFromMs, now.atMs + timings.penaltyMs)',
    replace: '? Infinity',
    why: 'A node that has led once never stands again.',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'only reads for penaltyMs after it lost the office',
      },
      { seeds: 400 },
    ],
  },
];
