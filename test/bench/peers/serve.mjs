import { createInterface } from 'node:readline';

/**
 * What the processes of every peer have in common: they do what lines on their input ask for, one after
 * the other, say so on their output, and end with their input, so that none outlives the benchmark.
 */
const TELL_MS = 10;

/** The database, or Redis, and the settings of this peer. */
export const { url, settings } = JSON.parse(process.env.PEER ?? '{}');

/** Counts the jobs that were handled, and says so now and then, not at each. */
export class Tally {
  #handled = 0;
  #firstMs = undefined;
  #timer = undefined;

  note(count) {
    this.#firstMs ??= Date.now();
    this.#handled += count;
    this.#timer ??= setTimeout(() => this.#tell(), TELL_MS);
  }

  reset() {
    this.#handled = 0;
    this.#firstMs = undefined;
  }

  #tell() {
    this.#timer = undefined;
    say({ handled: this.#handled, firstMs: this.#firstMs });
  }
}

/** By their names; what they return is the answer. */
export async function serve(actions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { action, ...rest } = JSON.parse(line);
    try {
      const answer = await actions[action](rest);
      say({ answer: { ...answer, atMs: Date.now() } });
    } catch (error) {
      say({ fault: String(error?.stack ?? error) });
    }
  }
  process.exit(0);
}

/** Seconds that it took. */
export async function timed(run) {
  const begun = performance.now();
  await run();
  return { seconds: (performance.now() - begun) / 1000 };
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
