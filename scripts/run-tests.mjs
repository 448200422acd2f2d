/**
 * The checks behind `npm test` and `npm run test:full`. Whatever fails, all of them run, and the last
 * line is always `N passed, N failed`: every check that is no test of mocha counts as one.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { SetupError, ensureBuilt, root } from './setup.mjs';

/** A run that hangs is a failure, not a stuck machine. */
const MOCHA_MS = 20 * 60_000;
const bin = (...parts) => path.join(root, 'node_modules', ...parts);

/** Runs them all and prints as it goes; resolves to whether everything passed. */
export async function runChecks(kind) {
  const began = performance.now();
  const total = { passed: 0, failed: 0 };
  const count = (ok) => {
    if (ok) total.passed += 1;
    else total.failed += 1;
  };
  count(await check('build', () => ensureBuilt().then(() => '')));
  // Beside the tests, which mostly wait; behind them where both want a core.
  const checking = [];
  if (kind === 'quick') {
    const checks = [
      ['format', [bin('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level=warn', '.']],
      ['types', [bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json']],
      ['page types', [bin('typescript', 'bin', 'tsc'), '-p', 'node/dashboard/tsconfig.json']],
      ['lint', [bin('eslint', 'bin', 'eslint.js'), '--max-warnings=0', '.']],
    ];
    checking.push(...checks.map(([name, args]) => check(name, () => runQuietly(args))));
  }
  for (const tests of await runSpecs(await specsOf(kind), kind)) {
    total.passed += tests.passed;
    total.failed += tests.failed;
  }
  for (const ok of await Promise.all(checking)) count(ok);
  console.log(`in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  console.log(`${String(total.passed)} passed, ${String(total.failed)} failed`);
  return total.failed === 0;
}

async function check(name, action) {
  const began = performance.now();
  let fault = '';
  try {
    fault = await action();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    fault = error.message;
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${fault === '' ? 'ok  ' : 'FAIL'}  ${name.padEnd(8)}${seconds} s`);
  if (fault !== '') console.log(fault.trimEnd());
  return fault === '';
}

/** Resolves to nothing when the program succeeds, else to all that it said. */
function runQuietly(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    let output = '';
    const take = (chunk) => {
      output += chunk.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code === 0 ? '' : output || `exit code ${String(code)}`);
    });
  });
}

async function specsOf(kind) {
  const folder = path.join(root, 'test', kind === 'full' ? 'full' : '.');
  if (!existsSync(folder)) return [];
  const files = await readdir(folder, { recursive: true });
  return files
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => path.relative(root, path.join(folder, file)))
    .filter((file) => kind === 'full' || !file.startsWith(path.join('test', 'full') + path.sep))
    .toSorted();
}

/** At a time; each has a PostgreSQL of its own. The machines that this is for have two cores. */
const PROCESSES = 2;
const QUICK_SHARES = 8;
/**
 * Folders of test/full: what stands in one line runs side by side. Whoever counts elections or measures has
 * the machine for itself, because a neighbour that takes both cores is a fault that nobody asked for.
 */
const FULL_WAVES = [
  [['mutants'], ['scheduler', 'sim']],
  [['cluster']],
  [['outages', 'chaos'], 'the rest'],
  [['bench']],
];

/**
 * The quick tests mostly wait: more shares of them than processes, so that the last ones end together.
 */
async function runSpecs(specs, kind) {
  if (kind === 'quick') {
    const shares = Array.from({ length: QUICK_SHARES }, (_, at) =>
      specs.filter((_spec, index) => index % QUICK_SHARES === at),
    );
    return runShares(shares);
  }
  const folderOf = (spec) => spec.split(path.sep)[2];
  const named = FULL_WAVES.flat(2);
  const of = (share) =>
    share === 'the rest'
      ? specs.filter((spec) => !named.includes(folderOf(spec)))
      : specs.filter((spec) => share.includes(folderOf(spec)));
  const results = [];
  for (const wave of FULL_WAVES) results.push(...(await runShares(wave.map((share) => of(share)))));
  return results;
}

/** Runs the shares, some at a time; shows them in their order, the first that has not ended as it goes. */
async function runShares(shares) {
  const runs = shares.filter((share) => share.length > 0).map((specs) => runOf(specs));
  const waiting = [...runs];
  const work = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      run.begin();
      await run.result;
    }
  };
  const workers = Array.from({ length: PROCESSES }, () => work());
  const results = [];
  for (const run of runs) {
    run.show();
    results.push(await run.result);
  }
  await Promise.all(workers);
  return results;
}

/** A run of mocha that has yet to begin, and that holds what it says until it is to be shown. */
function runOf(specs) {
  const held = [];
  let isShown = false;
  let begin;
  const result = new Promise((resolve, reject) => {
    begin = () => {
      runMocha(specs, (text) => (isShown ? process.stdout.write(text) : held.push(text))).then(
        resolve,
        reject,
      );
    };
  });
  const show = () => {
    isShown = true;
    for (const text of held) process.stdout.write(text);
  };
  return { begin, result, show };
}

function runMocha(specs, show) {
  return new Promise((resolve, reject) => {
    const colour = process.stdout.isTTY ? ['--color'] : [];
    const args = [bin('mocha', 'bin', 'mocha.js'), ...colour, ...specs];
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: MOCHA_MS,
    });
    let tail = '';
    child.stdout.on('data', (chunk) => {
      show(chunk);
      tail = (tail + stripVTControlCharacters(chunk.toString())).slice(-2_000_000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      const passed = Number(/^ {2}(\d+) passing/m.exec(tail)?.[1] ?? 0);
      const failed = Number(/^ {2}(\d+) failing/m.exec(tail)?.[1] ?? 0);
      // A run that broke off, or whose teardown failed, has failed without a test that says so.
      resolve({ passed, failed: failed === 0 && code !== 0 ? 1 : failed });
    });
  });
}
