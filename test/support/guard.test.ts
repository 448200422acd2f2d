import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { guard } from './guard.ts';

/** Goal: a run that is killed leaves nothing. Method: guard a process from one that is killed. */
describe('guard', () => {
  const HERE = new URL('./guard.ts', import.meta.url).href;
  const GUARDING = `
    import { guard } from '${HERE}';
    guard('kill -9 "$1"', [process.argv[1]]);
    console.log('guarded');
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;

  it('does its work when the process that set it up is killed', async () => {
    const guarded = spawn('sleep', ['60'], { stdio: 'ignore' });
    const ended = once(guarded, 'exit');
    const args = ['--import=tsx', '--input-type=module', '-e', GUARDING, String(guarded.pid)];
    const holder = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    expect((await ended)[1]).to.equal('SIGKILL');
  });

  it('does nothing when it is taken back', async () => {
    const guarded = spawn('sleep', ['60'], { stdio: 'ignore' });
    const { takeBack, gone } = guard('kill -9 "$1"', [String(guarded.pid)]);
    takeBack();
    await gone;
    expect(guarded.kill(0)).to.equal(true);
    guarded.kill();
  });
});
