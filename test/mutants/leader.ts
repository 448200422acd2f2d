import type { Mutant } from './mutant.ts';

/** What the leader does beside its statements: the reaper, the takeover, the streams. */
const REAPER = 'node/leader/reaper.ts';
const ROSTER = 'node/leader/roster.ts';
const PERFORM = 'node/leader/perform.ts';
const LOOP = 'node/leader/loop.ts';

export const LEADER: readonly Mutant[] = [
  {
    name: 'no-grace-after-a-takeover',
    rule: 'rule 18',
    file: REAPER,
    find: 'if (!isProven && !(node.isExpired && isOverHere)) return;',
    replace: 'if (!isProven && !node.isExpired) return;',
    why: 'Only the clock of the database is asked.',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'a new leader waits a whole lease and guard, whatever the database says',
      },
      { seeds: 400 },
    ],
  },
  {
    name: 'only-the-clock-of-the-leader',
    rule: 'rule 18',
    file: REAPER,
    find: 'if (!isProven && !(node.isExpired && isOverHere)) return;',
    replace: 'if (!isProven && !isOverHere) return;',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'and nobody is buried whose lease the database holds for good',
      },
    ],
  },
  {
    name: 'clock-of-the-node-instead-of-the-database',
    rule: 'F29',
    file: REAPER,
    find: '(node.isExpired && isOverHere)',
    replace: '(node.leaseUntilMs < Date.now() && isOverHere)',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'and nobody is buried whose lease the database holds for good',
      },
    ],
  },
  {
    name: 'renewal-not-seen',
    rule: 'rule 18',
    file: REAPER,
    find: 'if (this.renewals.get(nodeId)?.leaseUntilMs === leaseUntilMs) return;',
    replace: 'if (this.renewals.has(nodeId)) return;',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'a renewal seen later starts the wait anew',
      },
    ],
  },
  {
    name: 'broken-stream-taken-for-death',
    rule: 'rule 18',
    file: REAPER,
    find: 'const isProven = processes.isProvenDead(node) &&',
    replace: `const isDead = processes.isProvenDead(node) || !this.deps.roster.isLinked(nodeId);
    const isProven = isDead &&`,
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'a new leader waits a whole lease and guard, whatever the database says',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'groups-of-the-dead-not-killed',
    rule: 'rule 7',
    file: REAPER,
    find: 'processes.isProvenDead(node) && (await this.groupsAreGone(nodeId));',
    replace: 'processes.isProvenDead(node);',
    killedBy: [
      {
        test: 'test/rules/rule-07-children-of-a-dead-node.test.ts',
        grep: 'waits until the groups of the dead node are killed and seen gone',
      },
      { seeds: 400 },
    ],
  },
  {
    name: 'groups-not-seen-gone',
    rule: 'rule 7',
    file: REAPER,
    find: 'return left.length === 0;',
    replace: 'return true;',
    killedBy: [
      {
        test: 'test/rules/rule-07-children-of-a-dead-node.test.ts',
        grep: 'is none where a child of the dead node cannot be killed: the lease is waited out',
      },
    ],
  },
  {
    name: 'silent-node-not-read-again',
    rule: 'rule 1',
    file: REAPER,
    find: `else if (!roster.isLinked(nodeId)) mailbox.post({ kind: 'node-silent', nodeId });`,
    replace: '',
    killedBy: [
      {
        test: 'test/rules/rule-01-every-message-is-a-hint.test.ts',
        grep: 'once a second, for as long as its stream is down',
      },
    ],
  },
  {
    name: 'dead-node-answered-as-renewed',
    rule: 'rule 18',
    file: REAPER,
    find: 'roster.answer(nodeId, number, leaseUntilMs !== undefined);',
    replace: 'roster.answer(nodeId, number, true);',
    killedBy: [
      {
        test: 'test/rules/rule-18-both-clocks.test.ts',
        grep: 'a node that the database holds for dead is told so, whoever hears its heartbeat',
      },
    ],
  },
  {
    name: 'asked-rows-sent',
    rule: 'rule 9',
    file: PERFORM,
    find: `this.deps.mailbox.post({ kind: 'leases-persisted', asked: seqs, ...persisted });`,
    replace: `const raised = leaseSeqs.map((leaseSeq) => leaseSeq + 1);
    const asked = { asked: seqs, ...persisted, seqs, leaseSeqs: raised };
    this.deps.mailbox.post({ kind: 'leases-persisted', ...asked });`,
    killedBy: [
      {
        test: 'test/scheduler/model.test.ts',
        grep: 'beside cancels, retries and edits skips no task whose dependencies do not say so',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'sent-before-it-is-durable',
    rule: 'rule 9',
    file: PERFORM,
    find: `    const persisted = await this.write('lease', seqs.length, (writer) =>
      writer.leaseMany(seqs, leaseSeqs, nodeIds),
    );
    this.deps.mailbox.post({ kind: 'leases-persisted', asked: seqs, ...persisted });`,
    replace: `    const raised = leaseSeqs.map((leaseSeq) => leaseSeq + 1);
    this.deps.mailbox.post({ kind: 'leases-persisted', asked: seqs, seqs, leaseSeqs: raised });
    void this.write('lease', seqs.length, (writer) =>
      writer.leaseMany(seqs, leaseSeqs, nodeIds),
    ).catch(() => undefined);`,
    killedBy: [
      {
        test: 'test/scheduler/model.test.ts',
        grep: 'in calm weather leases each attempt once, and ends every task as the graph says',
      },
      { seeds: 100 },
    ],
  },
  {
    name: 'grants-of-an-untrusted-leader',
    rule: 'F2',
    file: ROSTER,
    find: 'if (seat === undefined || !this.deps.leadership.isTrusted()) return;',
    replace: 'if (seat === undefined) return;',
    killedBy: [
      {
        test: 'test/leader/roster.test.ts',
        grep: 'hands nothing out once the trust in its lock is over, term or not',
      },
    ],
  },
  {
    name: 'grants-under-way-not-remembered',
    rule: 'rule 8',
    file: ROSTER,
    find: 'const throughStep = oldest === undefined ? this.sentThrough : oldest.step - 1;',
    replace: 'const throughStep = oldest === undefined ? this.sentThrough : oldest.step;',
    killedBy: [
      {
        test: 'test/scheduler/model.test.ts',
        grep: 'in calm weather leases each attempt once, and ends every task as the graph says',
      },
    ],
  },
  {
    name: 'acknowledged-and-not-applied',
    rule: 'rule 1',
    file: ROSTER,
    find: `mailbox.post({ kind: 'outcomes-settled', nodeId, told });`,
    replace: '',
    killedBy: [
      {
        test: 'test/leader/roster.test.ts',
        grep: 'acknowledges what a node has settled, and hands it to the loop',
      },
    ],
  },
  {
    name: 'words-before-membership-dropped',
    rule: 'rule 1',
    file: ROSTER,
    find: 'for (const message of early) this.onMessage(nodeId, seat, message);',
    replace: 'early.length = 0;',
    killedBy: [
      {
        test: 'test/leader/roster.test.ts',
        grep: 'heeds what a node said before it was a member, once it is one',
      },
    ],
  },
  {
    name: 'later-term-of-a-node-ignored',
    rule: 'F2',
    file: LOOP,
    find: 'if (link.hello.termSeen > this.leadership.term) {',
    replace: 'if (link.hello.termSeen === Infinity) {',
    killedBy: [
      {
        test: 'test/leader/loop.test.ts',
        grep: 'gives the office up to a node that has seen a later term, and refuses its stream',
      },
    ],
  },
  {
    name: 'takeover-not-paged',
    rule: 'rule 6',
    file: 'node/leader/takeover.ts',
    find: `    mailbox.post({ kind: 'load-started', load: TAKEOVER_LOAD, isPaged: true });
    // Sent`,
    replace: `    // Sent`,
    why: 'The loop does not know that a load is under way: what it has not read is absent.',
    killedBy: [
      {
        test: 'test/leader/takeover.test.ts',
        grep: 'says that a load of pages is under way from before the first to after the last',
      },
    ],
  },
];
