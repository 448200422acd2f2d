import { fullJitterMs } from '../base/backoff.ts';
import { toError } from '../base/errors.ts';
import { BatchSender } from './batch-sender.ts';
import { putBundle } from './bundle-file.ts';
import type { FromHost, ToChild, ToHost } from './child-messages.ts';
import { Interruption } from './halt.ts';
import { howEnded } from './isolate.ts';
import { NotBegunError, ProcessDiedError } from './outcome.ts';
import type { Run, RunContext } from './run-context.ts';
import { hear, type Seat } from './seat.ts';
import type { UserCode } from './user-code.ts';
import type { Ward, WardDeps, Wards } from './ward.ts';

/**
 * Where users' handlers run unless they ask for a process: in warm threads of one process, which is this
 * node's own and not this process.
 *
 * Why not threads of the node itself: a limit on the heap of a thread ends that thread only where V8 fills
 * it in small steps. Of ten ordinary ways to fill a heap, five ended the whole process on Node 20 (a list
 * that grows, a large array, a map: "FATAL ERROR: Reached heap limit"), and so does a fault of a native
 * module, a `process.kill` of its own number, or the machine's killer for want of memory. A node that dies by
 * a task takes its leases, its stream and perhaps the leader's office along.
 *
 * What dies with the process is not judged here: nobody can say which of its tasks was the cause. Each is
 * run again, by itself, in a process of its own and under the same lease, uncharged; there the culprit is
 * proven, and charged. The same holds for a thread whose heap is full, which others may have filled.
 */
export interface HostDeps extends WardDeps {
  readonly graceMs: number;
  readonly users: UserCode;
  readonly slots: number;
  /** For each thread. */
  readonly memoryMb: number;
}

/** It ended with the thread or the process that it was in; whether by its own doing is not known. */
export class UnprovenDeathError extends Error {}

interface Hosted extends Seat {
  readonly run: Run;
  isSent: boolean;
  cancelTimer: () => void;
}

/** What Node itself and its modules take in a process, and in each further thread, beside the heap. */
const PROCESS_MB = 128;
/** Threads at once; more slots than these wait their turn. */
const THREADS_MAX = 256;
/** What the process gets to open its first thread. */
const OPEN_MS = 30_000;
/** From the order to end a thread to the end of the whole process. */
const KILL_MS = 1500;
/** Tasks that take longer wait for a slot, as a node with a free one may take them meanwhile. */
const QUICK_MS = 5;
/** A busy machine makes one of many slow: that alone says nothing of its type. */
const MEASURED_MAX_MS = 50;
const LEARNING_RATE = 0.1;
const RESPAWN_BACKOFF = { baseMs: 50, maxMs: 5000 };

export class HandlerHost {
  private readonly deps: HostDeps;
  private readonly wards: Wards;
  private readonly seats = new Map<number, Hosted>();
  private readonly stopping = new AbortController();
  private sender: BatchSender<ToHost> | undefined;
  private ward: Ward | undefined;
  /** Of the seats, those that hold a slot: so many threads may run at once, and one in any case. */
  private lanes = 0;
  private lanesTold = 0;
  /** How long tasks of a type take, as they were measured lately. */
  private readonly runMs = new Map<string, number>();
  private lastId = 0;
  private failures = 0;

  constructor(deps: HostDeps, wards: Wards) {
    this.deps = deps;
    this.wards = wards;
    // In a later tick: what tells how long the lease lasts is made in this one.
    deps.clock.after(0, () => this.maybeStart());
  }

