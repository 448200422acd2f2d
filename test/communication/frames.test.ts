// Goal: whatever the roles put into a frame comes out of it on the other side, and nothing else does.
// Method: a table of broken frames on the parsers alone; random frames over the real wire.
import { expect } from 'chai';
import fc from 'fast-check';
import { setup } from './setup.ts';
import type { Accepted, Dialled, Setup } from './setup.ts';
import { AbortReason, SettledAs } from '../../node/core/messages.ts';
import type { FromLeader, FromNode } from '../../node/core/messages.ts';
import { Phase } from '../../node/core/task-graph.ts';
import { bytesOfFromLeader, bytesOfFromNode } from '../../node/rpc/frames.ts';
import { parseFromLeader, parseFromNode } from '../../node/rpc/frames.ts';
import type { FromLeader__Output } from '../../node/rpc/generated/skein/v1/FromLeader.ts';
import type { FromNode__Output } from '../../node/rpc/generated/skein/v1/FromNode.ts';

const UNSAFE = 2 ** 53;

const EMPTY_FROM_NODE: FromNode__Output = {
  hello: null,
  heartbeat: null,
  told: null,
  look: false,
  submitted: null,
  watch: [],
  unwatch: [],
  ask: null,
  follow: null,
  nodesChanged: false,
};
const EMPTY_FROM_LEADER: FromLeader__Output = {
  term: 1,
  number: 1,
  grants: null,
  aborts: [],
  recall: null,
  answer: null,
  toldThrough: 0,
  ended: null,
  goodbye: false,
  prospect: null,
  news: null,
  drain: null,
};

const told = {
  number: 1,
  seqs: [1],
  leaseSeqs: [1],
  settledAs: [1],
  nextLeaseSeqs: [0],
  attempts: [1],
  runAtMs: [0],
  runMs: [0.5],
};
const submitted = { seq: 1, typeId: 1, priority: 50, hasDuration: false, expectedMs: 0 };
const hello = {
  database: '',
  leaseMs: 0,
  protocol: 0,
  protocolMin: 0,
  nodeId: 1,
  incarnation: 'i',
  name: 'node-1',
  slots: 1,
  types: [],
  simulates: false,
  version: '1',
  termSeen: 0,
  labels: [],
};
const heartbeat = { number: 1, processed: 0, draining: false, seqs: [1], leaseSeqs: [1] };
const grants = { seqs: [1], leaseSeqs: [1], attempts: [0], losses: [0] };

describe('a frame of a node', () => {
  const broken: readonly (readonly [string, Partial<FromNode__Output>, RegExp])[] = [
    ['a hello without a name', { hello: { ...hello, name: '' } }, /name is empty/],
    ['an unsafe node id', { hello: { ...hello, nodeId: UNSAFE } }, /hello.*9007199254740992/],
    ['an unsafe term', { hello: { ...hello, termSeen: UNSAFE } }, /hello/],
    ['an unsafe heartbeat', { heartbeat: { ...heartbeat, number: UNSAFE } }, /heartbeat.number/],
    ['an unsafe processed', { heartbeat: { ...heartbeat, processed: UNSAFE } }, /processed/],
    ['an unsafe seq', { heartbeat: { ...heartbeat, seqs: [UNSAFE] } }, /heartbeat.seqs/],
    ['a short inventory', { heartbeat: { ...heartbeat, leaseSeqs: [] } }, /1 seqs .* of 0/],
    ['an unsafe told', { told: { ...told, number: UNSAFE } }, /told.number/],
    ['an unsafe settled seq', { told: { ...told, seqs: [UNSAFE] } }, /told.seqs/],
    ['an unknown settlement', { told: { ...told, settledAs: [7] } }, /unknown code 7/],
    ['a settlement of 0', { told: { ...told, settledAs: [0] } }, /unknown code 0/],
    ['a time that is none', { told: { ...told, runAtMs: [NaN] } }, /run_at_ms has NaN/],
    ['a time without end', { told: { ...told, runAtMs: [Infinity] } }, /Infinity/],
    ['a time before time', { told: { ...told, runAtMs: [-1] } }, /-1/],
    ['an unsafe submit', { submitted: { ...submitted, seq: UNSAFE } }, /submitted.seq/],
    ['an unsafe watch', { watch: [UNSAFE] }, /^watch/],
    ['an unsafe unwatch', { unwatch: [UNSAFE] }, /^unwatch/],
    ...(['leaseSeqs', 'settledAs', 'nextLeaseSeqs', 'attempts', 'runAtMs'] as const).map(
      (column) => [`a short ${column}`, { told: { ...told, [column]: [] } }, /of 0$/] as const,
    ),
  ];
  // Seen to fail with the length asked of a column that an older node does not send.
  it('may say nothing of run times, or of all of them', () => {
    const silent = { ...EMPTY_FROM_NODE, told: { ...told, runMs: [] } };
    expect(parseFromNode(silent).fault).to.equal(undefined);
    const two = { ...EMPTY_FROM_NODE, told: { ...told, runMs: [1, 2] } };
    expect(parseFromNode(two).fault).to.match(/of 2$/);
  });

  for (const [name, part, fault] of broken) {
    it(`is refused with ${name}`, () => {
      expect(parseFromNode({ ...EMPTY_FROM_NODE, ...part }).fault).to.match(fault);
    });
  }

  it('passes when it is sound, with absent parts undefined', () => {
    const { frame } = parseFromNode({ ...EMPTY_FROM_NODE, told }) as { frame: FromNode };
    expect(frame.told).to.deep.equal(told);
    expect(frame.hello).to.equal(undefined);
    expect(frame.heartbeat).to.equal(undefined);
    expect(frame.watch).to.deep.equal([]);
  });
});

