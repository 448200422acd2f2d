import type { Interruption } from './halt.ts';
import type { Thrown } from './outcome.ts';
import type { LogLine, Work } from './ports.ts';

/** What a handler asks of its node: the results of its dependencies, or to add tasks (JSON text). */
export type Question =
  { readonly what: 'results' } | { readonly what: 'spawn'; readonly text: string };

/** What the node sends to where one task runs: the task, answers to what it asks, at most one abort. */
export type ToChild =
  | {
      readonly kind: 'run';
      readonly work: Work;
      readonly attempt: number;
      readonly fencingToken: number;
      /** Where the handler is a user's: the bundle that holds it. */
      readonly bundle: string | undefined;
    }
  | { readonly kind: 'answer'; readonly number: number; readonly text: string }
  | { readonly kind: 'refusal'; readonly number: number; readonly thrown: Thrown }
  | { readonly kind: 'abort'; readonly code: Interruption['code'] };

/**
 * What is said there: that the handler runs now, what that says and asks meanwhile, and then its answer.
 * A result is JSON text within the bounds of one.
 */
export type FromChild =
  | { readonly kind: 'begun' }
  | { readonly kind: 'lines'; readonly lines: readonly LogLine[] }
  | { readonly kind: 'progress'; readonly fraction: number; readonly note: string | null }
  | ({ readonly kind: 'ask'; readonly number: number } & Question)
  /** With how long it took, where that is asked for. */
  | { readonly kind: 'completed'; readonly result: string; readonly ms?: number }
  | { readonly kind: 'thrown'; readonly thrown: Thrown };

/** What a process with the threads of many tasks is told: first how it is to be, then of each task. */
export type ToHost =
  | {
      readonly kind: 'open';
      readonly bundle: string;
      readonly threads: number;
      /** Of V8's heap, for each thread. */
      readonly heapMb: number;
      /** Of the whole process, when it looks for who has too much. */
      readonly residentMb: number;
    }
  | { readonly kind: 'to'; readonly id: number; readonly message: ToChild }
  /** So many may run at once, of those that it has. */
  | { readonly kind: 'lanes'; readonly lanes: number }
  /** Hands it back if it has not begun. */
  | { readonly kind: 'recall'; readonly id: number }
  /** Ends the thread of the task, whatever it does. */
  | { readonly kind: 'kill'; readonly id: number };

export type FromHost =
  | { readonly kind: 'open' }
  | { readonly kind: 'from'; readonly id: number; readonly message: FromChild }
  /**
   * The thread of the task has ended, by its own doing where that is proven; else it may have been what
   * another task left behind, or took away.
   */
  | { readonly kind: 'gone'; readonly id: number; readonly why: string; readonly isProven: boolean }
  /** It has not begun, and will not. */
  | { readonly kind: 'handed-back'; readonly id: number }
  /** The thread of the task cannot be ended: it hangs in a call of the system. */
  | { readonly kind: 'stuck'; readonly id: number }
  | { readonly kind: 'notice'; readonly text: string };
