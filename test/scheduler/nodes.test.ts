import { expect } from 'chai';
import { Bench } from './setup.ts';

/** Goal: what the scheduler makes of nodes that are lost, come back, or drain. Each was seen to fail. */
describe('the scheduler and its nodes', () => {
  const member = { nodeId: 7, slots: 2, typeIds: [1], simulates: false, labels: [] };
  const beat = (draining: boolean) =>
    ({
      kind: 'inventory-received',
      ...{ nodeId: 7, throughStep: 0 },
      heartbeat: { number: 1, processed: 0, draining, seqs: [], leaseSeqs: [] },
    }) as const;

  it('takes back what a lost node holds, also where the row comes after the news', () => {
    const bench = new Bench().step({ kind: 'node-lost', nodeId: 7 });
    bench.load({ seq: 1, nodeId: 7, leaseSeq: 3 });
    expect(bench.effects).to.deep.equal([
      { kind: 'persist-reclaims', nodeId: 7, seqs: [1], leaseSeqs: [3] },
    ]);
  });

  it('never leases to a node that was lost, though its stream is up again', () => {
    const bench = new Bench().join(7, 2).step({ kind: 'node-lost', nodeId: 7 });
    bench.step({ kind: 'node-joined', member });
    expect(bench.load({ seq: 1 }).leased).to.deep.equal([]);
    expect(bench.join(8, 1).effect('persist-leases')?.nodeIds).to.deep.equal([8]);
  });

  it('leases nothing to a node while it drains', () => {
    const bench = new Bench().join(7, 2).step(beat(true));
    expect(bench.load({ seq: 1 }).leased).to.deep.equal([]);
    expect(bench.step(beat(false)).leased).to.deep.equal([1]);
  });
});
