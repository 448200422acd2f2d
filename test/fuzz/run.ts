import fc from 'fast-check';
import { Agent, request } from 'node:http';
import { SkeinClient } from '../../node/client/client.ts';
import type { OpenApiDocument } from '../../node/api/contract/openapi.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster, TestNode } from '../support/cluster.ts';
import { Contract } from '../support/contract.ts';
import { seededRng } from '../support/seeded-rng.ts';
import { callsOf } from './calls.ts';
import type { FuzzCall } from './calls.ts';
import { sendGrpcFrames, sendWebSocketFrames } from './frames.ts';

/**
 * Calls and frames of every kind against a real cluster, and a verdict: no node ends, nothing is answered
 * with 5xx but load that is shed, every answer is as the document says, no task is left that cannot be ended,
 * and memory stays where it was.
 */
export interface FuzzOptions {
  readonly calls: number;
  /** Of WebSocket and gRPC together. */
  readonly frames: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

export interface FuzzReport {
  readonly seed: number;
  readonly calls: number;
  readonly frames: number;
  readonly by_status: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly tasks_left: number;
  /** Of the node with the most, after a fifth of the calls and at the end. */
  readonly memory_mib: { readonly early: number; readonly end: number };
  readonly is_sound: boolean;
}

const CHUNK = 500;
const AT_ONCE = 16;
const FAULTS_MAX = 50;
const ANSWER_MS = 60_000;
const END_MS = 120_000;
/** The heap of a node moves by that much between two collections. */
const GROWTH_MIB_MAX = 200;

export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { calls, frames, seed, say } = options;
  const cluster = await startCluster({ nodes: 2, slots: 4, simulate: true });
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const faults: string[] = [];
  const byStatus: Record<string, number> = {};
  const note = (fault: string): void => {
    if (faults.length < FAULTS_MAX && !faults.includes(fault)) faults.push(fault);
  };
  try {
    const urls = cluster.nodes.map(({ url }) => url);
    const document = (await (
      await fetch(`${urls[0] ?? ''}/openapi.json`)
    ).json()) as OpenApiDocument;
    const arbitrary = callsOf(document);
    const contract = new Contract();
    let early = 0;
    for (let sent = 0; sent < calls; sent += CHUNK) {
      const count = Math.min(CHUNK, calls - sent);
      const chunk = fc.sample(arbitrary, { numRuns: count, seed: seed + sent });
      await inParallel(chunk, async (call, at) => {
        const { status, fault } = await judge(contract, agent, urls[at % urls.length] ?? '', call);
        byStatus[String(status)] = (byStatus[String(status)] ?? 0) + 1;
        if (fault !== null) note(fault);
      });
      if (early === 0 && sent + count >= calls / 5) early = await memoryOf(cluster.nodes);
      if (sent % 10_000 === 0)
        say(`${String(sent + count)} calls, ${String(faults.length)} faults`);
      await calm(urls[0] ?? '');
    }
    await sendFrames(cluster, options);
    say(`${String(frames)} frames`);
    for (const node of cluster.nodes) await noteEnd(node, note);
    const tasksLeft = await endAll(cluster);
    const end = await memoryOf(cluster.nodes);
    if (end > early + GROWTH_MIB_MAX)
      note(`memory grew from ${String(early)} to ${String(end)} MiB`);
    if (tasksLeft > 0) note(`${String(tasksLeft)} tasks could not be ended`);
    return {
      ...{ seed, calls, frames, by_status: byStatus, faults, tasks_left: tasksLeft },
      memory_mib: { early, end },
      is_sound: faults.length === 0,
    };
  } finally {
    agent.destroy();
    await cluster.stop();
  }
}

async function sendFrames(cluster: TestCluster, { frames, seed }: FuzzOptions): Promise<void> {
  const rng = seededRng(seed);
  const random = (): number => rng.random();
  const { nodes } = await cluster.view();
  for (const [at, node] of cluster.nodes.entries()) {
    const share = frames / cluster.nodes.length / 2;
    await sendWebSocketFrames(node.url, share, random);
    const address = nodes[at] as { readonly grpc_address?: string } | undefined;
    if (address?.grpc_address === undefined) throw new Error('a node has no address of gRPC');
    await sendGrpcFrames(address.grpc_address, share, random);
  }
}

