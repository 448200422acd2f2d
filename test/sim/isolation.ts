import { toError } from '../../node/base/errors.ts';
import { FatalError, type SpawnedTask } from '../../node/core/handler.ts';
import { GroupLedger } from '../../node/worker/group-ledger.ts';
import { Interruption } from '../../node/worker/halt.ts';
import type { IsolationDeps } from '../../node/worker/isolate.ts';
import { ProcessDiedError } from '../../node/worker/outcome.ts';
import type { Work } from '../../node/worker/ports.ts';
import type { Isolation } from '../../node/worker/run-context.ts';
import { addAll } from './handler.ts';
import { planOf } from './plan.ts';
import type { Rng } from '../../node/base/clock.ts';
import type { History } from './history.ts';
import type { SimProcess } from './process.ts';

/** Where children come from. */
export interface Forks {
  readonly rng: Rng;
  readonly history: History;
  fork(): SimProcess;
  processOf(pid: number): SimProcess;
  killGroup(pid: number): boolean;
}

interface SimTask {
  readonly work: Work;
  readonly attempt: number;
  readonly fencingToken: number;
  readonly onBegun: () => void;
  /** Asked in the node, as its child asks it. */
  readonly spawn: (tasks: readonly SpawnedTask[]) => Promise<unknown>;
}

/**
 * node/worker/isolate.ts in the simulated world: a child is a process of its own, which does not freeze
 * with its node, runs on when its node dies, and ends itself at the instant that its node last told it.
 */
export class SimIsolation {
  private readonly world: Forks;
  private readonly node: SimProcess;
  private readonly endedByLease = new Set<number>();

  constructor(world: Forks, node: SimProcess) {
    this.world = world;
    this.node = node;
  }

  with(deps: Omit<IsolationDeps, 'childEntry'>): Isolation {
    const ledger = new GroupLedger(deps);
    const groups = new Set<number>();
    return {
      run: ({ work, attempt, leaseSeq: fencingToken, halt }, context, onBegun) => {
        const child = this.world.fork();
        groups.add(child.pid);
        const stopWords = this.speak(child.pid, deps);
        child.onExit(() => {
          stopWords();
          groups.delete(child.pid);
          ledger.remove(child.pid);
        });
        const task = { work, attempt, fencingToken, onBegun, spawn: context.spawn };
        return this.runOne(child.pid, task, halt.signal, deps, ledger);
      },
      stop: () => {
        for (const group of groups) this.world.killGroup(group);
        ledger.stop();
        return Promise.resolve(true);
      },
    };
  }

  private async runOne(
    pid: number,
    task: SimTask,
    signal: AbortSignal,
    { graceMs }: Pick<IsolationDeps, 'graceMs'>,
    ledger: GroupLedger,
  ): Promise<string> {
    const { world, node } = this;
    const child = world.processOf(pid);
    const died = new Promise<never>((_, reject) => {
      child.onExit(() => {
        node.deliver(() => {
          const byLease = this.endedByLease.delete(pid);
          if (byLease) reject(new Interruption('lease_lost'));
          else reject(new ProcessDiedError('the process of the task ended'));
        });
      });
    });
    died.catch(() => undefined);
    const aborted = new AbortController();
    const onAbort = (): void => {
      child.deliver(() => {
        aborted.abort(signal.reason);
      });
      node.clock.after(graceMs, () => world.killGroup(pid));
    };
    try {
      await Promise.race([ledger.add(pid, signal), died]);
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      return await Promise.race([this.runInChild(pid, task, aborted), died]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      world.killGroup(pid);
    }
  }

  private runInChild(
    pid: number,
    { work, attempt, fencingToken, onBegun, spawn }: SimTask,
    aborted: AbortController,
  ): Promise<string> {
    const { world, node } = this;
    const child = world.processOf(pid);
    return new Promise((resolve, reject) => {
      const answer = (act: () => void): void => {
        node.deliver(act);
      };
      child.deliver(() => {
        answer(onBegun);
        const end = world.history.begin(child, work.id, fencingToken, true);
        child.onExit(end);
        world.history.count('ran in a process of its own');
        const plan = planOf(JSON.parse(work.payload ?? '{}'));
        const sleep = (ms: number): Promise<void> => child.clock.sleep(ms, aborted.signal);
        const askNode = (tasks: readonly SpawnedTask[]): Promise<unknown> =>
          new Promise((onAnswer, onRefusal) => {
            const say = (act: () => void): void => {
              child.deliver(act);
            };
            answer(() => {
              spawn(tasks).then(
                (ids) => say(() => onAnswer(ids)),
                (error: unknown) => say(() => onRefusal(toError(error))),
              );
            });
          });
        const run = addAll(plan, askNode, sleep).then(() => sleep(plan.ms));
        void run.then(
          () => {
            end();
            if (plan.kills) child.crash();
            else if (plan.failures < 0) answer(() => reject(new FatalError('fatal', 'as planned')));
            else if (attempt > plan.failures) answer(() => resolve(String(attempt)));
            else answer(() => reject(new Error('as planned')));
          },
          (error: unknown) => {
            end();
            answer(() => reject(toError(error)));
          },
        );
      });
    });
  }

  /** The child's dead-man thread: each word is an instant until which it may live. */
  private speak(pid: number, { clock, leaseLeftMs, wordMs }: Omit<IsolationDeps, 'childEntry'>) {
    const child = this.world.processOf(pid);
    let cancelEnd: () => void = () => undefined;
    let cancelNext: () => void = () => undefined;
    const next = (): void => {
      const leftMs = leaseLeftMs();
      cancelEnd();
      cancelEnd = child.clock.after(leftMs, () => {
        this.world.history.count('a child ended itself');
        this.endedByLease.add(pid);
        child.crash();
      });
      cancelNext = clock.after(wordMs, next);
    };
    next();
    // The pipe to a node that is gone ends: the child sees it in an instant.
    this.node.onExit(() => {
      if (this.world.rng.random() < 0.5) child.clock.after(1, () => child.crash());
    });
    return () => {
      cancelEnd();
      cancelNext();
    };
  }
}
