import { expect } from 'chai';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as rules from './support/tidy-rules.ts';
import type { Files, Rule } from './support/tidy-rules.ts';

/**
 * Goal: the floors of the house and the habits of the code hold in every file.
 * Method: each rule over the checkout, and over one sample that breaks it.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['node', 'proto', 'scripts', 'test'];
const KINDS = /\.(ts|tsx|mjs|sql|proto)$/;

function readCheckout(): Files {
  const files = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(path.join(ROOT, folder), { recursive: true })) {
      const file = path.posix.join(folder, String(entry).split(path.sep).join('/'));
      if (KINDS.test(file)) files.set(file, readFileSync(path.join(ROOT, file), 'utf8'));
    }
  }
  return files;
}

interface Case {
  readonly name: string;
  readonly rule: Rule;
  /** Files that break the rule, once each. */
  readonly broken: readonly Readonly<Record<string, string>>[];
}

const CASES: readonly Case[] = [
  {
    name: 'imports go down only, never sideways, and handlers see one file of ours',
    rule: rules.importsGoDown,
    broken: [
      { 'node/base/a.ts': `import { x } from '../core/x.ts';` },
      { 'node/core/a.ts': `import type { X } from '../store/x.ts';` },
      { 'node/store/a.ts': `export { x } from '../rpc/x.ts';` },
      { 'node/leader/a.ts': `const x = await import('../worker/x.ts');` },
      { 'node/api/a.ts': `import { x } from '../config.ts';` },
      { 'node/attic/a.ts': `import { x } from '../base/x.ts';` },
      { 'node/node.ts': `import { x } from '../scripts/x.ts';` },
      { 'node/handlers/a.ts': `import { x } from '../core/task.ts';` },
      { 'node/worker/a.ts': `import { x } from '../handlers/x.ts';` },
    ],
  },
  {
    name: 'no file imports itself by way of others',
    rule: rules.noCycles,
    broken: [
      {
        'node/core/a.ts': `import { b } from './b.ts';`,
        'node/core/b.ts': `import { c } from './c.ts';`,
        'node/core/c.ts': `import type { A } from './a.ts';`,
      },
    ],
  },
  {
    name: 'each package is named in its own folder',
    rule: rules.packagesStayHome,
    broken: [
      { 'node/leader/a.ts': `import { Client } from 'pg';` },
      { 'node/api/a.ts': `import { z } from 'left-pad/deep';` },
      { 'node/store/a.ts': `import * as grpc from '@grpc/grpc-js';` },
    ],
  },
  {
    name: 'the core knows no package and nothing of Node',
    rule: rules.coreIsPure,
    broken: [{ 'node/core/a.ts': `import { readFile } from 'node:fs/promises';` }],
  },
  {
    name: 'core and roles take time and chance as they are given',
    rule: rules.timeComesIn,
    broken: [
      { 'node/core/a.ts': `const now = Date.now();` },
      { 'node/core/a.ts': `const now = new Date();` },
      { 'node/leader/a.ts': `const now = performance.now();` },
      { 'node/worker/a.ts': `setTimeout(() => undefined, 1);` },
      { 'node/cluster/a.ts': `const draw = Math.random;` },
    ],
  },
  {
    name: 'nothing is left unfinished',
    rule: rules.nothingUnfinished,
    broken: [{ 'node/core/a.ts': `// ${'TO' + 'DO'}: later` }],
  },
  {
    name: 'no tool is silenced',
    rule: rules.nothingSilenced,
    broken: [{ 'node/core/a.ts': `// ${'eslint' + '-disable'} no-console` }],
  },
  {
    name: 'no test runs alone or never',
    rule: rules.noTestLeftAlone,
    broken: [{ 'test/a.test.ts': `${'it.' + 'only'}('x', () => undefined);` }],
  },
  {
    name: 'no line is longer than 110 characters',
    rule: rules.linesAreShort,
    broken: [{ 'node/store/a.sql': `-- ${'x'.repeat(108)}` }],
  },
  {
    name: 'no file is longer than 400 lines',
    rule: rules.filesAreShort,
    broken: [{ 'node/core/a.ts': 'const x = 1;\n'.repeat(401) }],
  },
  {
    name: 'files are named in kebab-case',
    rule: rules.namesAreKebabCase,
    broken: [{ 'node/core/readyQueue.ts': '' }],
  },
];

describe('the checkout is tidy', () => {
  let files: Files;
  before(() => {
    files = readCheckout();
    expect(files.size).to.be.greaterThan(20);
  });

  for (const { name, rule, broken } of CASES) {
    it(name, () => {
      expect(rule(files)).to.deep.equal([]);
    });

    it(`sees where it does not hold: ${name}`, () => {
      for (const sample of broken) {
        expect(rule(new Map(Object.entries(sample))), Object.values(sample)[0]).to.have.length(1);
      }
    });
  }

  it('lets through what the rules allow', () => {
    const sound = new Map([
      ['node/base/clock.ts', `export const now = () => performance.now();`],
      ['node/core/a.ts', `import { b } from './b.ts'; const day = new Date(0); task.setTimeout;`],
      ['node/core/b.ts', `import type { X } from '../base/clock.ts'; // performance matters`],
      ['node/store/a.ts', `import { Client } from 'pg'; import { x } from '../core/a.ts';`],
      ['node/config.ts', `import { z } from 'zod'; import path from 'node:path';`],
      ['node/node.ts', `import { x } from './store/a.ts'; import { h } from './handlers/h.ts';`],
      ['node/handlers/h.ts', `import type { H } from '../core/handler.ts';`],
      ['scripts/a.ts', `import { x } from '../node/config.ts'; const now = Date.now();`],
    ]);
    for (const { rule } of CASES) expect(rule(sound)).to.deep.equal([]);
  });
});
