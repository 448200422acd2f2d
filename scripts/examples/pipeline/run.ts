import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { SkeinClient } from '../../../node/client/client.ts';
import { pipelineOf } from './pipeline.ts';

/**
 * Runs the pipeline over a folder, on a cluster that was started for it, and prints its report:
 *
 *   npm start -- --handlers scripts/examples/pipeline/handlers --allow-shell --http-allow 127.0.0.1
 *   npx tsx scripts/examples/pipeline/run.ts FOLDER [URL of a node]
 */
const PATIENCE_MS = 120_000;

const [folder = '.', url = 'http://127.0.0.1:8080'] = process.argv.slice(2).map(String);
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('["the","and","of","a"]');
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
try {
  const from = path.resolve(folder);
  const out = path.join(from, 'packed');
  await mkdir(out, { recursive: true });
  const stopWordsUrl = `http://127.0.0.1:${String(port)}/`;
  const tasks = pipelineOf({ folder: from, out, stopWordsUrl });
  const client = new SkeinClient({ urls: [url] });
  const { id } = await client.submitWorkflow({ name: 'words', tasks });
  const found = await client.getTask(`${id}/find`, { waitMs: PATIENCE_MS });
  const { report } = (found.result ?? {}) as { readonly report?: string };
  const last = report === undefined ? found : await client.getTask(report, { waitMs: PATIENCE_MS });
  const { status, result, error } = last;
  console.log(JSON.stringify(status === 'COMPLETED' ? result : { id, status, error }, null, 2));
  process.exitCode = status === 'COMPLETED' ? 0 : 1;
} finally {
  server.close();
}