describe('a frame of the leader', () => {
  const aborts = { seqs: [1], leaseSeqs: [1], reason: 1 };
  const broken: readonly (readonly [string, Partial<FromLeader__Output>, RegExp])[] = [
    ['an unsafe term', { term: UNSAFE }, /^term/],
    ['an unsafe number', { number: UNSAFE }, /number/],
    ['an unsafe acknowledgement', { toldThrough: UNSAFE }, /told_through/],
    ['an unsafe grant', { grants: { ...grants, seqs: [UNSAFE] } }, /grants.seqs/],
    ['short lease numbers', { grants: { ...grants, leaseSeqs: [] } }, /of 0$/],
    ['short attempts', { grants: { ...grants, attempts: [] } }, /of 0$/],
    ['long losses', { grants: { ...grants, losses: [0, 0] } }, /of 2$/],
    ['short aborts', { aborts: [aborts, { ...aborts, leaseSeqs: [] }] }, /aborts .* of 0$/],
    ['an unsafe abort', { aborts: [{ ...aborts, seqs: [UNSAFE] }] }, /aborts.seqs/],
    ['an unsafe answer', { answer: { number: UNSAFE, renewed: true } }, /answer.number/],
    ['short ends', { ended: { seqs: [1], codes: [] } }, /ended .* of 0$/],
    ['an unsafe recall', { recall: { seqs: [UNSAFE], leaseSeqs: [1] } }, /recall.seqs/],
    ['a short recall', { recall: { seqs: [1], leaseSeqs: [] } }, /recall has 1 seqs .* of 0/],
    ['an unsafe end', { ended: { seqs: [UNSAFE], codes: [1] } }, /ended.seqs/],
    ['an unknown end', { ended: { seqs: [1], codes: [5] } }, /unknown code 5/],
  ];
  for (const [name, part, fault] of broken) {
    it(`is refused with ${name}`, () => {
      expect(parseFromLeader({ ...EMPTY_FROM_LEADER, ...part }).fault).to.match(fault);
    });
  }

  it('may give a reason to stop that this node does not know', () => {
    const wire = { ...EMPTY_FROM_LEADER, aborts: [{ ...aborts, reason: 99 }] };
    const { frame } = parseFromLeader(wire) as { frame: FromLeader };
    expect(frame.aborts?.[0]?.reason).to.equal(AbortReason.UNKNOWN);
  });
});

/** Columns of one length. */
const columns = <Key extends string>(shape: Record<Key, fc.Arbitrary<number>>) => {
  const keys = Object.keys(shape) as Key[];
  const row = fc.tuple(...keys.map((key) => shape[key]));
  return fc
    .array(row, { maxLength: 20 })
    .map(
      (rows) =>
        Object.fromEntries(keys.map((key, i) => [key, rows.map((cells) => cells[i])])) as Record<
          Key,
          number[]
        >,
    );
};
const safe = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const word = fc.nat({ max: 2 ** 32 - 1 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const record = <T>(shape: { [key in keyof T]: fc.Arbitrary<T[key]> }): fc.Arbitrary<T> =>
  fc.record(shape);
const merged = <A, B>(left: fc.Arbitrary<A>, right: fc.Arbitrary<B>): fc.Arbitrary<A & B> =>
  fc.tuple(left, right).map(([a, b]) => ({ ...a, ...b }));

const fromNode: fc.Arbitrary<FromNode> = fc.record({
  hello: fc.constant(undefined),
  heartbeat: maybe(
    merged(
      record({ number: safe, processed: safe, draining: fc.boolean() }),
      columns({ seqs: safe, leaseSeqs: word }),
    ),
  ),
  told: maybe(
    merged(
      record({ number: safe }),
      columns({
        seqs: safe,
        leaseSeqs: word,
        settledAs: fc.constantFrom(...Object.values(SettledAs)),
        nextLeaseSeqs: word,
        attempts: word,
        runAtMs: fc.double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true }),
        runMs: fc.float({ min: -1, noNaN: true }),
      }),
    ),
  ) as fc.Arbitrary<FromNode['told']>,
  look: fc.boolean(),
  submitted: maybe(
    record({
      ...{ seq: safe, typeId: word, priority: word, hasDuration: fc.boolean() },
      expectedMs: fc.double({ min: 0, noNaN: true }),
    }),
  ),
  watch: fc.array(safe),
  unwatch: fc.array(safe),
  ask: maybe(record({ number: safe, seq: safe, typeIds: fc.array(word) })),
  nodesChanged: fc.boolean(),
  follow: maybe(
    record({
      ...{ isOn: fc.boolean(), isAnew: fc.boolean() },
      ...{ seqs: fc.array(safe), dropped: fc.array(safe) },
    }),
  ),
});

