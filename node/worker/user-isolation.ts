import { putBundle } from './bundle-file.ts';
import { HandlerHost, UnprovenDeathError } from './handler-host.ts';
import { ChildIsolation, type IsolationDeps } from './isolate.ts';
import type { Isolation, Run, RunContext } from './run-context.ts';
import type { UserCode } from './user-code.ts';
import { Wards } from './ward.ts';

export interface UserIsolationDeps extends IsolationDeps {
  readonly slots: number;
  readonly users: UserCode;
  /** For each thread and each process. */
  readonly memoryMb: number;
}

/** What a process takes beside its heap: Node itself, and some Buffers. */
const BESIDE_HEAP_MB = 256;

/** Runs users' handlers, in a thread or by themselves, and what has lost a lease by itself. */
export class UserIsolation implements Isolation {
  private readonly alone: ChildIsolation;
  private readonly host: HandlerHost | undefined;
  private readonly deps: UserIsolationDeps;

  constructor(deps: UserIsolationDeps) {
    const { users, memoryMb, slots } = deps;
    const wards = new Wards(deps);
    const bundleOf = (type: string): string | undefined => {
      if (!users.types.has(type)) return undefined;
      putBundle(users.bundle);
      return users.bundle.path;
    };
    const memory = { heapMb: memoryMb, residentMb: memoryMb + BESIDE_HEAP_MB };
    this.deps = deps;
    this.alone = new ChildIsolation({ ...deps, memory, bundleOf, processesMax: slots }, wards);
    const hasThreads = [...users.types.values()].some(({ isolation }) => isolation === 'thread');
    this.host = hasThreads ? new HandlerHost(deps, wards) : undefined;
  }

  async run(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    const { losses, deaths, work, halt } = run;
    const isInThread = this.deps.users.types.get(work.type)?.isolation === 'thread';
    if (this.host === undefined || !isInThread || losses > 0 || deaths > 0) {
      return this.alone.run(run, context, onBegun);
    }
    try {
      return await this.host.run(run, context, onBegun);
    } catch (thrown) {
      if (!(thrown instanceof UnprovenDeathError)) throw thrown;
      if (halt.reason !== undefined) throw halt.reason;
      this.deps.log.warn('A task runs again by itself, as what it ran in has ended.', {
        ...{ task_id: work.id, type: work.type, error: thrown },
      });
      return this.alone.run(run, context, onBegun);
    }
  }

  goesAhead(type: string): boolean {
    return this.host?.isQuick(type) === true;
  }

  stop(): Promise<boolean> {
    this.host?.stop();
    return this.alone.stop();
  }
}
