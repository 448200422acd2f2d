import { startCluster, type TestCluster } from '../support/cluster.ts';
import {
  clientOf,
  expectRightRun,
  PATIENCE_MS,
  submitRecorded,
  untilWorkflowEnds,
  WORKFLOWS,
} from './setup.ts';

// Goal: real scientific workflows run as their graphs say. Method: three real nodes with 16 slots each,
// the recorded run times at a fiftieth, every edge judged by the times in the database.
describe('three nodes run recorded workflows', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ slots: 16, simulate: true });
  });

  after(async () => {
    await cluster.stop();
  });

  for (const { file, ...sizes } of WORKFLOWS) {
    it(`${file}: all complete, in order`, async () => {
      const client = clientOf(cluster);
      await submitRecorded(client, file, file, 0.02);
      await untilWorkflowEnds(client, file);
      const { makespanMs, idealMs } = await expectRightRun(client, file, sizes, 48);
      const ratio = (makespanMs / idealMs).toFixed(2);
      console.log(
        `      makespan ${String(makespanMs)} ms, ideal ${idealMs.toFixed(0)} ms, ratio ${ratio}`,
      );
    });
  }
});