async function inParallel<T>(
  items: readonly T[],
  use: (item: T, at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const at = next;
      next += 1;
      await use(items[at] as T, at);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

interface Judged {
  readonly status: number;
  readonly fault: string | null;
}

async function judge(
  contract: Contract,
  agent: Agent,
  url: string,
  call: FuzzCall,
): Promise<Judged> {
  const what = `${call.method} ${call.path.slice(0, 200)} ${String(call.body ?? '').slice(0, 300)}`;
  let answer: Awaited<ReturnType<typeof send>>;
  try {
    answer = await send(agent, url, call);
  } catch (error) {
    return { status: 0, fault: `${what}: ${String(error)}` };
  }
  const { status, contentType, text } = answer;
  if (status >= 500 && status !== 503) {
    return { status, fault: `${what}: ${String(status)} ${text.slice(0, 200)}` };
  }
  const isJson = /json/.test(contentType) && !contentType.includes('ndjson');
  let body: unknown = text;
  try {
    if (isJson) body = JSON.parse(text);
  } catch {
    return { status, fault: `${what}: ${String(status)} with a body that is no JSON` };
  }
  const { method, path } = call;
  const wrong = isJson ? contract.faultsOf({ method, path, status, contentType, body }) : [];
  return {
    status,
    fault: wrong.length === 0 ? null : `${what}: ${wrong.join('; ').slice(0, 500)}`,
  };
}

function send(
  agent: Agent,
  url: string,
  { method, path, headers, body }: FuzzCall,
): Promise<{ readonly status: number; readonly contentType: string; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const length = bytes === undefined ? {} : { 'content-length': bytes.length };
    const sending = request(url + path, { method, agent, headers: { ...headers, ...length } });
    sending.setTimeout(ANSWER_MS, () => sending.destroy(new Error('no answer')));
    sending.once('error', reject);
    sending.once('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('end', () => {
        const contentType = response.headers['content-type'] ?? '';
        resolve({
          status: response.statusCode ?? 0,
          contentType,
          text: Buffer.concat(parts).toString(),
        });
      });
    });
    sending.end(bytes);
  });
}

/** Schedules that fire each second, and tasks by the thousand, would become the trial. */
async function calm(url: string): Promise<void> {
  const client = new SkeinClient({ urls: [url], timeoutMs: ANSWER_MS });
  for await (const { id } of client.listSchedules()) await client.deleteSchedule(id);
}

/** Cancels whatever there is, and answers how much of it did not end. */
async function endAll(cluster: TestCluster): Promise<number> {
  const client = new SkeinClient({
    urls: cluster.nodes.map(({ url }) => url),
    timeoutMs: ANSWER_MS,
  });
  for await (const { id } of client.listSchedules()) await client.deleteSchedule(id);
  const endMs = Date.now() + END_MS;
  for (;;) {
    await client.cancelTasks({ all: true });
    const { counts } = await client.cluster();
    const left = counts.QUEUED + counts.RUNNING;
    if (left === 0 || Date.now() > endMs) return left;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function memoryOf(nodes: readonly TestNode[]): Promise<number> {
  const each = nodes.map(async ({ url }) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]) / 2 ** 20;
  });
  return Math.round(Math.max(...(await Promise.all(each))));
}

/** A node that has ended, or said that something failed which should not. */
async function noteEnd(node: TestNode, note: (fault: string) => void): Promise<void> {
  if (node.hasEnded()) note(`${node.name} has ended`);
  const errors = (await node.log())
    .split('\n')
    .filter(
      (line) => line.includes('"level":"error"') || /^\s*(Type|Range|Reference)Error/.test(line),
    );
  for (const line of errors.slice(0, 5)) note(`${node.name} logged ${line.slice(0, 400)}`);
}
