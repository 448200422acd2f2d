import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags } from './context.ts';
import type { CliDeps, TypeView } from './ports.ts';
import { typeTable } from './views.ts';

/** What holds types of tasks back: pauses and limits. */
export function addTypeCommands(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('types')
      .description('list the types of tasks, the nodes that run them, and what holds them back'),
  ).action(async (flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const types: TypeView[] = [];
    for await (const type of context.client.listTypes()) types.push(type);
    const lines = context.isJson ? types.map(json) : typeTable(context.paint).lines(types);
    for (const line of lines) await context.print(line);
  });
  for (const [name, paused, what] of [
    ['pause', true, 'let the tasks of a type wait; what runs runs on'],
    ['resume', false, 'let the tasks of a paused type run again'],
  ] as const) {
    withClientFlags(program.command(name).description(what).argument('<type>')).action(
      async (type: string, flags: ClientFlags) => {
        const context = contextOf(deps, flags);
        const body = await context.client.patchType(type, { paused });
        await context.print(context.isJson ? json(body) : sentenceOf(body));
      },
    );
  }
  withClientFlags(
    program
      .command('limit')
      .description('let so many tasks of a type run at the same time in the whole cluster')
      .argument('<type>')
      .argument('<max>', 'a number, or none for no limit', limitOf),
  ).action(async (type: string, max: number | null, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const body = await context.client.patchType(type, { max_running: max });
    await context.print(context.isJson ? json(body) : sentenceOf(body));
  });
}

function sentenceOf({ type, paused, max_running: max }: TypeView): string {
  const limit = max === null ? 'no limit' : `${String(max)} at the same time at most`;
  return `${type}: ${paused ? 'paused' : 'runs'}, ${limit}`;
}

function limitOf(text: string): number | null {
  if (text === 'none') return null;
  if (!/^\d{1,7}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number, or none.');
  return Number(text);
}
