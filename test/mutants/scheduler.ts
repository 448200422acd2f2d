import type { Mutant } from './mutant.ts';

/** What the pure core decides: loads and tombstones, nodes, trigger rules, order. */
const ARRIVALS = 'node/core/arrivals.ts';
const STATE = 'node/core/scheduler-state.ts';
const SCHEDULER = 'node/core/scheduler.ts';
const TOMBSTONES = 'node/core/tombstones.ts';

export const SCHEDULING: readonly Mutant[] = [
  {
    name: 'tombstones-dropped',
    rule: 'rule 5',
    file: TOMBSTONES,
    find: 'return tombstone !== undefined && leaseSeq <= tombstone.leaseSeq ? tombstone : undefined;',
    replace: 'return tombstone !== undefined && leaseSeq < 0 ? tombstone : undefined;',
    killedBy: [
      {
        test: 'test/rules/rule-05-a-load-only-adds.test.ts',
        grep: 'a task that ended while the page was on its way is not brought back',
      },
    ],
  },
  {
    name: 'tombstones-gone-with-the-first-load',
    rule: 'rule 5',
    file: TOMBSTONES,
    find: 'if (loadsBegun >= oldest) return;',
    replace: 'if (loadsBegun === Infinity) return;',
    killedBy: [
      {
        test: 'test/rules/rule-05-a-load-only-adds.test.ts',
        grep: 'a tombstone goes when the loads have returned that it was kept for, and no later',
      },
    ],
  },
  {
    name: 'tombstone-over-a-later-life',
    rule: 'rule 5',
    file: TOMBSTONES,
    find: 'leaseSeq <= tombstone.leaseSeq ? tombstone',
    replace: 'tombstone.leaseSeq >= 0 ? tombstone',
    killedBy: [
      {
        test: 'test/rules/rule-05-a-load-only-adds.test.ts',
        grep: 'a tombstone goes when the loads have returned that it was kept for, and no later',
      },
    ],
  },
  {
    name: 'absent-taken-for-settled-during-a-load',
    rule: 'rule 6',
    file: ARRIVALS,
    find: '    const waiting = state.unknown.get(dep);',
    replace: `    if (state.pagedLoads > 0) {
      graph.unended[child] = graph.at(graph.unended, child) - 1;
      graph.seen[child] = graph.at(graph.seen, child) | Seen.SUCCESS;
      continue;
    }
    const waiting = state.unknown.get(dep);`,
    killedBy: [
      {
        test: 'test/rules/rule-06-absent-is-completed-in-one-snapshot.test.ts',
        grep: 'leases from the first page what has no dependencies, and nothing else',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'not-exists-fan-in',
    rule: 'rule 5',
    file: ARRIVALS,
    find: 'if (!state.awaited.has(dep)) state.outbox.unresolved.add(dep);',
    replace: 'if (waiting === undefined) state.outbox.unresolved.add(dep);',
    why: 'A child that came after the question waits for an answer that was given before it.',
    killedBy: [
      {
        test: 'test/rules/rule-05-a-load-only-adds.test.ts',
        grep: 'is asked for after the child was added, whatever was asked before',
      },
    ],
  },
  {
    name: 'awaited-not-asked-again',
    rule: 'rule 6',
    file: ARRIVALS,
    find: 'for (const seq of state.awaited) state.outbox.unresolved.add(seq);',
    replace: '',
    killedBy: [
      {
        test: 'test/rules/rule-06-absent-is-completed-in-one-snapshot.test.ts',
        grep: 'asks again when the pages have come and a live dependency was in none of them',
      },
    ],
  },
  {
    name: 'lease-taken-away-by-an-older-row',
    rule: 'rule 5',
    file: ARRIVALS,
    find: 'if (leaseSeq < known) return;',
    replace: 'if (leaseSeq < known) adopt(state, row, rows, at);',
    killedBy: [
      {
        test: 'test/rules/rule-05-a-load-only-adds.test.ts',
        grep: 'a lease is not taken away by a row that is older',
      },
    ],
  },
  {
    name: 'lost-node-keeps-its-leases',
    rule: 'rule 17',
    file: SCHEDULER,
    find: 'state.outbox.reclaim(nodeId, seq, state.graph.at(state.graph.leaseSeq, row));',
    replace: '',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'takes the leases of a lost node back, and leaves those of the others alone',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'lease-of-the-lost-adopted',
    rule: 'rule 1',
    file: ARRIVALS,
    find: `if (member.state === 'lost') {`,
    replace: `if (member.slots < 0) {`,
    killedBy: [
      {
        test: 'test/scheduler/nodes.test.ts',
        grep: 'takes back what a lost node holds, also where the row comes after the news',
      },
    ],
  },
  {
    name: 'lost-node-leased-to',
    rule: 'rule 18',
    file: 'node/core/members.ts',
    find: `if (member.state !== 'lost') member.state = 'linked';`,
    replace: `member.state = 'linked';`,
    killedBy: [
      {
        test: 'test/scheduler/nodes.test.ts',
        grep: 'never leases to a node that was lost, though its stream is up again',
      },
    ],
  },
  {
    name: 'draining-node-leased-to',
    rule: 'F42',
    file: 'node/core/members.ts',
    find: `if (member.state !== 'linked' || member.isDraining) return false;`,
    replace: `if (member.state !== 'linked') return false;`,
    killedBy: [
      {
        test: 'test/scheduler/nodes.test.ts',
        grep: 'leases nothing to a node while it drains',
      },
    ],
  },
  {
    name: 'ahead-before-it-is-measured',
    rule: 'F26',
    file: 'node/core/members.ts',
    find: 'return ms <= QUICK_MS ? Math.max(ms, QUICK_MS_MIN) : 0;',
    replace: 'return ms > QUICK_MS ? 0 : Math.max(ms || 0, QUICK_MS_MIN);',
    why: 'Tasks of a type that nobody has measured wait behind a busy slot, for as long as it takes.',
    killedBy: [
      {
        test: 'test/scheduler/send-ahead.test.ts',
        grep: 'are of types that were measured, and none before',
      },
    ],
  },
  {
    name: 'never-recalled',
    rule: 'F26',
    file: 'node/core/scheduler.ts',
    find: 'if (members.recallDueMs > state.nowMs) return;',
    replace: 'if (members.recallDueMs >= state.nowMs - 86_400_000) return;',
    why: 'What was sent ahead waits behind a task that turned out long, while another node is idle.',
    killedBy: [
      {
        test: 'test/scheduler/send-ahead.test.ts',
        grep: 'when they have waited for 30 ms and another node has a free slot',
      },
    ],
  },
  {
    name: 'recall-of-another-lease',
    rule: 'rule 4',
    file: 'node/worker/worker.ts',
    find: 'if (lease === undefined || lease.leaseSeq !== leaseSeqs[at]) continue;',
    replace: 'if (lease === undefined) continue;',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'hands back what waits when it is asked to, under the very lease, and lets the rest run',
      },
    ],
  },
  {
    name: 'leased-beyond-the-slots',
    rule: 'F26',
    file: 'node/core/members.ts',
    find: 'if (used < member.slots || !isQuick) return used < member.slots;',
    replace: 'if (used < member.slots || !isQuick) return used <= member.slots;',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'takes the leases of a lost node back, and leaves those of the others alone',
      },
    ],
  },
  {
    name: 'started-before-the-skip-is-durable',
    rule: 'I4',
    file: STATE,
    find: 'if (graph.phase[child] !== Phase.WAITING || graph.triggerRule[child] !== 0) return;',
    replace: 'if (graph.phase[child] !== Phase.WAITING) return;',
    why: 'A task that may follow a skip is skipped with it.',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'does not start a child that may follow a skip before the skip is durable',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'revived-parent-not-waited-for',
    rule: 'rule 13',
    file: STATE,
    find: 'else if (code !== EndCode.COMPLETED) this.rememberCounted(seq, graph.at(graph.seq, child));',
    replace: '',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'waits again for a dependency that ended and was revived before its child began',
      },
    ],
  },
  {
    name: 'cancelled-task-leased-first',
    rule: 'rule 12',
    file: SCHEDULER,
    find: `        state.unplace(row);
      }
      state.outbox.cancels.push(seq);`,
    replace: `      }
      state.outbox.cancels.push(seq);`,
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'cancels a queued task before it is leased, and tells the node of a running one',
      },
    ],
  },
  {
    name: 'run-before-its-time',
    rule: 'rule 9',
    file: STATE,
    find: 'if (graph.at(graph.runAtMs, row) > this.nowMs) {',
    replace: 'if (graph.at(graph.runAtMs, row) > this.nowMs + 60_000) {',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'waits for run_at, and only for it',
      },
    ],
  },
  {
    name: 'skips-all-at-once',
    rule: 'rule 11',
    file: 'node/core/outbox.ts',
    find: 'const SKIPS_PER_STEP_MAX = 1000;',
    replace: 'const SKIPS_PER_STEP_MAX = 1_000_000;',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'skips the whole chain below a failure, parents first, a thousand a step',
      },
    ],
  },
  {
    name: 'dependency-counted-twice',
    rule: 'rule 20',
    file: 'node/core/graph.ts',
    find: 'if (this.#lastUser.at(dependency) === task) continue;',
    replace: '',
    killedBy: [
      {
        test: 'test/core/graph.test.ts',
        grep: 'removes duplicate dependencies and keeps the order in which they were first named',
      },
    ],
  },
  {
    name: 'longest-path-without-a-bound',
    rule: 'rule 20',
    file: 'node/core/critical-path.ts',
    find: 'while (pending.length > 0 && steps < stepsMax) {',
    replace: 'while (pending.length > 0) {',
    killedBy: [
      {
        test: 'test/core/critical-path.test.ts',
        grep: 'of a long chain is raised in portions of what one step may do',
      },
    ],
  },
  {
    name: 'longest-path-not-propagated',
    rule: 'rule 20',
    file: 'node/core/critical-path.ts',
    find: 'if (inBatch < parents) this.pending.push(graph.at(graph.seq, row));',
    replace: '',
    killedBy: [
      {
        test: 'test/scheduler/scheduler.test.ts',
        grep: 'and moves a ready task ahead when a later submit lengthens its path',
      },
    ],
  },
];
