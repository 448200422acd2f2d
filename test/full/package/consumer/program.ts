import { ClientError, SkeinClient } from 'skein/client';
import type { EndedTaskBody, NewTask } from 'skein/client';

/** A program of somebody else: submits, waits, watches, and is refused. */
const client = new SkeinClient({ urls: process.argv.slice(2), timeoutMs: 60_000 });

const task: NewTask = { type: 'sleep', duration_ms: 50, tags: ['consumer'] };
const { id } = await client.submitTask(task, { signal: AbortSignal.timeout(60_000) });
const ended: EndedTaskBody = await client.waitFor(id, { timeoutMs: 60_000 });

let watched = '';
for await (const { fields } of client.subscribe({ view: 'task', id })) {
  watched = String(fields['status']);
  break;
}

let refused = '';
try {
  await client.submitTask({ type: 'noop', dependencies: ['nobody'] });
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  refused = error.code;
}
console.log(JSON.stringify({ ended: ended.status, watched, refused }));

declare const process: { readonly argv: string[] };
