import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Goal: .ci/run never calls a failure a success. Method: an npm of straw that says what it is told. */
describe('.ci/run', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'skein ci-'));
    const script = fileURLToPath(new URL('../../.ci/run', import.meta.url));
    cpSync(script, path.join(folder, '.ci', 'run'), { recursive: true });
    mkdirSync(path.join(folder, 'bin'));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function run(quick: string, full: string): { last: string; code: number | null } {
    const npm = path.join(folder, 'bin', 'npm');
    writeFileSync(npm, `#!/bin/sh\nif [ "$1" = test ]; then ${quick}; else ${full}; fi\n`);
    chmodSync(npm, 0o755);
    // Installing is not what is tried here.
    writeFileSync(path.join(folder, 'bin', 'apt-get'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const { stdout, status } = spawnSync(path.join(folder, '.ci', 'run'), {
      encoding: 'utf8',
      env: { PATH: `${path.dirname(npm)}:${process.env['PATH'] ?? ''}` },
    });
    return { last: stdout.trimEnd().split('\n').at(-1) ?? '', code: status };
  }

  it('sums what passed', () => {
    const sum = run('echo "  7 passing"; echo "9 passed, 0 failed"', 'echo "2 passed, 0 failed"');
    expect(sum).to.deep.equal({ last: '11 passed, 0 failed', code: 0 });
  });

  it('fails when one test failed', () => {
    const sum = run('echo "9 passed, 0 failed"', 'echo "2 passed, 1 failed"; exit 1');
    expect(sum).to.deep.equal({ last: '11 passed, 1 failed', code: 1 });
  });

  it('counts a run that breaks off without its last line', () => {
    const sum = run('echo "9 passed, 0 failed"', 'echo oops; exit 1');
    expect(sum).to.deep.equal({ last: '9 passed, 1 failed', code: 1 });
  });

  it('counts a run that exits with a failure but names none', () => {
    const sum = run('echo "9 passed, 0 failed"; exit 3', 'echo "2 passed, 0 failed"');
    expect(sum).to.deep.equal({ last: '11 passed, 1 failed', code: 1 });
  });
});
