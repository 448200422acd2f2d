import type { Worker } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { BatchSender } from './batch-sender.ts';
import type { FromHost, ToChild, ToHost } from './child-messages.ts';
import { messageOf, toThrown } from './outcome.ts';
import { startThread } from './start-thread.ts';
import type { FromThread, TaskThreadData, ToThread } from './task-thread.ts';

/**
 * The threads of the process that runs tasks for a node: warm, each with one task at a time. A thread that
 * ends, whatever the reason, takes its task with it and is replaced; its neighbours hear nothing of that.
 *
 * Not piscina, which was tried: it starts as many tasks a second, but a task is stopped there by ending its
 * thread alone, and there is no way to say something to one that runs: its signal would need a channel for
 * each task (25 µs, more than all else that a thread costs), and its log, its progress and what it asks too.
 */
interface TaskThread {
  readonly worker: Worker;
  isOpen: boolean;
  /** The task that it runs. */
  id: number | undefined;
  /** Why it was told to end. */
  ending: { readonly why: string; readonly isProven: boolean } | undefined;
  /** What it said it holds, since it was asked last. */
  heldBytes: number | undefined;
}

interface Waiting {
  readonly id: number;
  readonly message: ToChild;
}

/** What a thread gets to end; longer only where it hangs in a call of the system. */
const TERMINATE_MS = 500;
/** Between two looks at the memory of the process while tasks run. */
const LOOK_MS = 50;
/** What a thread gets to say what it holds; one that says nothing is busy with itself. */
const ANSWER_MS = 50;
/** Until a thread is tried again that did not open. */
const RETRY_MS = 1000;
const MIB = 1024 * 1024;

export class HostedThreads {
  private readonly entry: URL;
  private readonly outbox: BatchSender<FromHost>;
  private readonly threads = new Set<TaskThread>();
  private readonly idle: TaskThread[] = [];
  private readonly byTask = new Map<number, TaskThread>();
  private readonly waiting: Waiting[] = [];
  private settings: Extract<ToHost, { kind: 'open' }> | undefined;
  private lanes = 1;
  private isLooking = false;

  constructor(entry: URL, write: (batch: readonly FromHost[], onWritten: () => void) => void) {
    this.entry = entry;
    this.outbox = new BatchSender(write);
  }

  hear(batch: readonly ToHost[]): void {
    for (const message of batch) {
      switch (message.kind) {
        case 'open':
          this.settings = message;
          this.start();
          break;
        case 'lanes':
          this.lanes = message.lanes;
          this.assign();
          break;
        case 'recall':
          if (this.takeBack(message.id)) this.outbox.add({ kind: 'handed-back', id: message.id });
          break;
        case 'to':
          this.pass(message.id, message.message);
          break;
        case 'kill':
          this.kill(message.id);
          break;
      }
    }
  }

  private pass(id: number, message: ToChild): void {
    const thread = this.byTask.get(id);
    if (thread !== undefined) {
      post(thread, { id, message });
      return;
    }
    if (message.kind === 'run') {
      this.waiting.push({ id, message });
      this.assign();
    } else if (message.kind === 'abort' && this.takeBack(id)) {
      this.outbox.add({ kind: 'gone', id, why: 'it had not begun', isProven: false });
    }
  }

  private takeBack(id: number): boolean {
    const queued = this.waiting.findIndex((one) => one.id === id);
    if (queued >= 0) this.waiting.splice(queued, 1);
    return queued >= 0;
  }

  /** What waits goes to the threads that are free; there are more of them as long as there may be. */
  private assign(): void {
    while (this.waiting.length > 0 && this.byTask.size < this.lanes) {
      const thread = this.idle.pop();
      if (thread === undefined) break;
      const { id, message } = this.waiting.shift() as Waiting;
      thread.id = id;
      this.byTask.set(id, thread);
      post(thread, { id, message });
      if (message.kind === 'run' && message.work.timeoutMs !== null) {
        this.outbox.add({ kind: 'from', id, message: { kind: 'begun' } });
      }
      this.maybeLook();
    }
    const { threads = 0 } = this.settings ?? {};
    const opening = [...this.threads].filter(({ isOpen }) => !isOpen).length;
    const wanted = Math.min(this.waiting.length, this.lanes - this.byTask.size);
    if (wanted > opening && this.threads.size < threads) this.start();
  }

