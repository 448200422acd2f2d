import type { Command } from 'commander';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import type { CliDeps, ScheduleView } from './ports.ts';
import { sourceOf } from './submit-command.ts';
import { fieldLines, scheduleTable } from './views.ts';

/** What is submitted again and again: `skein schedule put`, `list` and the others. */
export function addScheduleCommands(program: Command, deps: CliDeps): void {
  const schedule = program
    .command('schedule')
    .description('submit tasks and workflows by cron or at intervals');
  withClientFlags(
    schedule
      .command('put')
      .description('store a schedule, or put it in the place of another')
      .argument('<id>')
      .argument('<file>', 'JSON, as PUT /schedules/{id} takes it; - for stdin'),
  ).action(async (id: string, file: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const body = await context.client.putSchedule(id, await bodyOf(file, deps));
    await context.print(context.isJson ? json(body) : nextOf(body));
  });
  withClientFlags(
    schedule.command('list').description('list the schedules, the newest first'),
  ).action(async (flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const schedules: ScheduleView[] = [];
    for await (const one of context.client.listSchedules()) schedules.push(one);
    const lines = context.isJson
      ? schedules.map(json)
      : scheduleTable(context.paint).lines(schedules);
    for (const line of lines) await context.print(line);
  });
  addCommand(schedule, deps, 'get', 'show a schedule and its next fires', async (context, id) => {
    const body = await context.client.getSchedule(id);
    if (context.isJson) await context.print(json(body));
    else for (const line of fieldLines(body, context.paint)) await context.print(line);
  });
  for (const [name, isPaused, what] of [
    ['pause', true, 'let a schedule fire no more'],
    ['resume', false, 'let a paused schedule fire again, from now on'],
  ] as const) {
    addCommand(schedule, deps, name, what, async (context, id) => {
      const body = await context.client.pauseSchedule(id, isPaused);
      await context.print(context.isJson ? json(body) : nextOf(body));
    });
  }
  addCommand(schedule, deps, 'delete', 'remove a schedule; its runs stay', async (context, id) => {
    const body = await context.client.deleteSchedule(id);
    await context.print(context.isJson ? json(body) : `${id}: removed`);
  });
  addRunCommand(schedule, deps);
}

function addCommand(
  schedule: Command,
  deps: CliDeps,
  name: string,
  what: string,
  act: (context: Context, id: string) => Promise<void>,
): void {
  withClientFlags(schedule.command(name).description(what).argument('<id>')).action(
    (id: string, flags: ClientFlags) => act(contextOf(deps, flags), id),
  );
}

function addRunCommand(schedule: Command, deps: CliDeps): void {
  withClientFlags(
    schedule
      .command('run')
      .description('submit a run of a schedule at once, and print its id')
      .argument('<id>')
      .option('--at <time>', 'the fire that it stands for, such as 2026-01-31T03:00:00Z'),
  ).action(async (id: string, flags: ClientFlags & { readonly at?: string }) => {
    const context = contextOf(deps, flags);
    const run = await context.client.runSchedule(id, flags.at);
    await context.print(context.isJson ? json(run) : run.id);
  });
}

function nextOf({ id, paused, next_fires: [next] }: ScheduleView): string {
  if (paused) return `${id}: paused`;
  return next === undefined ? `${id}: fires no more` : `${id}: fires next at ${next}`;
}

async function bodyOf(file: string, deps: CliDeps): Promise<object> {
  const { name, chunks } = sourceOf(file, deps);
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (cause) {
    throw new InputError(`${name}: is not JSON`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new InputError(`${name}: must be an object`);
}
