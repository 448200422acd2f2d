import type { Mutant } from './mutant.ts';

/** What the core makes of outcomes, inventories and rows that were read again. */
const SETTLEMENTS = 'node/core/settlements.ts';

export const SETTLED: readonly Mutant[] = [
  {
    name: 'inventory-without-its-number',
    rule: 'rule 8',
    file: SETTLEMENTS,
    find: 'if (row === NONE || graph.at(graph.grantStep, row) > event.throughStep) continue;',
    replace: 'if (row === NONE) continue;',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'judges a lease by an inventory only when its grant was processed before',
      },
    ],
  },
  {
    name: 'missing-lease-released-unread',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `claimHeld(state, event.nodeId, seq, 'inventory');`,
    replace: `state.requeue(row, graph.at(graph.leaseSeq, row));`,
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'judges a lease by an inventory only when its grant was processed before',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'missing-lease-not-noticed',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `if (claim.by === 'inventory' && holds) {`,
    replace: `if (claim.by === 'inventory' && claim.seq < 0) {`,
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'is read again and, where nobody runs it, given back',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'foreign-lease-not-aborted',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `if (claim.by === 'node' && !holds) {`,
    replace: `if (claim.by === 'node' && claim.seq < 0) {`,
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'a lease that only the node knows is read, and aborted where it is not its own',
      },
    ],
  },
  {
    name: 'refused-lease-not-doubted',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `    state.story.add(seq, 'refused', graph.at(graph.leaseSeq, row));
    doubt(state, row);`,
    replace: `    state.story.add(seq, 'refused', graph.at(graph.leaseSeq, row));
    state.unplace(row);
    state.place(row);`,
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'asks again for what a lease statement did not return, and believes the answer',
      },
    ],
  },
  {
    name: 'older-row-believed',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `  if (leaseSeq < graph.at(graph.leaseSeq, row)) return;
  state.deadlines`,
    replace: '  state.deadlines',
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'a row that was read before its lease ended does not bring the lease back',
      },
    ],
  },
  {
    name: 'old-outcome-believed',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: 'if (leaseSeq !== known) return leaseSeq < known;',
    replace: 'if (leaseSeq !== known) return false;',
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'a word that comes twice, or late, changes nothing',
      },
    ],
  },
  {
    name: 'silent-node-settles-nothing',
    rule: 'rule 1',
    file: SETTLEMENTS,
    find: `for (const seq of member.held.keys()) claimHeld(state, nodeId, seq, 'memory');`,
    replace: '',
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'what a silent node settled and could not tell is read, and acted on as if told',
      },
    ],
  },
  {
    name: 'marked-row-without-its-holder',
    rule: 'rule 12',
    file: SETTLEMENTS,
    find: 'if (graph.phase[row] === Phase.LEASED) abortCancelled(state, row);',
    replace: 'if (graph.phase[row] === Phase.LEASED) continue;',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'cancels a queued task before it is leased, and tells the node of a running one',
      },
    ],
  },
];
