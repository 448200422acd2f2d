import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** A cluster as `npm start` brings it up, for scripts that look at it from outside. */
interface Started {
  readonly nodes: readonly { readonly name: string; readonly http_url: string }[];
}

export class StartedCluster {
  /** Of REST of each node, without a slash at the end. */
  readonly urls: readonly string[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, urls: readonly string[]) {
    this.#child = child;
    this.urls = urls;
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  /** With three nodes on any free ports, unless the flags say otherwise. */
  static async start(root: string, flags: readonly string[]): Promise<StartedCluster> {
    const script = path.join(root, 'scripts', 'bootstrap.mjs');
    const ports = ['--http-port', '0', '--grpc-port', '0'];
    const child = spawn(process.execPath, [script, 'start', '--json', ...ports, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      said += chunk.toString();
      if (said.includes('\n')) break;
    }
    if (!said.includes('\n')) throw new Error('the cluster did not start');
    const { nodes } = JSON.parse(said) as Started;
    return new StartedCluster(
      child,
      nodes.map(({ http_url: url }) => url),
    );
  }

  /** Drains it, and waits until it is gone. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await gone;
  }
}
