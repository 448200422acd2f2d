import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { guard } from '../support/guard.ts';
import { applied, type Mutant } from './mutant.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What the tests and the simulation need; the packages are linked to. */
const COPIED = [
  'node',
  'scripts',
  'test',
  'proto',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  '.mocharc.yml',
];

/** A copy of the sources with one mutant in it at a time. */
export class Workbench {
  readonly folder: string;
  private readonly takeBackGuard: () => void;

  private constructor(folder: string) {
    this.folder = folder;
    this.takeBackGuard = guard('rm -rf "$1"', [folder]).takeBack;
  }

  static async open(): Promise<Workbench> {
    const bench = new Workbench(await mkdtemp(path.join(tmpdir(), 'skein-mutants-')));
    for (const name of COPIED) {
      await cp(path.join(ROOT, name), path.join(bench.folder, name), { recursive: true });
    }
    await symlink(path.join(ROOT, 'node_modules'), path.join(bench.folder, 'node_modules'));
    return bench;
  }

  /** Runs `work` on the mutated sources; undefined where the mutant cannot be applied. */
  async withMutant<T>(mutant: Mutant, work: () => Promise<T>): Promise<T | undefined> {
    const file = path.join(this.folder, mutant.file);
    const original = await readFile(file, 'utf8');
    const mutated = applied(mutant, original);
    if (mutated === undefined) return undefined;
    try {
      await writeFile(file, mutated);
      return await work();
    } finally {
      await writeFile(file, original);
    }
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    this.takeBackGuard();
  }
}
