import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../node/base/clock.ts';
import { runCli } from '../../node/cli/program.ts';
import type { CliDeps, TextStream } from '../../node/cli/ports.ts';
import { clusterFiles } from '../../node/cluster-files.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { SETTINGS } from '../../node/settings.ts';

const DATA = fileURLToPath(new URL('../data/wfinstances', import.meta.url));

export const WORKFLOW_FILES = {
  epigenomics: path.join(DATA, 'epigenomics-chameleon-hep-1seq-100k-001.json'),
  seismology: path.join(DATA, 'seismology-chameleon-100p-001.json'),
  montageSmall: path.join(DATA, 'montage-chameleon-2mass-01d-001.json'),
  montageLarge: path.join(DATA, 'montage-chameleon-2mass-05d-001.json'),
} as const;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in this process, over real HTTP, with streams that remember what was written. */
export async function skein(
  args: readonly string[],
  options: Partial<CliDeps> & { readonly input?: string; readonly isTTY?: boolean } = {},
): Promise<Ran> {
  const { input = '', isTTY = false, ...deps } = options;
  const [out, err] = [remembering(isTTY), remembering(isTTY)];
  const code = await runCli(args, {
    version: '1.2.3',
    env: {},
    stdin: bytesOf([input]),
    stdout: out.stream,
    stderr: err.stream,
    clock: systemClock,
    settings: SETTINGS,
    createClient: (urls, as) => new SkeinClient({ urls, ...as }),
    openKeys: () => Promise.reject(new Error('no keys were asked for')),
    runNode: () => Promise.reject(new Error('no node was asked for')),
    cluster: clusterFiles,
    runDoctor: () => Promise.reject(new Error('no doctor was asked for')),
    ...deps,
  });
  return { code, out: out.text(), err: err.text() };
}

function remembering(isTTY: boolean): { readonly stream: TextStream; readonly text: () => string } {
  let text = '';
  const stream: TextStream = {
    isTTY,
    columns: 100,
    write: (more) => {
      text += more;
      return true;
    },
    once: () => undefined,
    off: () => undefined,
  };
  return { stream, text: () => text };
}

export async function* bytesOf(
  texts: readonly (string | Uint8Array)[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const text of texts) {
    await Promise.resolve();
    yield typeof text === 'string' ? Buffer.from(text) : text;
  }
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** What a scripted node does with a request; `drop` ends the connection without an answer. */
export type Reply =
  | {
      readonly status: number;
      readonly body?: unknown;
      readonly text?: string;
      readonly next?: string;
    }
  | 'drop'
  | 'silence';

export interface ScriptedNode {
  readonly url: string;
  readonly requests: readonly Request[];
  stop(): Promise<void>;
}

/** A node made of a function: real HTTP, and every fault that a real one has once a year. */
export async function startScripted(
  reply: (request: Request, count: number) => Reply,
): Promise<ScriptedNode> {
  const requests: Request[] = [];
  const server = createServer((message, response) => {
    void (async () => {
      const { method = '', url = '' } = message;
      const request = { method, path: url, body: await textOf(message) };
      requests.push(request);
      const answer = reply(request, requests.length);
      if (answer === 'silence') return;
      if (answer === 'drop') {
        message.socket.destroy();
        return;
      }
      const isProblem = answer.status >= 400;
      response.writeHead(answer.status, {
        'content-type': isProblem ? 'application/problem+json' : 'application/json',
        ...(answer.next === undefined ? {} : { link: `<${answer.next}>; rel="next"` }),
      });
      response.end(answer.text ?? JSON.stringify(answer.body));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** A port that nobody listens on. */
export async function deadUrl(): Promise<string> {
  const node = await startScripted(() => 'drop');
  await node.stop();
  return node.url;
}

export const COUNTS = { QUEUED: 0, RUNNING: 0, COMPLETED: 0, FAILED: 0, CANCELLED: 0, SKIPPED: 0 };
export const taskBody = (
  id: string,
  status: string,
  more: object = {},
): Record<string, unknown> => ({
  ...{ id, status, type: 'noop', priority: 50, attempt: 1, max_attempts: 3, dependencies: [] },
  ...{ node: 'node-1', tags: [], created_at: '2026-01-01T00:00:00.000Z', error: null },
  ...{ started_at: '2026-01-01T00:00:01.000Z', finished_at: '2026-01-01T00:00:01.500Z' },
  ...more,
});
export const ok = (body: unknown): Reply => ({ status: 200, body });
export const notFound: Reply = {
  status: 404,
  body: { status: 404, code: 'not_found', detail: 'it does not exist' },
};
