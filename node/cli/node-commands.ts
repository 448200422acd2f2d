import type { Command } from 'commander';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import type { CliDeps, NodeView } from './ports.ts';

/** What one does with a node that is to be stopped, or is not to be after all. */
type DrainFlags = ClientFlags & { readonly wait?: boolean };

/** How often `--wait` looks. */
const LOOK_MS = 250;

export function addNodeCommands(
  program: Command,
  deps: CliDeps,
  exit: (code: number) => void,
): void {
  withClientFlags(
    program
      .command('drain')
      .description('let a node take no more work; what runs there finishes, or goes elsewhere')
      .argument('<node>')
      .option('--wait', 'until nothing runs there any more; 1 where it is lost meanwhile'),
  ).action(async (name: string, { wait = false, ...flags }: DrainFlags) => {
    const context = contextOf(deps, flags);
    const asked = await context.client.drainNode(name, true);
    const node = wait ? await untilDrained(context, name) : asked;
    await context.print(context.isJson ? json(node) : drainedLine(node, wait));
    if (wait && node.state !== 'drained' && node.state !== 'left') exit(1);
  });
  withClientFlags(
    program.command('undrain').description('let a drained node take work again').argument('<node>'),
  ).action(async (name: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const node = await context.client.drainNode(name, false);
    await context.print(context.isJson ? json(node) : `${name}: takes work again`);
  });
}

/** For as long as it takes: its own settings bound the time that a node gives to what runs. */
async function untilDrained({ client, deps }: Context, name: string): Promise<NodeView> {
  for (;;) {
    const node = await client.getNode(name);
    const { state, running } = node;
    const isDone = state === 'drained' ? running === 0 : state !== 'alive' && state !== 'draining';
    if (isDone) return node;
    await deps.clock.sleep(LOOK_MS);
  }
}

function drainedLine({ name, state, running }: NodeView, hasWaited: boolean): string {
  if (hasWaited) return `${name}: ${state}`;
  return running === 0
    ? `${name}: takes no more work`
    : `${name}: takes no more work; ${String(running)} running`;
}
