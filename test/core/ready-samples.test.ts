import { expect } from 'chai';
import { ReadySamples } from '../../node/core/ready-samples.ts';

// Goal: what people see of waits is measured, and costs a bounded amount. Method: the samples alone.
describe('samples of how long tasks are ready', () => {
  it('say how long each waited for its lease, once', () => {
    const samples = new ReadySamples();
    samples.becameReady(1, 100);
    samples.becameReady(2, 110);
    samples.leased(2, 150);
    samples.leased(2, 170);
    samples.leased(1, 160);
    samples.leased(3, 160);
    expect(samples.take()).to.deep.equal([40, 60]);
    expect(samples.take()).to.deep.equal([]);
  });

  it('remember so many tasks at most, and none that has ended', () => {
    const samples = new ReadySamples();
    for (let seq = 1; seq <= 5000; seq++) samples.becameReady(seq, 0);
    samples.leased(4000, 5);
    expect(samples.take()).to.deep.equal([]);
    samples.ended(1);
    samples.becameReady(6000, 1);
    samples.leased(1, 5);
    samples.leased(6000, 5);
    expect(samples.take()).to.deep.equal([4]);
  });
});
