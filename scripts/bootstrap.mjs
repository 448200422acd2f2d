/**
 * The entry of every npm command: does the set-up that is missing, then the command itself.
 * `node scripts/bootstrap.mjs help` lists them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { dist, ensureBuilt, ensureInstalled, root, runCommand, say } from './setup.mjs';

const COMMANDS = {
  start: {
    what: 'three nodes and a PostgreSQL on this machine (npm start -- --help lists its flags)',
    run: async () => {
      await ensureInstalled();
      await ensureBuilt();
      await import(pathToFileURL(path.join(dist, 'scripts', 'start.js')).href);
    },
  },
  test: {
    what: 'format, lint, types and all quick tests; at most 5 minutes',
    run: () => runTests('quick'),
  },
  'test:full': {
    what: 'the long tests, those in test/full; .ci/run does both',
    run: () => runTests('full'),
  },
  simulate: {
    what: 'the cluster in a simulated world, seed by seed (npm run simulate -- --help)',
    run: () => runSource('simulate.ts'),
  },
  chaos: {
    what: 'a real cluster under faults, and what came of it (npm run chaos -- --help)',
    run: () => runSource('chaos.ts'),
  },
  mutants: {
    what: 'seeds bugs of the protocol, one at a time, and shows which test kills each',
    run: () => runSource('mutants.ts'),
  },
  fuzz: {
    what: 'calls and frames of every kind against a real cluster (npm run fuzz -- --help)',
    run: () => runSource('fuzz.ts'),
  },
  outages: {
    what: 'how long failovers and outages last on real processes (npm run outages -- --help)',
    run: () => runOnBuild('outages.ts'),
  },
  bench: {
    what: 'how fast it is and what it costs, beside its peers too (npm run bench -- --help)',
    run: () => runOnBuild('bench.ts'),
  },
  build: {
    what: 'compile to dist/, where the sources have changed; the others do it by themselves',
    run: async () => {
      await ensureInstalled();
      await ensureBuilt();
    },
  },
  help: { what: 'this list', run: () => Promise.resolve(help()) },
};

const MORE = [
  [
    'npx skein --help',
    'the command line: node, submit, get, list, watch, logs, explain, attempts, dependents, cancel, ' +
      'retry, edit, workflows, types, pause, resume, limit, schedule, cluster, join-token, drain, ' +
      'undrain, events, doctor, keys, audit',
  ],
  ['npx mocha FILE', 'one file of tests, such as test/core/task.test.ts'],
  ['npx tsx scripts/makespan.ts --help', 'a recorded workflow beside its ideal schedule'],
];

function help() {
  const lines = Object.entries(COMMANDS).map(([name, { what }]) => {
    const short = name === 'start' || name === 'test' ? `npm ${name}` : `npm run ${name}`;
    return [short, what];
  });
  for (const [command, what] of [...lines, ...MORE]) console.log(`${command.padEnd(36)}${what}`);
}

/** A script that is run from its source; the flags of the command are its own. */
async function runSource(file) {
  await ensureInstalled();
  const args = ['--import', 'tsx', path.join(root, 'scripts', file), ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  // Ctrl-C reaches the whole group: the script ends in its own time, and this with it.
  const heed = () => undefined;
  process.on('SIGINT', heed);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = await once(child, 'exit');
  process.exitCode = code ?? 1;
}

/** The same, where the nodes that it starts are those of the build. */
async function runOnBuild(file) {
  await ensureInstalled();
  await ensureBuilt();
  await runSource(file);
}

async function runTests(kind) {
  await ensureInstalled();
  const { runChecks } = await import('./run-tests.mjs');
  process.exitCode = (await runChecks(kind)) ? 0 : 1;
}

await runCommand(async () => {
  // What follows belongs to the command, which reads process.argv.slice(2) as its own flags.
  const [name] = process.argv.splice(2, 1);
  const command = Object.hasOwn(COMMANDS, name ?? 'help') ? COMMANDS[name ?? 'help'] : undefined;
  if (command === undefined) {
    say(`there is no command ${name}`);
    help();
    process.exitCode = 2;
    return;
  }
  await command.run();
});
