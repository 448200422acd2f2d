import { ApiServer } from '../../node/api/server.ts';
import { runNode } from '../../node/run-node.ts';
import { nodeFlags } from '../support/node-flags.ts';

/** `skein node`, one step of whose start or shut-down never ends, and its bound in milliseconds. */
const [step, endingMs] = [process.env['HANGING_STEP'], process.env['ENDING_MS']];

function hang(): Promise<never> {
  process.stdout.write('it hangs\n');
  return new Promise(() => undefined);
}

if (step === 'start') ApiServer.prototype.start = hang;
else ApiServer.prototype.stop = hang;

process.exit(await runNode(nodeFlags(), undefined, Number(endingMs)));
