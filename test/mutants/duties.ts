import type { Mutant } from './mutant.ts';

/** What the leader does beside leasing: fires of schedules, and the removal of history. */
const FIRER = 'node/store/schedule-firer.ts';
const FIRES = 'node/store/schedule-fires.ts';
const HISTORY = 'node/store/history.ts';
const FIRER_TEST = 'test/schedules/firer.test.ts';
const HISTORY_TEST = 'test/store/history.test.ts';

export const DUTIES: readonly Mutant[] = [
  {
    name: 'fire-without-fence',
    rule: 'F43',
    file: FIRER,
    find: 'if (fence.length !== 1) throw new DeposedError();',
    replace: '',
    killedBy: [{ test: FIRER_TEST, grep: 'of a leader that waits for a takeover are refused' }],
  },
  {
    name: 'fire-whatever-has-fired',
    rule: 'F43',
    file: FIRES,
    find: 's.next_fire_at is not distinct from g.was_next',
    replace: 'true',
    why: 'The unique id stands behind it, and what was counted twice shows.',
    killedBy: [{ test: FIRER_TEST, grep: 'of one reading are submitted once' }],
  },
  {
    name: 'fire-what-a-user-has-changed',
    rule: 'F43',
    file: FIRES,
    find: 'where s.revision = g.revision and',
    replace: 'where',
    killedBy: [{ test: FIRER_TEST, grep: 'are void where a user has changed, paused or removed' }],
  },
  {
    name: 'removal-without-fence',
    rule: 'rule 15',
    file: HISTORY,
    find: `const [row] = await session.query<{ fence: number; removed: number }>(REMOVE, values);
      if (row?.fence !== 1) throw new DeposedError();`,
    replace: `const [row] = await session.query<{ fence: number; removed: number }>(REMOVE, values);
      if (row === undefined) throw new DeposedError();`,
    killedBy: [{ test: HISTORY_TEST, grep: 'removes nothing for a leader whose term is over' }],
  },
  {
    name: 'removal-under-an-unfinished-task',
    rule: 'rule 15',
    file: HISTORY,
    find: 'isReferenced: inLive.has(seq) ||',
    replace: 'isReferenced:',
    killedBy: [{ test: HISTORY_TEST, grep: 'leaves what an unfinished task depends on' }],
  },
  {
    name: 'removal-under-a-task-to-retry',
    rule: 'rule 15',
    file: HISTORY,
    find: '(ended.get(seq)?.is_referenced ?? false)',
    replace: 'false',
    killedBy: [{ test: HISTORY_TEST, grep: 'as long as something that can be revived depends' }],
  },
  {
    name: 'removal-waits-for-submits',
    rule: 'rule 15',
    file: HISTORY,
    find: 'for update of t skip locked',
    replace: '',
    killedBy: [{ test: HISTORY_TEST, grep: 'waits for nobody: what a submit holds is left' }],
  },
  {
    name: 'removal-of-half-a-workflow',
    rule: 'rule 15',
    file: HISTORY,
    find: 'where w.workflow_seq = t.workflow_seq))`',
    replace: 'where w.workflow_seq = t.workflow_seq and false))`',
    killedBy: [{ test: HISTORY_TEST, grep: 'takes a workflow as a whole or not at all' }],
  },
];
