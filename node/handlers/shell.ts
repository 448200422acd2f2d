import { spawn, type ChildProcess } from 'node:child_process';
import type { Handler, HandlerContext, TaskInput } from '../core/handler.ts';
import { shownBytes } from './bytes.ts';
import { LineSplitter, OutputTail } from './output.ts';
import { PayloadReader } from './payload-reader.ts';

/**
 * Runs a command and answers `{exit_code, stdout, stderr}`.
 *
 *   payload {command: [program, …arguments], cwd?, env?, stdin?, success_codes?}
 *
 * The command is never read by a shell: who wants one says `["sh", "-c", "…"]`. Its environment is PATH,
 * LANG and HOME of the node, what the payload adds, and who it is (`SKEIN_TASK_ID`, `SKEIN_ATTEMPT`,
 * `SKEIN_FENCING_TOKEN`). It may do all that the user of the node may do: this is no sandbox, which is why
 * nodes have the type only where somebody has switched it on.
 *
 * The process of the task holds the process group of the command: it is written down before the command
 * begins, ends with its node or the node's lease, and takes along what the command has started (see
 * worker/isolate.ts). This file is what runs inside it. Asked to stop, it sends SIGTERM to all of the group;
 * what is left after the grace is killed from outside. What a command leaves running when it ends, ends too.
 *
 * node:child_process and not execa, which takes 87 ms to load, for each task anew: what it adds, an end of
 * the children with their parent, is worker/isolate.ts's business here.
 */
export const shell: Handler = { type: 'shell', isolation: 'process', run: runShell };

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string | undefined;
  readonly isSuccess: (code: number) => boolean;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const KEPT_VARIABLES = ['PATH', 'LANG', 'HOME'];
/** By which what the command has started is found again (base/process-identity.ts). */
const GROUP_VARIABLE = 'SKEIN_GROUP';
/** Of each stream, in the result; both fit into one, as base64 too. */
const TAIL_BYTES_MAX = 64 * 1024;
const TAIL_JSON_MAX = 100 * 1024;
const SHOWN_IN_ERROR = 2000;
/** As the log of an attempt has it. */
const LINE_LENGTH_MAX = 8 * 1024;
/** Beyond this the log of the attempt is full: what comes is kept as a tail only. */
const LOGGED_BYTES_MAX = 2 * 1024 * 1024;
/** What writes on after the command itself has ended gets so long by itself, and again after SIGTERM. */
const LINGER_MS = 500;

async function runShell(task: TaskInput, context: HandlerContext): Promise<unknown> {
  const command = readCommand(task.payload);
  const { signal } = context;
  // Sent to the group, it reaches this process too, which has an answer to give.
  process.on('SIGTERM', () => undefined);
  const child = start(command, {
    SKEIN_TASK_ID: task.id,
    SKEIN_ATTEMPT: String(context.attempt),
    SKEIN_FENCING_TOKEN: String(context.fencingToken),
  });
  const onAbort = (): void => {
    terminate(child);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const stdout = new OutputTail(TAIL_BYTES_MAX);
  const stderr = new OutputTail(TAIL_BYTES_MAX);
  follow(child.stdout, 'stdout', stdout, context);
  follow(child.stderr, 'stderr', stderr, context);
  child.stdin?.on('error', () => undefined).end(command.stdin);
  if (signal.aborted) onAbort();
  const ending = await endOf(child, command);
  signal.throwIfAborted();
  return judge(command, ending, stdout, stderr);
}

function readCommand(payload: unknown): Command {
  const reader = new PayloadReader(payload);
  const command = reader.raw('command');
  const isArgv =
    Array.isArray(command) &&
    command.length > 0 &&
    command[0] !== '' &&
    command.every((one) => typeof one === 'string' && !one.includes('\0'));
  if (!isArgv) {
    reader.fault('command', 'must be a list of texts, the program first; no shell reads it');
  }
  const [program = '', ...args] = isArgv ? (command as readonly string[]) : [];
  const env = reader.texts('env');
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) {
      reader.fault('env', `may not have ${JSON.stringify(name)}`);
    }
  }
  const cwd = reader.text('cwd');
  if (cwd?.includes('\0') === true) reader.fault('cwd', 'may not hold NUL');
  const stdin = reader.text('stdin');
  const isSuccess = reader.codes('success_codes', [0], 255);
  reader.end();
  return { program, args, cwd, env, stdin, isSuccess };
}

