import type { Backend, Hands, OpenBackend } from './hands.ts';
import { modelBackend } from './model-hands.ts';
import { REAL_BACKEND } from './real-hands.ts';

/** Sessions in one order of their steps, and what must come of it on any server. */
export interface Script {
  readonly name: string;
  readonly run: (hands: Hands) => Promise<void>;
}

/** Collects the scripts of one file; `prepare` runs ahead of each. */
export function scripts(
  collect: (script: (name: string, run: Script['run']) => void) => void,
  prepare?: Script['run'],
): readonly Script[] {
  const all: Script[] = [];
  collect((name, run) => {
    all.push({
      name,
      run: async (hands) => {
        await prepare?.(hands);
        await run(hands);
      },
    });
  });
  return all;
}

export const BACKENDS: readonly Backend[] = [REAL_BACKEND, modelBackend()];

/** One test for each script on each server. */
export function testScripts(subject: string, all: readonly Script[]): void {
  for (const backend of BACKENDS) {
    describe(`${subject}, ${backend.name}`, () => {
      let open: OpenBackend;
      before(async () => {
        open = await backend.open();
      });
      after(() => open.close());
      for (const { name, run } of all) {
        it(name, async () => {
          await run(await open.reset());
        });
      }
    });
  }
}
