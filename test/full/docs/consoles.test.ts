import { expect } from 'chai';
import { blocksOf, markdownFiles, readText, type Block } from '../../docs/markdown.ts';
import { commandsOf, patternOf, ShownCluster } from '../../docs/shown-cluster.ts';

/**
 * Goal: what the documents show is what a reader gets. Method: the consoles that are marked `checked` are
 * run in their order, those of each document against a cluster that was started as the README says, and
 * their answers compared but for times, process numbers and ports.
 */
for (const file of ['README.md', ...markdownFiles().filter((name) => name.startsWith('deploy/'))]) {
  const checked = blocksOf(readText(file)).filter(({ info }) => info.includes('checked'));
  if (checked.length > 0) describeConsoles(file, checked);
}

function describeConsoles(file: string, checked: readonly Block[]): void {
  describe(`the consoles of ${file}`, function () {
    // The command may have to build first.
    this.timeout(180_000);
    let cluster: ShownCluster;

    before(async () => {
      cluster = await ShownCluster.start();
    });

    after(async () => {
      await cluster.stop();
    });

    for (const block of checked) {
      it(`${block.heading}, line ${String(block.line)}`, async () => {
        if (block.info.includes('stays')) {
          await cluster.runStaying(block);
          return;
        }
        const ran = await cluster.run(block);
        for (const [at, { command, shown }] of commandsOf(block).entries()) {
          const output = `${cluster.normalised(ran[at]?.output ?? '')}\n`;
          if (shown === '') expect(output, command).to.equal('\n');
          else
            expect(output, `${command}\n${output}`).to.match(patternOf(cluster.normalised(shown)));
        }
      });
    }

    it('a script gets one line of JSON, and a stop that leaves nothing', async () => {
      expect(await cluster.stop()).to.equal(0);
      expect(cluster.stdout).to.have.length(1);
      for (const { pid } of cluster.ready.nodes)
        expect(() => process.kill(pid, 0)).to.throw('ESRCH');
    });
  });
}
