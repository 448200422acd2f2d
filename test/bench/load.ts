import type { Rig } from './rig.ts';

/** Bytes ready to be sent, so that the load costs the machine as little as it can while it is measured. */
const CHUNK_TASKS = 1000;
const NDJSON_MS = 900_000;

export interface LoadTask {
  readonly id: string;
  readonly type: string;
  readonly dependencies?: readonly string[];
  readonly run_at?: string;
  readonly duration_ms?: number;
  readonly expected_ms?: number;
  readonly payload?: unknown;
}

/** One line a task, in chunks. */
export function ndjson(count: number, task: (at: number) => LoadTask): readonly Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let from = 0; from < count; from += CHUNK_TASKS) {
    let text = '';
    const end = Math.min(count, from + CHUNK_TASKS);
    for (let at = from; at < end; at++) text += `${JSON.stringify(task(at))}\n`;
    chunks.push(Buffer.from(text));
  }
  return chunks;
}

/** As one batch, all or nothing, at one node; resolves when it is acknowledged. */
export async function submitNdjson(url: string, chunks: readonly Uint8Array[]): Promise<void> {
  const response = await fetch(`${url}/tasks/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: Buffer.concat(chunks),
    signal: AbortSignal.timeout(NDJSON_MS),
  });
  const text = await response.text();
  if (response.status !== 201) {
    throw new Error(`a batch was answered ${String(response.status)} ${text.slice(0, 300)}`);
  }
}

/** Waits until a task has ended; asks again where the node answers that time is up. */
export async function untilEnded(rig: Rig, id: string, patienceMs = NDJSON_MS): Promise<void> {
  const task = await rig.client().getTask(id, { waitMs: patienceMs });
  if (task.status !== 'COMPLETED') throw new Error(`${id} is ${task.status} after its wait`);
}
