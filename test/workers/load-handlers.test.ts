import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../node/base/clock.ts';
import { loadHandlers } from '../../node/worker/load-handlers.ts';
import { HandlersError, type UserCode } from '../../node/worker/user-code.ts';
import { spawnNode } from '../../scripts/node-process.ts';
import { handlersFolder, type HandlersFolder } from '../support/handlers-folder.ts';

/**
 * Goal: a folder of handlers is understood whole, or refused whole with what is wrong in which file; no
 * node ever imports it. Method: folders as users write them, and the process that looks at them.
 */
const ENTRY = new URL('../../node/task-child.ts', import.meta.url);
const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const SETTINGS = { httpAllow: [], allowShell: false };

describe('a folder of handlers', function () {
  this.timeout(60_000);
  let folder: HandlersFolder;
  afterEach(() => folder.remove());

  const load = async (files: Readonly<Record<string, string>>): Promise<UserCode> => {
    folder = await handlersFolder(files);
    return loadHandlers(folder.path, ENTRY, SETTINGS, systemClock);
  };
  const faultsOf = async (files: Readonly<Record<string, string>>): Promise<readonly string[]> => {
    try {
      await load(files);
    } catch (thrown) {
      if (thrown instanceof HandlersError) return thrown.faults;
      throw thrown;
    }
    return [];
  };

  it('is learned without being imported here, packages and all', async () => {
    folder = await handlersFolder({
      'a.ts': `
        import { z } from 'zod';
        import { defineHandler } from 'skein';
        (globalThis as { seen?: boolean }).seen = true;
        const parse = z.object({ n: z.number() });
        export default defineHandler({ parse, version: '3', run: ({ n }) => n, isolation: 'process' });`,
      'b.mjs': `export default () => null;`,
      '_shared.ts': `export const nothing = null;`,
      'notes.txt': 'nothing',
    });
    await mkdir(path.join(folder.path, 'node_modules'));
    await symlink(path.join(MODULES, 'zod'), path.join(folder.path, 'node_modules/zod'));
    const { types, bundle } = await loadHandlers(folder.path, ENTRY, SETTINGS, systemClock);
    expect([...types.keys()]).to.deep.equal(['a', 'b']);
    expect(types.get('a')).to.include({ version: '3', isolation: 'process', file: 'a.ts' });
    expect(types.get('b')).to.include({ version: null, isolation: 'thread' });
    expect(existsSync(bundle.path)).to.equal(true);
    expect(bundle.text).to.match(/from "file:\/\/\/.+\/node_modules\/zod\//);
    expect(globalThis).not.to.have.property('seen');
  });

  // Seen to fail where the first fault ends the look.
  it('is refused with the faults of all its files', async () => {
    const faults = await faultsOf({
      'empty.ts': `export const run = 1;`,
      'noop.ts': `export default () => null;`,
      'one.ts': `export default { type: 'same', run: () => null };`,
      'throws.js': `throw new Error('no such variable');`,
      'two.ts': `export default { type: 'same', run: () => null };`,
    });
    expect(faults).to.deep.equal([
      'empty.ts: has no default export',
      'noop.ts: the type noop is built in',
      'throws.js: no such variable',
      'two.ts: the type same is that of one.ts already',
    ]);
  });

  it('is refused where two files stand for one type', async () => {
    const faults = await faultsOf({
      'a.js': 'export default () => 1;',
      'a.ts': 'export default () => 2;',
    });
    expect(faults).to.deep.equal(['a.ts: the type a is that of a.js already']);
  });

  it('is refused with the place of what is no TypeScript, and of what is not there', async () => {
    const [first, second, ...more] = await faultsOf({
      'broken.ts': 'export default () => {\n  const = 1;\n};',
      'lost.ts': `import { left } from './left.ts';\nexport default () => left;`,
    });
    expect(first).to.match(/^broken\.ts:2:9: /);
    expect(second).to.match(/^lost\.ts:1:22: Could not resolve "\.\/left\.ts"/);
    expect(more).to.deep.equal([]);
  });

  // Seen to fail where the end of the process is not heard.
  it('is refused where a module ends the process that loads it', async () => {
    const faults = await faultsOf({
      'a.ts': 'export default () => null;',
      'leaves.ts': 'process.exit(7);',
    });
    expect(faults).to.deep.equal([
      'leaves.ts: its process ended while it was loaded (exit code 7)',
    ]);
  });

  it('is refused where it is none', async () => {
    folder = await handlersFolder({});
    const faults = async (name: string): Promise<readonly string[]> =>
      loadHandlers(path.join(folder.path, name), ENTRY, SETTINGS, systemClock).then(
        () => [],
        (thrown: unknown) => (thrown as HandlersError).faults,
      );
    expect(await faults('.')).to.deep.equal([`${folder.path}: there is no handler in it`]);
    expect((await faults('not-there'))[0]).to.match(/ENOENT/);
  });

  // Seen to fail with exit code 1, and where the node begins before it has looked.
  it('keeps a node from starting: exit code 2, and nothing begun', async () => {
    folder = await handlersFolder({ 'a.ts': 'export const b = 1;' });
    const data = path.join(folder.path, 'data');
    const log = path.join(folder.path, 'log');
    const { ended } = await spawnNode({
      ...{ name: 'n', env: process.env, log },
      flags: ['--data-dir', data, '--handlers', folder.path, '--log-format', 'json'],
    });
    expect(await ended).to.equal('exit code 2');
    expect(existsSync(data)).to.equal(false);
    const { readFile } = await import('node:fs/promises');
    expect(await readFile(log, 'utf8')).to.equal(
      'skein: --handlers: a.ts: has no default export\n',
    );
    expect(await readdir(folder.path)).to.have.members(['a.ts', 'log']);
  });
});
