import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Programs that Debian has and a machine may lack: a test that needs one says so, and is left out. */
const run = promisify(execFile);

const PACKAGES = {
  promtool: 'prometheus',
  shellcheck: 'shellcheck',
  'systemd-analyze': 'systemd',
} as const;

export type Tool = keyof typeof PACKAGES;

export async function isThere(tool: Tool): Promise<boolean> {
  const found = await run('sh', ['-c', `command -v ${tool}`]).then(
    () => true,
    () => false,
  );
  if (!found) console.log(`    no ${tool} here: it is in Debian's package ${PACKAGES[tool]}`);
  return found;
}

/** What it said, on both streams; throws with that where it fails. */
export async function runTool(tool: Tool, args: readonly string[], input = ''): Promise<string> {
  const running = run(tool, args, { timeout: 60_000 });
  running.child.stdin?.end(input);
  try {
    const { stdout, stderr } = await running;
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${tool} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}