  private start(): void {
    const { bundle, heapMb } = this.settings as Extract<ToHost, { kind: 'open' }>;
    const workerData: TaskThreadData = { kind: 'tasks', bundle };
    const worker = startThread(this.entry, {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    const thread: TaskThread = {
      ...{ worker, isOpen: false, id: undefined, ending: undefined, heldBytes: undefined },
    };
    this.threads.add(thread);
    let error: Error | undefined;
    worker.on('message', (message: FromThread) => this.onSaid(thread, message));
    worker.on('error', (thrown) => {
      error = thrown;
    });
    worker.once('exit', (code) => this.onExit(thread, code, error));
  }

  private onSaid(thread: TaskThread, said: FromThread): void {
    if (said === 'open') {
      thread.isOpen = true;
      this.outbox.add({ kind: 'open' });
      this.release(thread);
      return;
    }
    if ('heldBytes' in said) {
      thread.heldBytes = said.heldBytes;
      return;
    }
    const { id, message } = said;
    if (thread.id !== id) return;
    this.outbox.add({ kind: 'from', id, message });
    if (message.kind !== 'completed' && message.kind !== 'thrown') return;
    this.byTask.delete(id);
    thread.id = undefined;
    if (thread.ending === undefined) this.release(thread);
    else this.assign();
  }

  private release(thread: TaskThread): void {
    this.idle.push(thread);
    this.assign();
  }

  private onExit(thread: TaskThread, code: number, error: Error | undefined): void {
    this.threads.delete(thread);
    const at = this.idle.indexOf(thread);
    if (at >= 0) this.idle.splice(at, 1);
    const { id, ending } = thread;
    if (id !== undefined) {
      this.byTask.delete(id);
      this.tellEnd(id, ending, code, error);
    } else if (error !== undefined && ending === undefined) {
      const text = `a thread without a task ended: ${messageOf(error)}`;
      this.outbox.add({ kind: 'notice', text });
    }
    if (thread.isOpen) {
      this.start();
      return;
    }
    process.stderr.write(`a thread did not open: ${String(error?.stack)}\n`);
    // It would not open the next time either, not at once.
    if (![...this.threads].some(({ isOpen }) => isOpen)) process.exit(1);
    systemClock.after(RETRY_MS, () => this.assign());
  }

  /**
   * An error that nobody caught, and an exit, are those of the task that ran. A heap may be full of what
   * others left in it.
   */
  private tellEnd(
    id: number,
    ending: TaskThread['ending'],
    code: number,
    error: (Error & { readonly code?: unknown }) | undefined,
  ): void {
    if (ending !== undefined) {
      this.outbox.add({ kind: 'gone', id, ...ending });
    } else if (error === undefined) {
      const why = `the handler ended its thread with exit code ${String(code)}`;
      this.outbox.add({ kind: 'gone', id, why, isProven: true });
    } else if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      this.outbox.add({ kind: 'gone', id, why: messageOf(error), isProven: false });
    } else {
      this.outbox.add({ kind: 'from', id, message: { kind: 'thrown', thrown: toThrown(error) } });
    }
  }

  private kill(id: number): void {
    const thread = this.byTask.get(id);
    if (thread === undefined) return;
    this.end(thread, { why: 'it did not heed its signal', isProven: true });
  }

  private end(thread: TaskThread, ending: NonNullable<TaskThread['ending']>): void {
    if (thread.ending !== undefined) return;
    thread.ending = ending;
    const { id } = thread;
    const cancel = systemClock.after(TERMINATE_MS, () => {
      if (id !== undefined) this.outbox.add({ kind: 'stuck', id });
    });
    void thread.worker.terminate().finally(cancel);
  }

  private maybeLook(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    systemClock.after(LOOK_MS, () => void this.look());
  }

  /**
   * Heaps have their own limits; what lies outside of them, Buffers above all, is known of the whole process
   * alone. Where that is too much, threads are asked what they hold. Who holds too much, or spins and does
   * not answer, is ended and its task run again by itself, where the same is proven; nobody else is. Where
   * no thread explains it, the whole process ends, by its other guard (ward.ts).
   */
  private async look(): Promise<void> {
    const { residentMb, heapMb } = this.settings as Extract<ToHost, { kind: 'open' }>;
    if (process.memoryUsage.rss() > residentMb * MIB) {
      const busy = [...this.byTask.values()];
      for (const thread of busy) {
        thread.heldBytes = undefined;
        post(thread, 'memory');
      }
      await systemClock.sleep(ANSWER_MS);
      const held = (thread: TaskThread): number => thread.heldBytes ?? Infinity;
      const suspects = busy.filter(
        (thread) => thread.id !== undefined && held(thread) > heapMb * MIB,
      );
      const why = 'the tasks of this node hold too much memory together';
      for (const thread of suspects) this.end(thread, { why, isProven: false });
    }
    this.isLooking = this.byTask.size > 0;
    if (this.isLooking) systemClock.after(LOOK_MS, () => void this.look());
  }
}

function post({ worker }: TaskThread, message: ToThread): void {
  worker.postMessage(message);
}