function start(command: Command, own: Readonly<Record<string, string>>): ChildProcess {
  const { program, args, cwd, env, stdin } = command;
  const kept = Object.fromEntries(KEPT_VARIABLES.map((name) => [name, process.env[name]]));
  const group = process.env[GROUP_VARIABLE];
  try {
    return spawn(program, args, {
      cwd,
      env: { ...kept, ...env, ...own, ...(group && { [GROUP_VARIABLE]: group }) },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
  } catch (thrown) {
    throw notStarted(program, thrown);
  }
}

function follow(
  stream: NodeJS.ReadableStream | null,
  name: 'stdout' | 'stderr',
  tail: OutputTail,
  { log }: HandlerContext,
): void {
  const lines = new LineSplitter(LINE_LENGTH_MAX, (line) => {
    log.info(line, { stream: name });
  });
  stream?.on('data', (chunk: Buffer) => {
    tail.push(chunk);
    if (tail.total - chunk.length < LOGGED_BYTES_MAX) lines.push(chunk);
  });
  stream?.on('end', () => {
    lines.end();
  });
}

/** The end of the command, and of what it wrote; another process may hold its output open for good. */
function endOf(child: ChildProcess, { program }: Command): Promise<Ending> {
  return new Promise((resolve, reject) => {
    let linger: NodeJS.Timeout | undefined;
    child.once('error', (cause) => {
      if (child.pid === undefined) reject(notStarted(program, cause));
    });
    child.once('exit', (code, signal) => {
      const end = (): void => {
        resolve({ code, signal });
      };
      linger = setTimeout(() => {
        terminate(child);
        linger = setTimeout(end, LINGER_MS);
      }, LINGER_MS);
    });
    child.once('close', (code, signal) => {
      clearTimeout(linger);
      resolve({ code, signal });
    });
  });
}

/** All of the group, which this process leads, and the command itself where it has left the group. */
function terminate(child: ChildProcess): void {
  child.kill('SIGTERM');
  try {
    process.kill(-process.pid, 'SIGTERM');
  } catch {
    // This process leads no group: there is the command alone to be told.
  }
}

function judge(command: Command, ending: Ending, stdout: OutputTail, stderr: OutputTail): unknown {
  const { code, signal } = ending;
  if (code !== null && command.isSuccess(code)) {
    return { exit_code: code, ...shown('stdout', stdout), ...shown('stderr', stderr) };
  }
  const how = signal === null ? `with exit code ${String(code)}` : `by ${signal}`;
  const said = stderr.total > 0 ? stderr : stdout;
  const tail = said.bytes().subarray(-SHOWN_IN_ERROR).toString().trim();
  const message = `${command.program} ended ${how}${tail === '' ? '' : `: ${tail}`}`;
  throw Object.assign(new Error(message), { code: 'shell_failed' });
}

function shown(name: 'stdout' | 'stderr', tail: OutputTail): Readonly<Record<string, unknown>> {
  const { text, encoding } = shownBytes(tail.bytes(), TAIL_JSON_MAX);
  return {
    [name]: text,
    ...(encoding === undefined ? {} : { [`${name}_encoding`]: encoding }),
    ...(tail.total > TAIL_BYTES_MAX ? { [`${name}_bytes`]: tail.total } : {}),
  };
}

/** Another node, or another day, may have the program. */
function notStarted(program: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${program} could not be started: ${reason}`;
  const code = 'shell_not_started';
  return Object.assign(new Error(message, { cause }), { code });
}
