import { Command, CommanderError } from 'commander';
import { addChangeCommands } from './change-commands.ts';
import { addClusterFilesCommands } from './cluster-files-commands.ts';
import { InputError } from './input-error.ts';
import { addAuditCommand, addKeysCommand } from './keys-command.ts';
import { addNodeCommands } from './node-commands.ts';
import { addLogsCommand } from './logs-command.ts';
import { addInspectCommands } from './inspect-commands.ts';
import { isClientFailure } from './ports.ts';
import type { CliDeps, ClientFailure } from './ports.ts';
import {
  addClusterCommand,
  addExplainCommand,
  addGetCommand,
  addListCommand,
  addWatchCommand,
} from './read-commands.ts';
import { addScheduleCommands } from './schedule-commands.ts';
import { addSubmitCommand } from './submit-command.ts';
import { addTypeCommands } from './type-commands.ts';

/**
 * The command line: one program with a command for each thing one does with a cluster, and `node`, which
 * is a part of one. It reaches a cluster through REST alone, as any other client does, so that whatever
 * it can do a user's own program can do too.
 *
 * - Data goes to stdout, everything said about it to stderr: `skein submit f.json | xargs skein watch`.
 *   `--json` prints what the cluster answered, one value a line, and no notes.
 * - Exit codes: 0 done; 1 refused, unreachable, or ended otherwise than COMPLETED; 2 the command or its
 *   file cannot be used, and nothing was sent.
 * - A fault is one sentence that names the field or the node.
 * - An id may be that of a task or of a workflow; where one text is both, the task is meant.
 *
 * What it does not promise: that a cancel or a retry has happened when the command ends. The leader has
 * been asked; `watch` shows what comes of it.
 */
export function buildProgram(deps: CliDeps, exit: (code: number) => void): Command {
  const program = new Command('skein')
    .description('Run graphs of tasks on a cluster of identical nodes and one PostgreSQL.')
    .version(deps.version, '-V, --version', 'print the version')
    .showHelpAfterError('(--help lists what there is)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void deps.stdout.write(text),
      writeErr: (text) => void deps.stderr.write(text),
      getOutHelpWidth: () => deps.stdout.columns ?? 80,
      getErrHelpWidth: () => deps.stderr.columns ?? 80,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => {
        write(text.replace(/^error: /, 'skein: '));
      },
    });
  addNodeCommand(program, deps, exit);
  addSubmitCommand(program, deps, exit);
  addGetCommand(program, deps, exit);
  addListCommand(program, deps);
  addExplainCommand(program, deps);
  addWatchCommand(program, deps, exit);
  addLogsCommand(program, deps);
  addChangeCommands(program, deps);
  addInspectCommands(program, deps);
  addTypeCommands(program, deps);
  addScheduleCommands(program, deps);
  addClusterFilesCommands(program, addClusterCommand(program, deps), deps);
  addKeysCommand(program, deps);
  addAuditCommand(program, deps);
  addDoctorCommand(program, deps, exit);
  addNodeCommands(program, deps, exit);
  return program;
}

/** Runs one command; resolves to the exit code. Only what is our own bug is thrown. */
export async function runCli(args: readonly string[], deps: CliDeps): Promise<number> {
  let code = 0;
  const program = buildProgram(deps, (given) => {
    code = given;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has said all there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof InputError) {
      deps.stderr.write(`skein: ${error.message}\n`);
      return 2;
    }
    if (!isClientFailure(error)) throw error;
    deps.stderr.write(`skein: ${sentenceOf(error)}\n`);
    return 1;
  }
}

const NAMED_MAX = 20;

/** The first faults stand in the message; where there are more, each gets a line. */
function sentenceOf({ message, errors }: ClientFailure): string {
  if (errors.length <= 3) return message;
  const lines = errors.slice(0, NAMED_MAX).map(({ pointer, detail }) => `  ${pointer}: ${detail}`);
  const more = errors.length - NAMED_MAX;
  const last = more > 0 ? [`  and ${String(more)} more`] : [];
  return [`${String(errors.length)} faults`, ...lines, ...last].join('\n');
}

function addDoctorCommand(program: Command, deps: CliDeps, exit: (code: number) => void): void {
  const command = program
    .command('doctor')
    .description(
      'say what keeps a node with these settings from working, or will hurt it; exits with 1 if it fails',
    );
  addSettings(command, deps);
  command.option('--json', 'JSON on stdout');
  command.action(async ({ json = false, ...flags }: Readonly<Record<string, unknown>>) => {
    exit(await deps.runDoctor(flags, json === true));
  });
}

/** Its flags are those of the settings, whose parser judges the values together with the environment. */
function addNodeCommand(program: Command, deps: CliDeps, exit: (code: number) => void): void {
  const command = program
    .command('node')
    .description(
      'run one node of a cluster, until SIGTERM or SIGINT; a second one ends it at once',
    );
  addSettings(command, deps);
  command.action(async (flags: Readonly<Record<string, unknown>>) => {
    exit(await deps.runNode(flags));
  });
}

function addSettings(command: Command, deps: CliDeps): void {
  for (const { flag, argument, env, default: byDefault, what } of deps.settings) {
    const flags = argument === '' ? flag : `${flag} <${argument}>`;
    command.option(flags, `${what} (env: ${env.join(', ')}; default: ${byDefault})`);
  }
}
