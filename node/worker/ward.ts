import { fork, type ChildProcess } from 'node:child_process';
import { killGroup, killOrphanGroup } from '../base/process-identity.ts';
import { GroupLedger, type GroupLedgerDeps } from './group-ledger.ts';
import { NotBegunError } from './outcome.ts';

/**
 * Processes that a node has in its care: each leads a process group, which the node writes down in its row
 * before a task begins in it: whoever reclaims early kills that group first (rule 7).
 *
 * A thread of such a process reads words of its node, each an instant until which the process may live: the
 * kill time of the node's lease, on the clock that the processes of a machine share. When that passes
 * without a later word, or the pipe ends, the process ends itself and its whole group, even while its
 * other threads spin. So a node that freezes, at whatever moment, leaves no process that outlives its lease.
 * Such an end is the loss of the lease, not a death of a task's own: nothing is charged for it (rule 17).
 *
 * The same thread looks after the memory of the process, heap and all else, and ends it where that is more
 * than it may have.
 */
export interface WardDeps extends GroupLedgerDeps {
  /** The module that such a process runs; it knows the handlers, this file does not. */
  readonly childEntry: URL;
  /** For that module, as JSON: how the handlers of this node are set up. */
  readonly childSettings?: unknown;
  /** From now to the kill time of the node's lease, counted from its last renewal. */
  readonly leaseLeftMs: () => number;
  /** Between two words to a process. */
  readonly wordMs: number;
}

/** The descriptor of the pipe that the dead-man thread reads, and on which it says why it ends the rest. */
export const WORD_FD = 4;

/** What a killed group gets to vanish: longer only where the kernel holds one of it back. */
const VANISH_MS = 1000;
const VANISH_LOOK_MS = 10;

/** What a process does with itself: one task, or the threads of many. */
export type WardRole = 'task' | 'host';

export interface Memory {
  /** Of V8's heap; undefined where the threads have their own, which this would override. */
  readonly heapMb: number | undefined;
  /** Of all that is resident. */
  readonly residentMb: number;
}

export class Wards {
  private readonly deps: WardDeps;
  private readonly ledger: GroupLedger;

  constructor(deps: WardDeps) {
    this.deps = deps;
    this.ledger = new GroupLedger(deps);
  }

  /** Throws a `NotBegunError` where the machine has no process to give. */
  start(role: WardRole, memory: Memory): Ward {
    const words = new Words(this.deps);
    let child: ChildProcess;
    try {
      const { heapMb, residentMb } = memory;
      const settings = JSON.stringify(this.deps.childSettings ?? null);
      const args = [String(words.grantedMs), settings, role, String(residentMb)];
      const heap = heapMb === undefined ? [] : [`--max-old-space-size=${String(heapMb)}`];
      child = fork(this.deps.childEntry, args, {
        detached: true,
        execArgv: [...process.execArgv, ...heap],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
        serialization: 'json',
      });
    } catch (thrown) {
      throw new NotBegunError('the process of the task could not start', { cause: thrown });
    }
    const group = child.pid;
    child.once('exit', () => {
      words.stop();
      if (group === undefined) return;
      if (ward.hasAnswered) this.ledger.remove(group);
      else void this.bury(group);
    });
    const ward = new Ward(child, words);
    if (group !== undefined) words.start(child.stdio[WORD_FD] as unknown as NodeJS.ReadWriteStream);
    return ward;
  }

  /** Resolves when the row of the node names its group. */
  async writeDown({ group }: Ward, signal: AbortSignal): Promise<void> {
    if (group !== undefined) await this.ledger.add(group, signal);
  }

  /**
   * Nothing of a group may outlive its process, nor what has left the group: one that answers has seen to
   * that, one that was killed could not. Until nothing runs the row names the group. Never rejects.
   */
  private async bury(group: number): Promise<void> {
    const { clock } = this.deps;
    const untilMs = clock.monotonicMs() + VANISH_MS;
    while (!killOrphanGroup(group) && clock.monotonicMs() < untilMs) {
      await clock.sleep(VANISH_LOOK_MS);
    }
    this.ledger.remove(group);
  }

  /** Kills every group and waits until nothing of them runs, for a second at most. */
  async stop(): Promise<boolean> {
    const groups = [...this.ledger.all];
    for (const group of groups) killGroup(group);
    this.ledger.stop();
    const { clock } = this.deps;
    const untilMs = clock.monotonicMs() + VANISH_MS;
    while (!groups.every((group) => killOrphanGroup(group))) {
      if (clock.monotonicMs() >= untilMs) return false;
      await clock.sleep(VANISH_LOOK_MS);
    }
    return true;
  }
}

/** One process in the care of its node. */
export class Ward {
  readonly child: ChildProcess;
  /** Undefined where it never came up. */
  readonly group: number | undefined;
  /** Whether it has answered for the one task that it ran. */
  hasAnswered = false;
  /** The end of what it wrote on stderr: V8's last words, or those of a module that does not load. */
  complaints = '';
  private readonly words: Words;

  constructor(child: ChildProcess, words: Words) {
    this.child = child;
    this.words = words;
    this.group = child.pid;
    child.stderr?.on('data', (bytes: Buffer) => {
      this.complaints = (this.complaints + bytes.toString()).slice(-COMPLAINTS_MAX);
    });
    child.stderr?.on('error', () => undefined);
  }

  /** Whether it had to end itself, because its node's lease was over. */
  get hasOutlivedItsLease(): boolean {
    return this.words.haveEnded;
  }

  /** What it said of why it ends itself. */
  get lastWord(): string {
    return this.words.heard;
  }

  /** One that cannot be reached has ended, and its exit is what counts. */
  send(message: object, onWritten: () => void = () => undefined): void {
    if (this.child.connected) this.child.send(message, onWritten);
  }

  kill(): void {
    if (this.group !== undefined) killGroup(this.group);
  }
}

/** The words of the node to one child: until when it may live. */
class Words {
  /** The instant that was granted last. */
  grantedMs: number;
  heard = '';
  private readonly deps: WardDeps;
  private wasLate = false;
  private cancel: () => void = () => undefined;

  constructor(deps: WardDeps) {
    this.deps = deps;
    this.grantedMs = deps.clock.monotonicMs() + deps.leaseLeftMs();
  }

  /** Whether the child had to end itself: an instant passed before a later one was granted. */
  get haveEnded(): boolean {
    return this.wasLate || this.deps.clock.monotonicMs() >= this.grantedMs;
  }

  start(pipe: NodeJS.ReadWriteStream): void {
    // The child's end closes with the child; its exit is what counts.
    pipe.on('error', () => undefined);
    pipe.on('data', (bytes: Buffer) => {
      this.heard = (this.heard + bytes.toString()).slice(0, HEARD_MAX);
    });
    const { clock, leaseLeftMs, wordMs } = this.deps;
    const next = (): void => {
      this.wasLate = this.haveEnded;
      this.grantedMs = clock.monotonicMs() + leaseLeftMs();
      pipe.write(`${String(this.grantedMs)}\n`);
      this.cancel = clock.after(wordMs, next);
    };
    next();
  }

  stop(): void {
    this.cancel();
  }
}

const HEARD_MAX = 200;
const COMPLAINTS_MAX = 2000;
