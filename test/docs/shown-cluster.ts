import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../node/base/clock.ts';
import { guard } from '../support/guard.ts';
import type { Guard } from '../support/guard.ts';
import { ROOT } from './markdown.ts';
import type { Block } from './markdown.ts';

/**
 * The cluster behind the README: started as the README says, on free ports, and the consoles that it
 * shows, run against it. What the README shows of a cluster (`SHOWN`) stands for what the cluster of the
 * test has; the one place where that is translated is here.
 */
export const SHOWN = {
  dataDir: '.skein',
  httpPorts: ['8080', '8081', '8082'],
  grpcPorts: ['9090', '9091', '9092'],
  pids: ['24924', '24926', '24927'],
  leaderPid: '24927',
} as const;

export interface Ready {
  readonly nodes: readonly { name: string; pid: number; http_url: string; grpc_address: string }[];
  readonly leader: string;
  readonly term: number;
  readonly database: string;
  readonly data_dir: string;
}

/** A command and what came of it, stdout and stderr as a terminal shows them. */
export interface Ran {
  readonly command: string;
  readonly output: string;
}

const CONSOLE_MS = 90_000;
const STARTED = 'The node is up.';

export class ShownCluster {
  readonly ready: Ready;
  private readonly folder: string;
  private readonly launcher: ChildProcess;
  private readonly lines: readonly string[];
  private readonly guards: Guard[];
  private readonly staying: ChildProcess[] = [];

