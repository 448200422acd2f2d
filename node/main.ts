import { runCli } from './cli/program.ts';
import { SkeinClient } from './client/client.ts';
import { clusterFiles } from './cluster-files.ts';
import { systemClock } from './base/clock.ts';
import { SETTINGS } from './settings.ts';
import { VERSION } from './version.ts';

/**
 * The entry of every process: the command line, and behind its command `node` a node. What a node is
 * made of is loaded for that command alone, because the others should answer at once.
 */

/** Asked for only where a command reads it: a stdin that is open keeps a process alive. */
async function* stdin(): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of process.stdin) yield chunk as Buffer;
}

async function main(): Promise<void> {
  const used = { node: false, stdin: false };
  // `skein list | head` is no error; a node goes on without a reader of its log.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (used.node) return;
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  const code = await runCli(process.argv.slice(2), {
    version: VERSION,
    env: process.env,
    stdin: {
      [Symbol.asyncIterator]: () => {
        used.stdin = true;
        return stdin();
      },
    },
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    settings: SETTINGS,
    createClient: (urls, as) => new SkeinClient({ urls, ...as }),
    openKeys: async (from) => {
      const { openKeys } = await import('./direct-keys.ts');
      return openKeys(from);
    },
    runNode: async (flags) => {
      used.node = true;
      const { runNode } = await import('./run-node.ts');
      return runNode(flags);
    },
    cluster: clusterFiles,
    runDoctor: async (flags, isJson) => {
      const { runDoctor } = await import('./doctor.ts');
      return runDoctor(flags, isJson, {
        env: process.env,
        write: (text) => process.stdout.write(text),
        complain: (text) => process.stderr.write(text),
      });
    },
  });
  // Nothing that a part of a node left open may keep the process of a node that has ended.
  if (used.node) process.exit(code);
  process.exitCode = code;
  if (used.stdin) process.stdin.destroy();
}

await main();
