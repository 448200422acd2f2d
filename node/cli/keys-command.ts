import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { toError } from '../base/errors.ts';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import type { AuditView, CliDeps, KeysPort, KeySpec } from './ports.ts';
import { isClientFailure } from './ports.ts';
import { auditTable, keyTable } from './views.ts';

type KeyFlags = ClientFlags & {
  readonly databaseUrl?: string;
  readonly dataDir?: string;
};

type CreateFlags = KeyFlags & {
  readonly role: KeySpec['role'];
  readonly name?: string;
  readonly expires?: number;
  readonly namespace?: string;
};

/** Keys of the API. The first one is made in the database itself, by who has its password. */
export function addKeysCommand(program: Command, deps: CliDeps): void {
  const keys = program.command('keys').description('make, list and revoke keys of the API');
  withKeyFlags(
    keys
      .command('create')
      .description('make a key and print it, this once')
      .addOption(
        new Option('--role <role>', 'what it may do: each role may do what those before it may')
          .choices(['read', 'submit', 'operate', 'admin'])
          .makeOptionMandatory(),
      )
      .option('--name <name>', 'who or what it is for, in lists and in the audit log')
      .option('--expires <time>', 'how long it is valid, such as 12h or 90d', lifeOf)
      .option(
        '--namespace <name>',
        "the one that it is for; '*' for all, as an admin's always is (default: default)",
      ),
  ).action(async ({ role, name, expires, namespace, ...flags }: CreateFlags) => {
    const context = contextOf(deps, flags);
    await withKeys(deps, flags, context, async (port) => {
      const made = await port.createKey({
        role,
        ...(name === undefined ? {} : { name }),
        ...(expires === undefined ? {} : { expires_in_s: expires }),
        ...(namespace === undefined ? {} : { namespace }),
      });
      context.note(`${made.name}: ${made.role}, id ${made.id}; keep it, nobody can show it again`);
      await context.print(context.isJson ? json(made) : made.key);
    });
  });
  withKeyFlags(keys.command('list').description('list the keys, the newest first')).action(
    async (flags: KeyFlags) => {
      const context = contextOf(deps, flags);
      await withKeys(deps, flags, context, async (port) => {
        const rows = await port.listKeys();
        const lines = context.isJson ? rows.map(json) : keyTable(context.paint).lines(rows);
        for (const line of lines) await context.print(line);
      });
    },
  );
  withKeyFlags(
    keys
      .command('revoke')
      .description('let nobody in by a key any more; holds within seconds')
      .argument('<id>', 'as in the list'),
  ).action(async (id: string, flags: KeyFlags) => {
    const context = contextOf(deps, flags);
    await withKeys(deps, flags, context, async (port) => {
      const key = await port.revokeKey(id);
      await context.print(context.isJson ? json(key) : `${key.name} (${key.id}): ${key.status}`);
    });
  });
}

type AuditFlags = ClientFlags & {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly limit: number;
};

/** Who changed what. */
export function addAuditCommand(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('audit')
      .description('list who changed what, when and from where, the newest first')
      .option('--actor <name>', 'by the key of this name')
      .option('--action <call>', "of this kind, such as 'POST /tasks/{id}/cancel'")
      .option('--target <id>', 'of this task, type, schedule or key')
      .option('--limit <n>', 'so many at most', countOf, 20),
  ).action(async ({ actor, action, target, limit, ...flags }: AuditFlags) => {
    const context = contextOf(deps, flags);
    const filter = {
      ...(actor === undefined ? {} : { actor }),
      ...(action === undefined ? {} : { action }),
      ...(target === undefined ? {} : { target }),
    };
    const rows: AuditView[] = [];
    for await (const row of context.client.listAudit(filter)) {
      rows.push(row);
      if (rows.length >= limit) break;
    }
    const lines = context.isJson ? rows.map(json) : auditTable(context.paint).lines(rows);
    for (const line of lines) await context.print(line);
  });
}

function countOf(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
}

function withKeyFlags(command: Command): Command {
  return withClientFlags(
    command
      .option('--database-url <url>', 'write to the database itself, for the first key')
      .option('--data-dir <dir>', 'the same, for the embedded one'),
  );
}

async function withKeys(
  deps: CliDeps,
  { databaseUrl, dataDir }: KeyFlags,
  { client }: Context,
  use: (keys: KeysPort) => Promise<void>,
): Promise<void> {
  if (databaseUrl === undefined && dataDir === undefined) {
    await use(client);
    return;
  }
  try {
    const place = databaseUrl === undefined ? { dataDir: dataDir ?? '' } : { databaseUrl };
    const open = await deps.openKeys(place);
    try {
      await use(open);
    } finally {
      await open.close();
    }
  } catch (thrown) {
    if (isClientFailure(thrown)) throw thrown;
    throw new InputError(toError(thrown).message);
  }
}

const UNIT_S: ReadonlyMap<string, number> = new Map([
  ['m', 60],
  ['h', 3600],
  ['d', 86_400],
]);

function lifeOf(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * (UNIT_S.get(unit) ?? Number.NaN);
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('It must be a time such as 30m, 12h or 90d.');
}
