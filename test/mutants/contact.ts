import type { Mutant } from './mutant.ts';

/** How a node keeps in touch with the leader, and its lease alive. */
const CONTACT = 'node/cluster/leader-contact.ts';

export const CONTACTS: readonly Mutant[] = [
  {
    name: 'renewal-from-the-reply',
    rule: 'rule 18',
    file: CONTACT,
    find: 'else if (sentAtMs !== undefined) this.renewedAt(sentAtMs);',
    replace: 'else if (sentAtMs !== undefined) this.renewedAt(this.deps.clock.monotonicMs());',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'interrupts all at abortMs from the send of the last renewal that was accepted',
      },
    ],
  },
  {
    name: 'own-renewal-from-the-reply',
    rule: 'rule 18',
    file: CONTACT,
    find: 'if (await this.deps.renew()) this.renewedAt(sentAtMs);',
    replace: 'if (await this.deps.renew()) this.renewedAt(this.deps.clock.monotonicMs());',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'counts its own renewal from the send too, however late the answer',
      },
    ],
  },
  {
    name: 'lower-term-obeyed',
    rule: 'rule 8',
    file: CONTACT,
    find: 'if (message.term < this.termSeen) {',
    replace: 'if (message.term < 0) {',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'refuses every frame of a lower term than it has seen, on whatever stream',
      },
    ],
  },
  {
    name: 'told-once',
    rule: 'rule 1',
    file: 'node/cluster/teller.ts',
    find: 'this.pending.push({ number: this.lastNumber, outcomes });',
    replace: '',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'tells again on each new stream before its first inventory, until acknowledged',
      },
    ],
  },
  {
    name: 'told-after-the-inventory',
    rule: 'rule 1',
    file: CONTACT,
    find: `    if (told !== undefined) stream.send({ told });
    this.beat();`,
    replace: `    this.beat();
    if (told !== undefined) stream.send({ told });`,
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'tells again on each new stream before its first inventory, until acknowledged',
      },
    ],
  },
  {
    name: 'told-without-an-answer',
    rule: 'rule 1',
    file: CONTACT,
    find: `    const told = this.teller.tell(outcomes);
    this.current?.stream.send({ told });`,
    replace: `    const told = this.teller.tell(outcomes);
    this.teller.acknowledge(told.number);
    this.current?.stream.send({ told });`,
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'tells again on each new stream before its first inventory, until acknowledged',
      },
    ],
  },
  {
    name: 'no-abort-at-the-end-of-the-lease',
    rule: 'rule 18',
    file: CONTACT,
    find: `if (sinceRenewalMs >= timings.abortMs) worker.interruptAll('lease_lost');`,
    replace: '',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'interrupts all at abortMs from the send of the last renewal that was accepted',
      },
    ],
  },
  {
    name: 'burial-not-heeded',
    rule: 'rule 18',
    file: CONTACT,
    find: `if (!answer.renewed) this.bury();
    else if (sentAtMs !== undefined)`,
    replace: 'if (answer.renewed && sentAtMs !== undefined)',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'is buried once, whoever says so, and interrupts all first',
      },
    ],
  },
  {
    name: 'message-named-before-it-is-processed',
    rule: 'rule 8',
    file: CONTACT,
    find: 'processed: current.processed,',
    replace: 'processed: current.processed + 1,',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'says once a second what it holds, and which message it has processed',
      },
    ],
  },
  {
    name: 'lease-always-safe',
    rule: 'rule 18',
    file: CONTACT,
    find: 'return !this.isBuried && sinceMs < this.deps.timings.abortMs;',
    replace: 'return !this.isBuried;',
    killedBy: [
      {
        test: 'test/workers/leader-contact.test.ts',
        grep: 'interrupts all at abortMs from the send of the last renewal that was accepted',
      },
    ],
  },
];