  /** `npm start --silent -- --json`, as scripts are told to. */
  static async start(): Promise<ShownCluster> {
    const folder = await mkdtemp(path.join(tmpdir(), 'skein-readme-'));
    await chmod(folder, 0o755);
    const ports = ['--http-port', '0', '--grpc-port', '0'];
    const flags = ['start', '--silent', '--', '--json', ...ports, '--data-dir', folder];
    const launcher = spawn('npm', flags, {
      cwd: ROOT,
      env: environment({}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const guards = [guard('kill -TERM "$1"', [String(launcher.pid)])];
    let said = '';
    launcher.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const lines: string[] = [];
    const reader = createInterface(launcher.stdout);
    reader.on('line', (line) => lines.push(line));
    const isReady = await Promise.race([
      once(reader, 'line').then(() => true),
      once(launcher, 'close').then(() => false),
    ]);
    if (isReady) return new ShownCluster(folder, launcher, lines, guards);
    await rm(folder, { recursive: true, force: true });
    throw new Error(`it was never ready: ${said}`);
  }

  private constructor(
    folder: string,
    launcher: ChildProcess,
    lines: readonly string[],
    guards: Guard[],
  ) {
    this.folder = folder;
    this.launcher = launcher;
    this.lines = lines;
    this.guards = guards;
    this.ready = JSON.parse(lines[0] ?? '') as Ready;
  }

  /** All that came on stdout. */
  get stdout(): readonly string[] {
    return this.lines;
  }

  /** Runs the commands of a console one after the other, in one shell, at the top of the checkout. */
  async run(block: Block): Promise<readonly Ran[]> {
    const commands = commandsOf(block).map(({ command }) => command);
    const script = commands.map((command, at) => `echo\necho '${mark(at)}'\n${command}\n`).join('');
    const shell = spawn('bash', ['-c', `exec 2>&1\n${this.toReal(script)}`], {
      cwd: ROOT,
      env: this.environment(),
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: CONSOLE_MS,
    });
    let text = '';
    shell.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(shell, 'close');
    return commands.map((command, at) => ({
      command,
      output:
        text
          .split(`${mark(at)}\n`)[1]
          ?.split(`\n${mark(at + 1)}\n`)[0]
          ?.trim() ?? '',
    }));
  }

  /** Runs a command that stays, such as a node, and returns when it is up. */
  async runStaying(block: Block): Promise<void> {
    const [command] = commandsOf(block);
    const log = path.join(this.folder, 'staying.log');
    const script = `exec >'${log}' 2>&1\n${this.toReal(command?.command ?? '')}`;
    const shell = spawn('bash', ['-c', script], {
      cwd: ROOT,
      env: this.environment(),
      stdio: 'ignore',
      detached: true,
    });
    this.staying.push(shell);
    this.guards.push(guard('kill -TERM -- "-$1"', [String(shell.pid)]));
    const deadline = AbortSignal.timeout(CONSOLE_MS);
    for (;;) {
      const text = await readFile(log, 'utf8').catch(() => '');
      if (text.includes(STARTED)) return;
      if (shell.exitCode !== null) throw new Error(`it is not up: ${text}`);
      await systemClock.sleep(50, deadline);
    }
  }

  /** SIGTERM for all, as a terminal's Ctrl-C; resolves to the launcher's exit code. */
  async stop(): Promise<number | null> {
    for (const shell of this.staying.splice(0)) {
      if (shell.exitCode !== null) continue;
      const exited = once(shell, 'exit');
      process.kill(-(shell.pid ?? 0), 'SIGTERM');
      await exited;
    }
    const { launcher } = this;
    if (launcher.exitCode === null && launcher.signalCode === null) {
      const exited = once(launcher, 'exit');
      launcher.kill('SIGTERM');
      await exited;
    }
    for (const { takeBack } of this.guards.splice(0)) takeBack();
    await rm(this.folder, { recursive: true, force: true });
    return launcher.exitCode;
  }

  /** A text without what differs from run to run, be it the README's or the cluster's. */
  normalised(text: string): string {
    const { nodes } = this.ready;
    const ports = [...SHOWN.httpPorts, ...SHOWN.grpcPorts];
    const realPorts = nodes.flatMap((node) => [
      new URL(node.http_url).port,
      node.grpc_address.split(':').at(-1) ?? '',
    ]);
    const pids = [...SHOWN.pids, ...nodes.map(({ pid }) => String(pid))];
    return text
      .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<instant>')
      .replace(/\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/g, '<uuid>')
      .replace(/\b[\d.]+ (ms|s)\b/g, '<time>')
      .replace(/\bnode-\d\b( \(leader\))?/g, '<node>')
      .replace(anyOf([...ports, ...realPorts]), '<port>')
      .replace(anyOf(pids), '<pid>')
      .replace(/ +/g, ' ')
      .replace(/^ | $/gm, '');
  }

  private environment(): NodeJS.ProcessEnv {
    return environment({ SKEIN_URL: this.ready.nodes[0]?.http_url });
  }

  private toReal(command: string): string {
    const { nodes, leader } = this.ready;
    const leaderPid = nodes.find(({ name }) => name === leader)?.pid;
    const withPorts = SHOWN.httpPorts.reduce(
      (text, port, at) =>
        text.replaceAll(`http://127.0.0.1:${port}`, nodes[at]?.http_url ?? 'nowhere'),
      command,
    );
    return withPorts
      .replaceAll(`--data-dir ${SHOWN.dataDir}`, `--data-dir '${this.folder}'`)
      .replaceAll(SHOWN.leaderPid, String(leaderPid));
  }
}

/** The commands of a console and what it shows beneath each; `> ` continues a command. */
export function commandsOf(block: Block): readonly { command: string; shown: string }[] {
  const commands: { command: string; shown: string }[] = [];
  for (const line of block.lines) {
    const last = commands.at(-1);
    if (line.startsWith('$ ')) commands.push({ command: line.slice(2), shown: '' });
    else if (last === undefined) throw new Error(`line ${String(block.line)}: no command first`);
    else if (line.startsWith('> ')) last.command += `\n${line.slice(2)}`;
    else last.shown += `${line}\n`;
  }
  return commands;
}

/** `…` stands for anything within a line; alone on a line, for any number of lines. */
export function patternOf(shown: string): RegExp {
  const lines = shown.trimEnd().split('\n');
  const parts = lines.map((line) =>
    line === '…' ? '(?:.*\n)*' : `${line.split('…').map(escaped).join('.*')}\n`,
  );
  return new RegExp(`^${parts.join('')}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function anyOf(words: readonly string[]): RegExp {
  return new RegExp(`\\b(${words.map(escaped).join('|')})\\b`, 'g');
}

function mark(at: number): string {
  return `--- command ${String(at)}`;
}

/** That of a user who has set nothing. */
function environment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(SKEIN_|DATABASE_URL$|npm_)/.test(name),
  );
  return { ...Object.fromEntries(own), NO_COLOR: '1', npm_config_loglevel: 'silent', ...more };
}
