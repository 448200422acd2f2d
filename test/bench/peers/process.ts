import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One process of a peer, which does as it is told and counts the jobs that it handles. */
interface Answer {
  readonly answer?: Readonly<Record<string, unknown>>;
  readonly fault?: string;
  readonly handled?: number;
  readonly firstMs?: number;
}

export interface PeerPlace {
  /** The folder that the peer is installed in. */
  readonly folder: string;
  readonly url: string;
  readonly settings: Readonly<Record<string, number>>;
}

const ANSWER_MS = 300_000;

export class PeerProcess {
  handled = 0;
  /** When the first job was handled, since the epoch; undefined before. */
  firstMs: number | undefined;
  private readonly child: ChildProcess;
  private waiting:
    | { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }
    | undefined;

  constructor(file: string, { folder, url, settings }: PeerPlace) {
    this.child = spawn(process.execPath, [file], {
      cwd: folder,
      env: { ...process.env, NO_LOG_SUCCESS: '1', PEER: JSON.stringify({ url, settings }) },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.child.stdout === null) throw new Error('a peer without an output');
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.heed(JSON.parse(line) as Answer);
    });
    this.child.on('error', (error) => this.fail(error));
    this.child.on('exit', (code) => {
      this.fail(new Error(`a process of a peer ended with ${String(code)}`));
    });
    // It may end before it has read all.
    this.child.stdin?.on('error', () => undefined);
  }

  async ask(
    action: string,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    const answered = new Promise<Answer>((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
    if (action === 'work') [this.handled, this.firstMs] = [0, undefined];
    this.child.stdin?.write(`${JSON.stringify({ action, ...more })}\n`);
    const giveUp = AbortSignal.timeout(ANSWER_MS);
    giveUp.addEventListener('abort', () => {
      this.fail(new Error(`a peer did not ${action} in time`));
    });
    return (await answered).answer ?? {};
  }

  /** Ends with its input. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const giveUp = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    await ended;
    clearTimeout(giveUp);
  }

  private heed(message: Answer): void {
    if (message.handled !== undefined) this.handled = message.handled;
    if (message.firstMs !== undefined) this.firstMs = message.firstMs;
    const { waiting } = this;
    if (message.fault !== undefined) this.fail(new Error(message.fault));
    else if (message.answer !== undefined) {
      this.waiting = undefined;
      waiting?.resolve(message);
    }
  }

  private fail(error: Error): void {
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.reject(error);
  }
}

const END_MS = 5000;