const ms = fc.double({ min: -1, noNaN: true });
const news = merged(
  merged(
    columns({ seqs: safe, changedTo: fc.integer({ min: 0, max: 5 }), nodeIds: safe }),
    columns({ holderIds: safe, held: safe }),
  ),
  record({
    ...{ isPartial: fc.boolean(), isWhole: fc.boolean(), lastSeq: safe, queued: safe },
    ...{ ended: fc.array(safe), endedSeqs: fc.array(safe) },
    ...{ readyMs: fc.array(fc.float({ noNaN: true })), runMs: fc.array(fc.float({ noNaN: true })) },
  }),
);

const fromLeader: fc.Arbitrary<Omit<FromLeader, 'number'>> = fc.record({
  term: safe,
  grants: maybe(columns({ seqs: safe, leaseSeqs: word, attempts: word, losses: word })),
  aborts: fc.array(
    merged(
      record({ reason: fc.constantFrom(...Object.values(AbortReason)) }),
      columns({ seqs: safe, leaseSeqs: word }),
    ),
  ),
  recall: maybe(columns({ seqs: safe, leaseSeqs: word })),
  answer: maybe(record({ number: safe, renewed: fc.boolean() })),
  toldThrough: safe,
  ended: maybe(columns({ seqs: safe, codes: fc.integer({ min: 1, max: 4 }) })),
  goodbye: fc.boolean(),
  prospect: maybe(
    merged(
      record({
        ...{ number: safe, ahead: safe, held: safe, typeRunning: safe, nodes: word, slots: word },
        ...{ isKnown: fc.boolean(), isAheadExact: fc.boolean(), typeMeansMs: fc.array(ms) },
      }),
      record({
        ...{ atMs: ms, aheadMs: ms, heldMs: ms, startInMs: ms, runMs: ms, overheadMs: ms },
        phase: fc.constantFrom(...Object.values(Phase)),
      }),
    ),
  ),
  news: maybe(news),
  drain: maybe(record({ isOn: fc.boolean() })),
});

describe('frames over the real wire', () => {
  let world: Setup;
  let node: Dialled;
  let leader: Accepted;

  beforeEach(async () => {
    world = await setup();
    node = world.dial();
    leader = await world.accepted.first();
  });
  afterEach(async () => {
    await world.tearDown();
  });

  it('arrive at the leader as the node sent them', async () => {
    const check = async (frame: FromNode): Promise<void> => {
      leader.messages.all.length = 0;
      node.link.send(frame);
      expect(await leader.messages.first()).to.deep.equal(frame);
      expect(bytesOfFromNode(frame)).to.be.greaterThan(0);
    };
    await fc.assert(fc.asyncProperty(fromNode, check), { numRuns: 200 });
  });

  it('arrive at the node as the leader sent them', async () => {
    const check = async (frame: Omit<FromLeader, 'number'>): Promise<void> => {
      node.messages.all.length = 0;
      const number = leader.link.send(frame);
      expect(await node.messages.first()).to.deep.equal({ ...frame, number });
      expect(bytesOfFromLeader(frame)).to.be.greaterThan(0);
    };
    await fc.assert(fc.asyncProperty(fromLeader, check), { numRuns: 200 });
  });

  it('fill in what the sender left out', async () => {
    leader.link.send({ term: 5 });
    expect(await node.messages.first()).to.deep.equal({
      term: 5,
      number: 1,
      grants: undefined,
      aborts: [],
      recall: undefined,
      prospect: undefined,
      news: undefined,
      drain: undefined,
      answer: undefined,
      toldThrough: 0,
      ended: undefined,
      goodbye: false,
    });
  });
});
