import type { Mutant } from './mutant.ts';

/** What a node does with its leases: its worker, its settler, its children. */
const WORKER = 'node/worker/worker.ts';
const SETTLER = 'node/worker/settler.ts';
const EXECUTOR = 'node/worker/executor.ts';

export const NODES: readonly Mutant[] = [
  {
    name: 'lease-safety-ignored',
    rule: 'rule 18',
    file: WORKER,
    find: 'else if (lease.work === undefined || !this.deps.isLeaseSafe()) {',
    replace: 'else if (lease.work === undefined) {',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'begins nothing while the node cannot renew its lease',
      },
    ],
  },
  {
    name: 'grant-of-a-lower-number-accepted',
    rule: 'rule 8',
    file: WORKER,
    find: 'if (known !== undefined && known.leaseSeq >= leaseSeq) continue;',
    replace: 'if (known !== undefined && known.leaseSeq === leaseSeq) continue;',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'runs a lease once, however often it is granted',
      },
    ],
  },
  {
    name: 'grant-runs-twice',
    rule: 'rule 8',
    file: WORKER,
    find: 'if (known !== undefined && known.leaseSeq >= leaseSeq) continue;',
    replace: 'if (known !== undefined && known.leaseSeq > leaseSeq) continue;',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'runs a lease once, however often it is granted',
      },
    ],
  },
  {
    name: 'grant-not-in-the-inventory-at-once',
    rule: 'rule 8',
    file: WORKER,
    find: 'this.held.set(seq, lease);',
    replace: 'void Promise.resolve().then(() => this.held.set(seq, lease));',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'enters a grant in the inventory in the tick in which it comes',
      },
    ],
  },
  {
    name: 'superseded-lease-not-stopped',
    rule: 'rule 8',
    file: WORKER,
    find: `if (known !== undefined) this.interrupt(known, 'lease_lost');`,
    replace: '',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'stops a lease for one of a higher number, and drops what it leaves',
      },
    ],
  },
  {
    name: 'abort-of-any-lease',
    rule: 'rule 4',
    file: WORKER,
    find: 'if (lease !== undefined && lease.leaseSeq === aborts.leaseSeqs[at]) {',
    replace: 'if (lease !== undefined) {',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'stops a task for the very lease it holds only',
      },
    ],
  },
  {
    name: 'stale-outcome-forgets-the-new-lease',
    rule: 'rule 8',
    file: WORKER,
    find: 'if (this.held.get(seq)?.leaseSeq === leaseSeq) this.held.delete(seq);',
    replace: 'this.held.delete(seq);',
    killedBy: [
      {
        test: 'test/workers/worker.test.ts',
        grep: 'stops a lease for one of a higher number, and drops what it leaves',
      },
    ],
  },
  {
    name: 'drain-starts-what-waits',
    rule: 'F42',
    file: WORKER,
    find: `    for (const lease of [...this.fetchQueue, ...this.slotQueue]) this.handBack(lease, 'draining');
    this.fetchQueue.clear();
    this.slotQueue.clear();`,
    replace: '',
    killedBy: [
      {
        test: 'test/workers/drain.test.ts',
        grep: 'lets what runs finish, hands back what has not begun, and takes nothing more',
      },
    ],
  },
  {
    name: 'interruption-charged',
    rule: 'rule 17',
    file: EXECUTOR,
    find: `if (reason !== undefined && reason.code !== 'timeout') return interrupted(reason);`,
    replace: `if (reason?.code === 'cancelled') return interrupted(reason);`,
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'does not begin before the row names its group, and is not charged for an outage',
      },
    ],
  },
  {
    name: 'lost-task-runs-in-the-node',
    rule: 'rule 17',
    file: EXECUTOR,
    find: 'if (run.losses > 0 || ',
    replace: 'if (run.losses > 1000 || ',
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'runs there after the first lost lease, and here before',
      },
    ],
  },
  {
    name: 'quarantine-at-the-fourth-death',
    rule: 'rule 17',
    file: EXECUTOR,
    find: 'if (hasDied && run.deaths + 1 >= DEATHS_MAX) {',
    replace: 'if (hasDied && run.deaths >= DEATHS_MAX) {',
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'is charged for its death, and quarantined after the third',
      },
    ],
  },
  {
    name: 'unknown-commit-taken-for-stale',
    rule: 'rule 3',
    file: SETTLER,
    find: 'known = await this.verify(items, settlements);',
    replace: 'known = new Map(settlements.map((settlement) => [settlement.seq, settlement]));',
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'whose answer is lost is found to be accepted, once',
      },
    ],
  },
  {
    name: 'release-by-the-leader-taken-for-own',
    rule: 'rule 3',
    file: SETTLER,
    find: 'if (kind !== undefined && MAY_BECOME[kind].includes(settlement.settledAs)) {',
    replace: 'if (kind !== undefined) {',
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'takes no release by the leader for its own',
      },
    ],
  },
  {
    name: 'outcome-dropped-in-an-outage',
    rule: 'F31',
    file: SETTLER,
    find: `          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, rng), this.stopping.signal)
          .catch(() => undefined);
        continue;`,
    replace: `          .sleep(fullJitterMs(OUTAGE_BACKOFF, failures, rng), this.stopping.signal)
          .catch(() => undefined);
        this.report(items, new Map());
        return;`,
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'is kept through an outage, with the times of the work itself',
      },
    ],
  },
  {
    name: 'bad-outcome-fails-its-batch',
    rule: 'F34',
    file: SETTLER,
    find: '    const half = items.length >> 1;',
    replace: '    const half = 0;\n    if (items.length > 1) return;',
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'that the database refuses fails that task, and no other of its batch',
      },
    ],
  },
  {
    name: 'two-leases-of-a-task-in-one-batch',
    rule: 'rule 3',
    file: SETTLER,
    find: 'if (seqs.size === BATCH_MAX || characters > BATCH_CHARACTERS_MAX || seqs.has(seq)) break;',
    replace: 'if (seqs.size === BATCH_MAX || characters > BATCH_CHARACTERS_MAX) break;',
    killedBy: [
      {
        test: 'test/workers/settle.test.ts',
        grep: 'keeps two leases of one task apart',
      },
    ],
  },
  {
    name: 'child-outlives-its-node',
    rule: 'rule 7',
    file: 'node/worker/child.ts',
    find: `  pipe.on('error', endWhole);
  pipe.on('close', endWhole);`,
    replace: `  pipe.on('error', () => undefined);`,
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'ends itself, and its children, when its node is killed',
      },
    ],
  },
  {
    name: 'command-outlives-its-node',
    rule: 'rule 7',
    file: 'node/worker/child.ts',
    find: `process.on('disconnect', endWhole);`,
    replace: `process.on('disconnect', () => process.exit(1));`,
    killedBy: [
      {
        test: 'test/handlers/shell.test.ts',
        grep: 'dies with its node, and with it all that it has started',
      },
    ],
  },
  {
    name: 'command-leaves-its-session',
    rule: 'rule 7',
    file: 'node/base/process-identity.ts',
    find: `\`\\0\${environment}\`.includes(\`\\0\${GROUP_VARIABLE}=\${String(group)}\\0\`)`,
    replace: 'environment.length < 0',
    killedBy: [
      {
        test: 'test/handlers/shell.test.ts',
        grep: 'is killed with all that it has started, when it heeds no signal',
      },
    ],
  },
  {
    name: 'child-outlives-its-lease',
    rule: 'rule 7',
    file: 'node/worker/child.ts',
    find: 'Math.max(0, deadlineMs - systemClock.monotonicMs())',
    replace: 'Math.max(60_000, deadlineMs - systemClock.monotonicMs())',
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'ends itself when the lease is over and no word comes',
      },
    ],
  },
  {
    name: 'child-begins-before-it-is-written-down',
    rule: 'rule 7',
    file: 'node/worker/isolate.ts',
    find: 'await this.wards.writeDown(ward, signal);',
    replace: 'void this.wards.writeDown(ward, signal).catch(() => undefined);',
    killedBy: [
      {
        test: 'test/workers/group-ledger.test.ts',
        grep: 'are written down before a task begins in one of them',
      },
    ],
  },
  {
    name: 'shut-down-without-a-bound',
    rule: 'F13',
    file: 'node/run-node.ts',
    find: 'systemClock.after(boundMs, () => {',
    replace: 'systemClock.after(boundMs + 600_000, () => {',
    killedBy: [
      { test: 'test/lives/hard-end.test.ts', grep: 'ends hard, some time after the drain' },
    ],
  },
  {
    name: 'timeout-runs-while-the-task-waits',
    rule: 'F24',
    file: EXECUTOR,
    find: 'this.deps.isolation.run(run, context, onBegun),',
    replace: '(onBegun(), undefined) ?? this.deps.isolation.run(run, context, onBegun),',
    killedBy: [
      {
        test: 'test/workers/isolation.test.ts',
        grep: 'is timed from when its handler runs, and not while it waits',
      },
    ],
  },
];
