import { CONTACTS } from './contact.ts';
import { CONTROLS } from './control.ts';
import { DUTIES } from './duties.ts';
import { ELECTION } from './election.ts';
import { LEADER_STATEMENTS } from './leader-statements.ts';
import { LEADER } from './leader.ts';
import type { Mutant } from './mutant.ts';
import { NODE_STATEMENTS } from './node-statements.ts';
import { NODES } from './nodes.ts';
import { OUTCOMES } from './outcomes.ts';
import { PLACEMENTS } from './placement.ts';
import { SCHEDULING } from './scheduler.ts';
import { SETTLED } from './settlements.ts';
import { SUBMITS } from './submissions.ts';

/** All mutants, those of one theme together. */
export const MUTANTS: readonly Mutant[] = [
  ...LEADER_STATEMENTS,
  ...NODE_STATEMENTS,
  ...SUBMITS,
  ...ELECTION,
  ...CONTACTS,
  ...NODES,
  ...LEADER,
  ...OUTCOMES,
  ...SCHEDULING,
  ...SETTLED,
  ...CONTROLS,
  ...DUTIES,
  ...PLACEMENTS,
];
