import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { AbortReason } from '../../node/core/messages.ts';
import { isolatedHandlers } from '../workers/isolated-handlers.ts';
import { Bench, type BenchOptions, type TaskSketch } from '../workers/setup.ts';

/**
 * Goal: a command runs as its payload says and no shell reads it; its output is bounded; it ends with its
 * task, its node and its node's lease, and so does all that it has started, wherever that has gone.
 * Method: real commands under the worker and the isolation of a node. A command says its pids in a file.
 * Seen to fail: each test names the change of the code that it caught.
 */
/** Below that of a test, so that nothing waits on when it is over. */
const DEADLINE_MS = 20_000;

describe('the type shell', () => {
  let bench: Bench;
  let folder: string;
  let deadline: AbortSignal;
  /** What a test that fails would leave behind. */
  let begun: number[];

  before(function () {
    if (process.platform !== 'linux') this.skip();
  });
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-shell-'));
    deadline = AbortSignal.timeout(DEADLINE_MS);
    begun = [];
  });
  afterEach(async () => {
    await bench.close();
    for (const pid of begun) if (await lives(pid)) process.kill(pid, 'SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  const open = async (options: BenchOptions = {}): Promise<void> => {
    bench = await Bench.open({ handlers: isolatedHandlers, ...options });
  };
  const begin = async (payload: unknown, sketch: TaskSketch = {}): Promise<number> => {
    const whole = { type: 'shell', payload: JSON.stringify(payload), ...sketch };
    const [seq = 0] = await bench.submit(whole);
    await bench.lease([seq]);
    return seq;
  };
  const run = async (payload: unknown, sketch: TaskSketch = {}): Promise<Task> => {
    const seq = await begin(payload, { maxAttempts: 1, ...sketch });
    await bench.settled(seq);
    const { result, error } = await bench.task(seq);
    return { result: JSON.parse(result ?? 'null') as Task['result'], error };
  };
  const sh = (script: string, more: object = {}) => ({
    command: ['sh', '-c', script],
    cwd: folder,
    ...more,
  });
  /** The pids in a file of the folder, when there are so many. */
  const pids = async (count: number): Promise<readonly number[]> => {
    for (;;) {
      const text = await readFile(path.join(folder, 'pids'), 'utf8').catch(() => '');
      const found = text.trim().split('\n').map(Number);
      begun.push(...found.filter((pid) => pid > 1));
      if (text.endsWith('\n') && found.length >= count) return found;
      await systemClock.sleep(5, deadline);
    }
  };
  const gone = async (all: readonly number[]): Promise<void> => {
    for (const pid of all) {
      while (await lives(pid)) {
        expect(deadline.aborted, `the process ${String(pid)} lives on`).to.equal(false);
        await systemClock.sleep(5);
      }
    }
  };

  it('runs a command with its arguments as they are', async () => {
    await open();
    const { result } = await run({ command: ['printf', '%s|', 'a b', '$HOME', ';ls', '*'] });
    expect(result).to.deep.equal({ exit_code: 0, stdout: 'a b|$HOME|;ls|*|', stderr: '' });
  });

  // Seen to fail with `env: process.env`.
  it('has a clean environment, its folder and its input', async () => {
    process.env['SKEIN_TEST_SECRET'] = 'postgres://secret';
    await open();
    const { result } = await run({
      ...{ command: ['sh', '-c', 'env; pwd; cat'], cwd: folder, stdin: 'given' },
      env: { GIVEN: 'yes', LANG: 'C.UTF-8' },
    });
    delete process.env['SKEIN_TEST_SECRET'];
    const lines = (result?.['stdout'] as string).split('\n');
    const names = lines.filter((line) => line.includes('=')).map((line) => line.split('=')[0]);
    const own = ['SKEIN_TASK_ID', 'SKEIN_ATTEMPT', 'SKEIN_FENCING_TOKEN', 'SKEIN_GROUP'];
    // PWD is the shell's own.
    const known = ['PATH', 'LANG', 'HOME', 'GIVEN', 'PWD', ...own];
    expect(names.filter((name) => !known.includes(name ?? ''))).to.deep.equal([]);
    expect(lines).to.include.members(['GIVEN=yes', 'LANG=C.UTF-8', 'SKEIN_ATTEMPT=1']);
    expect(lines.slice(-2)).to.deep.equal([folder, 'given']);
  });

  it('fails with the code and the end of what it said, and is tried again', async () => {
    await open();
    const seq = await begin(sh('echo out; echo the disk is full >&2; exit 3'));
    await bench.settled(seq);
    expect(await bench.live(seq)).to.include({ attempt: 1 });
    const { rows } = await bench.admin.query<{ error: unknown }>(
      'select error from skein.attempt where seq = $1',
      [seq],
    );
    expect(rows[0]?.error).to.deep.equal({
      code: 'shell_failed',
      message: 'sh ended with exit code 3: the disk is full',
      retryable: true,
    });
  });

  it('says which signal ended it', async () => {
    await open();
    expect((await run(sh('kill -KILL $$'))).error).to.include({ message: 'sh ended by SIGKILL' });
  });

  it('takes for success what the payload says', async () => {
    await open();
    const { result } = await run(sh('exit 3', { success_codes: [0, '2-4'] }));
    expect(result).to.include({ exit_code: 3 });
  });

  it('says that a program is not there', async () => {
    await open();
    const { error } = await run({ command: ['no-such-program-here'] });
    expect(error).to.include({ code: 'shell_not_started', retryable: true });
    expect(error?.message).to.include('ENOENT');
  });

  const faults: readonly (readonly [unknown, string])[] = [
    [{ command: 'ls -l' }, 'command must be a list of texts'],
    [{ command: [] }, 'command must be a list of texts'],
    [{ command: ['a\0b'] }, 'command must be a list of texts'],
    [{ command: ['ls'], shell: true }, 'shell is no field of this type'],
    [{ command: ['ls'], env: { 'A=B': 'c' } }, 'env may not have "A=B"'],
  ];
  it('refuses what is no command, for good', async () => {
    await open();
    for (const [payload, fault] of faults) {
      const { error } = await run(payload, { maxAttempts: 3 });
      expect(error).to.include({ code: 'payload_invalid', retryable: false });
      expect(error?.message).to.include(fault);
    }
  });

  // Seen to fail with all of the output in the result, which is then too large.
  it('keeps the end of much output, and knows how much there was', async () => {
    await open();
    const { result } = await run(
      sh('head -c 5000000 /dev/zero | tr "\\0" x; printf end; echo e >&2'),
    );
    expect(result).to.include({ exit_code: 0, stdout_bytes: 5_000_003, stderr: 'e\n' });
    expect(result?.['stdout']).to.have.length(64 * 1024);
    expect(result?.['stdout']).to.match(/xxend$/);
  });

  it('shows output that is no text as base64', async () => {
    await open();
    const { result } = await run(sh('printf "\\377\\000"'));
    expect(result).to.include({ stdout: '/wA=', stdout_encoding: 'base64' });
  });

  // Seen to fail without `follow`.
  it('says in the log of its attempt what the command says', async () => {
    await open();
    await run(sh('echo one; echo two >&2'));
    const said = bench.lines.filter(({ fields }) => fields['said'] !== undefined);
    expect(said.map(({ fields }) => [fields['said'], fields['fields']])).to.have.deep.members([
      ['one', '{"stream":"stdout"}'],
      ['two', '{"stream":"stderr"}'],
    ]);
  });

  // Seen to fail with `child.kill` alone: the sleep of the shell went on until the grace was over.
  it('is asked to end when it is cancelled, with all that it has started', async () => {
    await open({ graceMs: 20_000 });
    const trap = 'trap "echo heard >&2; exit 1" TERM';
    const seq = await begin(sh(`${trap}; sleep 600 & echo $$ $! | tr " " "\\n" >pids; wait`));
    const all = await pids(2);
    await bench.writer.cancelMany([seq]);
    bench.worker.abort({ seqs: [seq], leaseSeqs: [1], reason: AbortReason.CANCELLED });
    await bench.settled(seq);
    expect(await bench.task(seq)).to.include({ status: 3 });
    await gone(all);
  });

  /** What stays in the group, has one of its own, has a session of its own, and has lost its parent too. */
  const STRAYS = [
    'sleep 600 & echo $! >>pids',
    // Nothing in its environment says whose it is: it is found by its session.
    'env -i timeout 600 sleep 600 & echo $! >>pids',
    'setsid sh -c "echo \\$\\$ >>pids; exec sleep 600" &',
    '(setsid sh -c "echo \\$\\$ >>pids; exec sleep 600" &)',
    '',
  ].join('\n');
  const DEAF = `trap "" TERM; echo $$ >>pids; ${STRAYS} while :; do :; done`;

  // Seen to fail without the session, and without the environment, in isMember.
  it('is killed with all that it has started, when it heeds no signal', async () => {
    await open({ graceMs: 50 });
    const seq = await begin(sh(DEAF));
    const all = await pids(5);
    bench.worker.abort({ seqs: [seq], leaseSeqs: [1], reason: AbortReason.NOT_YOURS });
    await bench.settled(seq);
    await gone(all);
    await bench.shown(
      () => bench.groups(),
      (groups) => groups.length === 0,
    );
  });

  // Seen to fail without killOwnStrays in the child's answer.
  it('leaves nothing behind when it has ended', async () => {
    await open();
    const waiting = 'exec >/dev/null; until [ $(wc -l <pids) -ge 4 ]; do sleep 0.01; done';
    const seq = await begin(sh(`${STRAYS} ${waiting}`));
    const all = await pids(4);
    await bench.settled(seq);
    await gone(all);
  });

  // Seen to fail without killOwnStrays in the end of the dead-man thread.
  it('ends at the end of the lease with all that it has started', async () => {
    let leftMs = 60_000;
    await open({ leaseLeftMs: () => leftMs });
    const seq = await begin(sh(DEAF));
    const all = await pids(5);
    leftMs = 0;
    await gone(all);
    await bench.settled(seq);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
  });

  // Seen to fail with an exit at the end of the channel to the node: the command went on.
  it('dies with its node, and with it all that it has started', async () => {
    await open();
    const entry = new URL('./doomed-shell.ts', import.meta.url).pathname;
    const payload = JSON.stringify(sh(DEAF));
    const node = spawn(process.execPath, ['--import=tsx', entry, payload], { stdio: 'ignore' });
    const all = await pids(5);
    node.kill('SIGKILL');
    await gone(all);
  });

  // Seen to fail without the timer after the exit: the task lasted as long as the sleep.
  it('ends with its command, whoever else holds the output open', async () => {
    await open();
    const { result } = await run(sh('trap "" TERM; sleep 600 & echo $! >pids; echo done'));
    expect(result).to.include({ exit_code: 0, stdout: 'done\n' });
    await gone(await pids(1));
  });
});

interface Task {
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly error: { readonly message?: string } | null;
}

/** Whether a process runs; a dead one that nobody has collected does not. */
async function lives(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => ') X');
  return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}
