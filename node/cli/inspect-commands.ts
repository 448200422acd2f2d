import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { PRIORITY } from '../core/task.ts';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import type { CliDeps } from './ports.ts';
import type { Table } from './table.ts';
import { parseTime } from './time.ts';
import { attemptTable, eventTable, taskTable, workflowTable } from './views.ts';

/** What there is around a task, and the change of one that waits. */
export function addInspectCommands(program: Command, deps: CliDeps): void {
  withClientFlags(
    program.command('attempts').description('list the tries of a task').argument('<id>'),
  ).action(async (id: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    await show(context, attemptTable(context.paint), await context.client.getAttempts(id));
  });
  withClientFlags(
    program
      .command('dependents')
      .description('list the tasks that depend on a task')
      .argument('<id>'),
  ).action(async (id: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const rows = await taken(context.client.listDependents(id), Number.POSITIVE_INFINITY);
    await show(context, taskTable(context.paint), rows);
  });
  withClientFlags(
    program
      .command('workflows')
      .description('list the workflows, the newest first')
      .option('--limit <n>', 'so many at most', countOf, 20),
  ).action(async ({ limit, ...flags }: ClientFlags & { readonly limit: number }) => {
    const context = contextOf(deps, flags);
    const rows = await taken(context.client.listWorkflows(), limit);
    await show(context, workflowTable(context.paint), rows);
  });
  withClientFlags(
    program
      .command('events')
      .description('list elections, joins and losses of nodes, the newest first')
      .option('--limit <n>', 'so many at most', countOf, 20),
  ).action(async ({ limit, ...flags }: ClientFlags & { readonly limit: number }) => {
    const context = contextOf(deps, flags);
    const rows = await taken(context.client.listEvents(), limit);
    await show(context, eventTable(context.paint), rows);
  });
  addEditCommand(program, deps);
}

type EditFlags = ClientFlags & {
  readonly priority?: number;
  readonly payload?: unknown;
  readonly runAt?: string;
};

function addEditCommand(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('edit')
      .description('change a task that waits')
      .argument('<id>')
      .option('--priority <n>', '1 is the most urgent, 100 the least', priorityOf)
      .option('--payload <json>', 'in the place of its payload', jsonOf)
      .option(
        '--run-at <time>',
        'an ISO 8601 time, a time from now such as 30s, or now',
        instantOf,
      ),
  ).action(async (id: string, { priority, payload, runAt, ...flags }: EditFlags) => {
    const patch = {
      ...(priority === undefined ? {} : { priority }),
      ...(payload === undefined ? {} : { payload }),
      ...(runAt === undefined ? {} : { run_at: runAt === 'now' ? null : runAt }),
    };
    if (Object.keys(patch).length === 0) {
      throw new InputError('edit: --priority, --payload or --run-at is needed');
    }
    const context = contextOf(deps, flags);
    const task = await context.client.patchTask(id, patch);
    const told = `${task.id}: priority ${String(task.priority)}, ${task.status}`;
    await context.print(context.isJson ? json(task) : told);
  });
}

async function show<Row extends object>(
  context: Context,
  table: Table<Row>,
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) context.note('There are none.');
  const lines = context.isJson ? rows.map(json) : rows.length === 0 ? [] : table.lines(rows);
  for (const line of lines) await context.print(line);
}

async function taken<Row>(rows: AsyncIterable<Row>, most: number): Promise<readonly Row[]> {
  const list: Row[] = [];
  for await (const row of rows) {
    list.push(row);
    if (list.length >= most) break;
  }
  return list;
}

function countOf(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return count;
}

function priorityOf(text: string): number {
  const priority = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (priority < PRIORITY.most || priority > PRIORITY.least) {
    throw new InvalidArgumentError('It must be from 1 (the most urgent) to 100.');
  }
  return priority;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new InvalidArgumentError('It must be JSON.');
  }
}

function instantOf(text: string): string {
  if (text === 'now') return text;
  const ms = parseTime(text) ?? Number.NaN;
  const atMs = Number.isNaN(ms) ? Date.parse(text) : Date.now() + ms;
  if (Number.isNaN(atMs)) {
    throw new InvalidArgumentError('It must be an ISO 8601 time, such as 30s or 2m, or now.');
  }
  return new Date(atMs).toISOString();
}
