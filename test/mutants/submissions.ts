import type { Mutant } from './mutant.ts';

/** What users ask: submits, edits, cancels, retries, waits; and the inbox that carries them. */
const SUBMISSIONS = 'node/store/submissions.ts';
const ROWS = 'node/store/submission-rows.ts';
const CHANGES = 'node/store/task-changes.ts';
const INBOX = 'node/leader/inbox.ts';

export const SUBMITS: readonly Mutant[] = [
  {
    name: 'submit-without-an-inbox-row',
    rule: 'rule 2',
    file: ROWS,
    find: 'having $20::boolean',
    replace: 'having $20::boolean and false',
    killedBy: [
      {
        test: 'test/api/submit.test.ts',
        grep: 'stores the task, its unfinished side and one inbox row, and answers where it is',
      },
    ],
  },
  {
    name: 'batch-of-chunks-without-an-inbox-row',
    rule: 'rule 2',
    file: 'node/store/submission-batch.ts',
    find: 'await session.query(TELL, [range.first, range.last]);',
    replace: '{ /* The leader is told by nobody. */ }',
    why: 'The leader finds the tasks of the last chunk by nothing.',
    killedBy: [
      {
        test: 'test/api/batch.test.ts',
        grep: 'commits a batch of several chunks, and its one inbox row, in one transaction',
      },
    ],
  },
  {
    name: 'edit-without-an-inbox-row',
    rule: 'rule 2',
    file: CHANGES,
    find: `select 'patched', seq, seq, array[seq] from held`,
    replace: `select 'patched', seq, seq, array[seq] from held where false`,
    killedBy: [
      {
        test: 'test/rules/rule-02-no-watermark.test.ts',
        grep: 'every change of the graph leaves one row, and a settle none',
      },
    ],
  },
  {
    name: 'edit-of-a-held-task',
    rule: 'rule 10',
    file: CHANGES,
    find: 'where seq = $1 and node_id is null and not cancel',
    replace: 'where seq = $1 and not cancel',
    killedBy: [
      {
        test: 'test/rules/rule-10-payload-after-the-lease.test.ts',
        grep: 'so an edit that waits for a lease is refused as a whole',
      },
    ],
  },
  {
    name: 'dependency-without-a-key-share-lock',
    rule: 'rule 15',
    file: ROWS,
    find: `order by seq
    for key share`,
    replace: 'order by seq',
    killedBy: [
      {
        test: 'test/api/interleavings.test.ts',
        grep: 'keeps a dependency from being removed between its check and the commit',
      },
    ],
  },
  {
    name: 'ids-in-any-order',
    rule: 'rule 11',
    file: 'node/core/graph.ts',
    find: 'sorted = (ids[i - 1] as string) <= (ids[i] as string);',
    replace: 'sorted = (ids[i - 1] as string) !== (ids[i] as string);',
    why: 'Two submits of the same ids lock them in opposite orders.',
    killedBy: [
      { test: 'test/core/graph.test.ts', grep: 'orders tasks by id as a plain sort does' },
    ],
  },
  {
    name: 'deadlock-not-retried',
    rule: 'rule 11',
    file: 'node/store/database.ts',
    find: `state === '40P01' || state === '40001'`,
    replace: `state === '40001'`,
    killedBy: [
      {
        test: 'test/rules/rule-11-users-cannot-stall.test.ts',
        grep: 'tries again what was ended to break a deadlock',
      },
    ],
  },
  {
    name: 'commit-unknown-taken-for-failed',
    rule: 'F31',
    file: SUBMISSIONS,
    find: 'if (!(thrown instanceof CommitUnknownError)) throw thrown;',
    replace: `if (!(thrown instanceof CommitUnknownError)) throw thrown;
    if (trace !== undefined) throw errors.databaseUnavailable(thrown);`,
    killedBy: [
      {
        test: 'test/api/commit-unknown.test.ts',
        grep: 'is accepted where it is stored',
      },
    ],
  },
  {
    name: 'commit-unknown-taken-for-stored',
    rule: 'F31',
    file: SUBMISSIONS,
    find: 'if (!(await wasCommitted(this.#database, this.#clock, trace))) {',
    replace: `if ((await wasCommitted(this.#database, this.#clock, trace)) === undefined) {`,
    killedBy: [
      {
        test: 'test/api/commit-unknown.test.ts',
        grep: 'is refused where it is not stored',
      },
    ],
  },
  {
    name: 'lines-submitted-before-they-are-checked',
    rule: 'rule 16',
    file: 'node/api/submit/submit.ts',
    find: `await lines.readInto(set, message, keyed?.hash);
    const order = await set.check();`,
    replace: `await lines.readInto(set, message, keyed?.hash);
    const order = Int32Array.from({ length: set.graph.count }, (_, task) => task);`,
    killedBy: [
      {
        test: 'test/api/batch.test.ts',
        grep: 'refuses lines with a fault in one of them, whole',
      },
    ],
  },
  {
    name: 'wait-read-before-it-subscribes',
    rule: 'rule 14',
    file: 'node/api/waiter.ts',
    find: `    this.#add(waiting);
    try {
      for (;;) {
        const value = await read();`,
    replace: `    let first = true;
    try {
      for (;;) {
        const value = await read();
        if (first) this.#add(waiting);
        first = false;`,
    killedBy: [
      {
        test: 'test/api/wait.test.ts',
        grep: 'does not miss an end that is told while it reads',
      },
    ],
  },
  {
    name: 'wait-not-renewed-at-a-new-term',
    rule: 'rule 14',
    file: 'node/api/waiter.ts',
    find: `        deps.feed.watch([...this.#waiting.keys()]);
        this.#pollSoon(0);`,
    replace: '',
    killedBy: [
      {
        test: 'test/api/wait.test.ts',
        grep: 'subscribes and reads again when a new leader comes',
      },
    ],
  },
  {
    name: 'inbox-watermark',
    rule: 'rule 2',
    file: INBOX,
    find: `const found = await this.persist('inbox', () => reader.inbox(ROWS_MAX));`,
    replace: `const memory = this.deps as { mark?: number };
    const all = await this.persist('inbox', () => reader.inbox(ROWS_MAX));
    const found = all.filter(({ inboxId }) => inboxId > (memory.mark ?? 0));
    memory.mark = Math.max(memory.mark ?? 0, ...found.map(({ inboxId }) => inboxId));`,
    killedBy: [
      {
        test: 'test/leader/inbox.test.ts',
        grep: 'does what was numbered first and committed last',
      },
    ],
  },
  {
    name: 'inbox-row-deleted-before-it-is-applied',
    rule: 'rule 2',
    file: INBOX,
    find: `    await this.applySubmitted(rows);
    await this.applyCancels(rows, CANCELS_MAX);
    await this.applyRetries(rows);
    const inboxIds = rows.map((row) => row.inboxId);
    await this.persist('inbox_delete', () => writer.deleteInboxMany(inboxIds));`,
    replace: `    const inboxIds = rows.map((row) => row.inboxId);
    await this.persist('inbox_delete', () => writer.deleteInboxMany(inboxIds));
    await this.applySubmitted(rows);
    await this.applyCancels(rows, CANCELS_MAX);
    await this.applyRetries(rows);`,
    why: 'A leader that dies in between takes what was asked with it.',
    killedBy: [
      {
        test: 'test/rules/rule-11-users-cannot-stall.test.ts',
        grep: '2,500 cancels are three rounds of the loop, and their row goes when all are done',
      },
    ],
  },
  {
    name: 'cancels-all-at-once',
    rule: 'rule 11',
    file: INBOX,
    find: 'const CANCELS_MAX = 1000;',
    replace: 'const CANCELS_MAX = 1_000_000;',
    killedBy: [
      {
        test: 'test/rules/rule-11-users-cannot-stall.test.ts',
        grep: '2,500 cancels are three rounds of the loop, and their row goes when all are done',
      },
    ],
  },
  {
    name: 'retry-looks-once',
    rule: 'rule 13',
    file: INBOX,
    find: 'if (cameBack.length === 0 && round > 1) return;',
    replace: 'if (round > 1) return;',
    why: 'What was skipped while the first ones were being revived stays skipped.',
    killedBy: [
      {
        test: 'test/leader/inbox.test.ts',
        grep: 'looks again below a retried task until nothing more was skipped meanwhile',
      },
    ],
  },
];