  run(run: Run, context: RunContext, onBegun: () => void): Promise<string> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.seats.delete(id);
        hosted.cancelTimer();
        run.halt.onInterrupt = undefined;
        run.halt.onRecall = undefined;
        if (run.isAhead !== true) this.lanes -= 1;
      };
      const hosted: Hosted = {
        ...{ run, context, onBegun, isSent: false },
        cancelTimer: () => undefined,
        resolve: (result) => {
          leave();
          resolve(result);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
        reply: (message) => this.sendTo(id, message),
      };
      this.seats.set(id, hosted);
      run.halt.onInterrupt = () => this.interrupt(id, hosted);
      run.halt.onRecall = () => this.sender?.add({ kind: 'recall', id });
      if (run.isAhead !== true) this.lanes += 1;
      if (this.sender !== undefined) this.begin(id, hosted);
      else {
        hosted.cancelTimer = this.deps.clock.after(OPEN_MS, () => {
          hosted.reject(new NotBegunError('the threads of this node did not start'));
        });
      }
    });
  }

  /** Of a type that was measured, and did not take long of late. */
  isQuick(type: string): boolean {
    return (this.runMs.get(type) ?? Infinity) < QUICK_MS;
  }

  stop(): void {
    this.stopping.abort(new Error('the worker is stopped'));
    this.ward?.kill();
  }

  private measure({ run: { work } }: Hosted, ms = MEASURED_MAX_MS): void {
    const before = this.runMs.get(work.type) ?? QUICK_MS;
    this.runMs.set(work.type, before + (Math.min(ms, MEASURED_MAX_MS) - before) * LEARNING_RATE);
  }

  private begin(id: number, hosted: Hosted): void {
    const { work, attempt, leaseSeq: fencingToken } = hosted.run;
    hosted.cancelTimer();
    hosted.isSent = true;
    const lanes = Math.max(1, this.lanes);
    if (lanes !== this.lanesTold) this.sender?.add({ kind: 'lanes', lanes });
    this.lanesTold = lanes;
    this.sendTo(id, { kind: 'run', work, attempt, fencingToken, bundle: undefined });
  }

  private sendTo(id: number, message: ToChild): void {
    this.sender?.add({ kind: 'to', id, message });
  }

  /** Its signal, the grace, the end of its thread, and where that does not work, of all. */
  private interrupt(id: number, hosted: Hosted): void {
    const reason = hosted.run.halt.reason ?? new Interruption('draining');
    if (!hosted.isSent) {
      hosted.reject(reason);
      return;
    }
    this.sendTo(id, { kind: 'abort', code: reason.code });
    const { clock, graceMs } = this.deps;
    hosted.cancelTimer = clock.after(graceMs, () => {
      this.sender?.add({ kind: 'kill', id });
      hosted.cancelTimer = clock.after(KILL_MS, () => this.ward?.kill());
    });
  }

  private maybeStart(): void {
    if (!this.stopping.signal.aborted) this.start();
  }

  private start(): void {
    const { slots, memoryMb, users, clock } = this.deps;
    const threads = Math.min(slots, THREADS_MAX);
    const residentMb = PROCESS_MB + threads * memoryMb;
    let ward: Ward;
    try {
      putBundle(users.bundle);
      // Beyond what its threads are judged by, the process itself is at fault.
      ward = this.wards.start('host', { heapMb: undefined, residentMb: residentMb * 1.5 });
    } catch (thrown) {
      this.startAgain(toError(thrown));
      return;
    }
    this.ward = ward;
    const cancelOpen = clock.after(OPEN_MS, () => ward.kill());
    ward.child.on('error', () => undefined);
    ward.child.on('message', (batch: readonly FromHost[]) => {
      for (const message of batch) this.onSaid(ward, message, cancelOpen);
    });
    ward.child.once('close', (code, signal) => {
      cancelOpen();
      this.onClosed(ward, howEnded('the process of the threads', ward, code, signal));
    });
    const open: ToHost = {
      ...{ kind: 'open', bundle: users.bundle.path, threads, heapMb: memoryMb, residentMb },
    };
    this.wards.writeDown(ward, this.stopping.signal).then(
      () => ward.send([open]),
      () => ward.kill(),
    );
  }

  private onSaid(ward: Ward, message: FromHost, cancelOpen: () => void): void {
    switch (message.kind) {
      case 'open':
        cancelOpen();
        this.onOpen(ward);
        return;
      case 'notice':
        this.deps.log.warn('Something that a handler left behind has failed.', {
          text: message.text,
        });
        return;
      case 'stuck':
        ward.kill();
        return;
      case 'from': {
        const seat = this.seats.get(message.id);
        if (seat === undefined) return;
        if (message.message.kind === 'completed') {
          seat.context.ranMs = message.message.ms;
          this.measure(seat, message.message.ms);
        }
        hear(seat, message.message);
        return;
      }
      case 'handed-back':
        this.seats.get(message.id)?.reject(new Interruption('recalled'));
        return;
      case 'gone': {
        const { why, isProven } = message;
        const seat = this.seats.get(message.id);
        if (seat?.run.halt.reason !== undefined) seat.reject(seat.run.halt.reason);
        else seat?.reject(isProven ? new ProcessDiedError(why) : new UnprovenDeathError(why));
      }
    }
  }

  private onOpen(ward: Ward): void {
    this.failures = 0;
    if (this.sender !== undefined) return;
    this.sender = new BatchSender((batch, onWritten) => ward.send(batch, onWritten));
    for (const [id, hosted] of this.seats) this.begin(id, hosted);
  }

  private onClosed(ward: Ward, how: string): void {
    this.sender = undefined;
    this.lanesTold = 0;
    const sent = [...this.seats.values()].filter(({ isSent }) => isSent);
    // They begin in their order, as many at once as there are threads: those behind have not begun, or
    // would end the next process too, and then be among the first.
    const begun = Math.min(this.deps.slots, THREADS_MAX);
    for (const hosted of sent.slice(begun)) hosted.isSent = false;
    for (const hosted of sent.slice(0, begun)) {
      const { reason } = hosted.run.halt;
      if (reason !== undefined) hosted.reject(reason);
      else if (ward.hasOutlivedItsLease) hosted.reject(new Interruption('lease_lost'));
      else hosted.reject(new UnprovenDeathError(how));
    }
    this.startAgain(new Error(how), ward.complaints);
  }

  /** Never gives up: without threads the node is of no use to its users. */
  private startAgain(error: Error, complaints = ''): void {
    if (this.stopping.signal.aborted) return;
    const { clock, log, rng } = this.deps;
    this.failures += 1;
    log.warn('The process of the threads has ended; another is started.', {
      ...{ error, complaints },
    });
    clock.after(fullJitterMs(RESPAWN_BACKOFF, this.failures, rng), () => this.maybeStart());
  }
}
