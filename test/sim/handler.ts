import { FatalError, type Handler, type SpawnedTask } from '../../node/core/handler.ts';
import type { History } from './history.ts';
import { planOf, type Plan } from './plan.ts';
import type { SimProcess } from './process.ts';

const ASK_AGAIN_MS = 200;

/** Runs as its plan says, in the node's own process. */
export function handlerOf(type: string, history: History, process: SimProcess): Handler {
  return {
    type,
    run: async ({ id, payload }, context) => {
      const { attempt, fencingToken } = context;
      const end = history.begin(process, id, fencingToken, false);
      try {
        const plan = planOf(payload);
        await addAll(plan, (adds) => context.spawn(adds), context.sleep);
        await context.sleep(plan.ms);
        if (attempt <= plan.failures) throw new Error('as planned');
        if (plan.failures < 0) throw new FatalError('fatal', 'as planned');
        return attempt;
      } finally {
        end();
      }
    },
  };
}

/** A handler that adds tasks asks until it is answered, or must not go on. */
export async function addAll(
  { adds }: Plan,
  spawn: (adds: readonly SpawnedTask[]) => Promise<unknown>,
  sleep: (ms: number) => Promise<void>,
): Promise<void> {
  for (let isAnswered = adds.length === 0; !isAnswered;) {
    isAnswered = await spawn(adds as unknown as readonly SpawnedTask[]).then(
      () => true,
      () => false,
    );
    if (!isAnswered) await sleep(ASK_AGAIN_MS);
  }
}
