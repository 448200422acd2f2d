import type { Command } from 'commander';
import { TASK_STATUSES } from '../core/task.ts';
import type { TaskStatus } from '../core/task.ts';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import type { Answered, BulkFilter, CliDeps, ClientPort } from './ports.ts';
import { orElseWorkflow, statusOf } from './read-commands.ts';

/** Cancels and retries: of one task, of a workflow, or of all tasks that a filter names. */
type ChangeFlags = ClientFlags & {
  readonly type?: string;
  readonly tag?: string;
  readonly workflow?: string;
  readonly status?: TaskStatus;
  readonly all?: boolean;
  readonly dryRun?: boolean;
};

interface Change {
  readonly name: 'cancel' | 'retry';
  readonly description: string;
  readonly ofTask: (client: ClientPort, id: string) => Promise<Answered>;
  readonly ofWorkflow: (client: ClientPort, id: string) => Promise<Answered>;
  readonly ofMany: (client: ClientPort, filter: BulkFilter) => Promise<{ readonly count: number }>;
}

const CHANGES: readonly Change[] = [
  {
    name: 'cancel',
    description: 'cancel a task, all tasks of a workflow, or all that the flags name',
    ofTask: (client, id) => client.cancelTask(id),
    ofWorkflow: (client, id) => client.cancelWorkflow(id),
    ofMany: (client, filter) => client.cancelTasks(filter),
  },
  {
    name: 'retry',
    description:
      'run again what ended as FAILED, CANCELLED or SKIPPED: a task, that of a workflow, or all ' +
      'that the flags name',
    ofTask: (client, id) => client.retryTask(id),
    ofWorkflow: (client, id) => client.retryWorkflow(id),
    ofMany: (client, filter) => client.retryTasks(filter),
  },
];

export function addChangeCommands(program: Command, deps: CliDeps): void {
  for (const change of CHANGES) {
    withClientFlags(
      program
        .command(change.name)
        .description(change.description)
        .argument('[id]')
        .option('--type <type>', 'all of this type')
        .option('--tag <tag>', 'all with this tag')
        .option('--workflow <id>', 'all of this workflow')
        .option('--status <status>', `all in this status: ${TASK_STATUSES.join(', ')}`, statusOf)
        .option('--all', 'every one')
        .option('--dry-run', 'only say how many the flags name'),
    ).action(async (id: string | undefined, flags: ChangeFlags) => {
      const context = contextOf(deps, flags);
      const filter = filterOf(flags);
      const hasFlags = Object.keys(filter).length > 0;
      if (id !== undefined && hasFlags) {
        throw new InputError(`${change.name}: either an id or flags that name tasks, not both`);
      }
      if (id !== undefined) await changeOne(context, change, id);
      else if (filter.all === true && Object.keys(filter).some((key) => !ALL_BESIDE.has(key))) {
        throw new InputError(`${change.name}: either --all or flags that name tasks, not both`);
      } else if (hasFlags && !isDryAlone(filter)) await changeMany(context, change, filter);
      else {
        throw new InputError(
          `${change.name}: an id is needed, or --type, --tag, --workflow, --status or --all`,
        );
      }
    });
  }
}

async function changeOne(context: Context, change: Change, id: string): Promise<void> {
  const { client } = context;
  const answer = await orElseWorkflow(
    id,
    () => change.ofTask(client, id),
    () => change.ofWorkflow(client, id),
  );
  await context.print(context.isJson ? json(answer) : `${id}: its ${change.name} is accepted`);
}

async function changeMany(context: Context, change: Change, filter: BulkFilter): Promise<void> {
  const answer = await change.ofMany(context.client, filter);
  const tasks = answer.count === 1 ? '1 task' : `${String(answer.count)} tasks`;
  const told =
    filter.dry_run === true
      ? `${tasks} to ${change.name}; nothing was asked`
      : `${tasks}: the ${change.name} is accepted`;
  await context.print(context.isJson ? json(answer) : told);
}

function filterOf({ type, tag, workflow, status, all, dryRun }: ChangeFlags): BulkFilter {
  return {
    ...(type === undefined ? {} : { type }),
    ...(tag === undefined ? {} : { tag }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(status === undefined ? {} : { status }),
    ...(all === true ? { all } : {}),
    ...(dryRun === true ? { dry_run: true } : {}),
  };
}

/** What may stand beside `all`. */
const ALL_BESIDE = new Set(['all', 'dry_run']);

function isDryAlone(filter: BulkFilter): boolean {
  return filter.dry_run === true && Object.keys(filter).length === 1;
}
