import { expect } from 'chai';
import { blocksOf, readText } from '../../docs/markdown.ts';
import { commandsOf, patternOf, ShownCluster } from '../../docs/shown-cluster.ts';

/**
 * Goal: what the README shows is what a reader gets. Method: the consoles that are marked `checked` are
 * run in their order against a cluster that was started as the README says, and their answers compared
 * but for times, process numbers and ports.
 */
const CHECKED = blocksOf(readText('README.md')).filter(({ info }) => info.includes('checked'));

describe('the consoles of the README', function () {
  // The command may have to build first.
  this.timeout(180_000);
  let cluster: ShownCluster;

  before(async () => {
    cluster = await ShownCluster.start();
  });

  after(async () => {
    await cluster.stop();
  });

  for (const block of CHECKED) {
    it(`${block.heading}, line ${String(block.line)}`, async () => {
      if (block.info.includes('stays')) {
        await cluster.runStaying(block);
        return;
      }
      const ran = await cluster.run(block);
      for (const [at, { command, shown }] of commandsOf(block).entries()) {
        const output = `${cluster.normalised(ran[at]?.output ?? '')}\n`;
        if (shown === '') expect(output, command).to.equal('\n');
        else expect(output, `${command}\n${output}`).to.match(patternOf(cluster.normalised(shown)));
      }
    });
  }

  it('a script gets one line of JSON, and a stop that leaves nothing', async () => {
    expect(await cluster.stop()).to.equal(0);
    expect(cluster.stdout).to.have.length(1);
    for (const { pid } of cluster.ready.nodes) expect(() => process.kill(pid, 0)).to.throw('ESRCH');
  });
});
