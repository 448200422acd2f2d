import type { ServerResponse } from 'node:http';
import { toError } from '../base/errors.ts';
import type { LogPort } from './ports.ts';

/**
 * Sends pieces as they come, no faster than the client reads them. A client that is gone ends it, and so
 * does an error of the source: the response breaks off, by which the client knows that there was more.
 * Never rejects.
 */
export async function sendStream(
  response: ServerResponse,
  pieces: AsyncIterable<string> | Iterable<string>,
  log: LogPort,
): Promise<void> {
  try {
    response.flushHeaders();
    for await (const piece of pieces) {
      if (response.destroyed) return;
      if (!response.write(piece)) await drained(response);
    }
    // Of one that is closed already nothing more would be heard.
    if (response.destroyed) return;
    await new Promise<void>((resolve) => {
      response.once('close', resolve);
      response.end(resolve);
    });
  } catch (thrown) {
    if (!response.destroyed) log.warn('an answer broke off', { error: toError(thrown).message });
    response.destroy();
  }
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      response.off('drain', end);
      response.off('close', end);
      resolve();
    };
    response.once('drain', end);
    response.once('close', end);
    if (response.destroyed) end();
  });
}
