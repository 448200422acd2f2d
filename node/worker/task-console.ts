import { formatWithOptions } from 'node:util';
import type { HandlerLog } from '../core/handler.ts';

/** What users' code writes to the console, by where it goes in the log of the task. */
const LEVELS = {
  debug: 'debug',
  log: 'info',
  info: 'info',
  warn: 'warn',
  error: 'error',
} as const;

/**
 * From now on the console of this thread writes to the log of the task that runs in it, at the same bounds
 * as `ctx.log`; between two tasks it writes nothing.
 */
export function logTheConsole(logOf: () => HandlerLog | undefined): void {
  for (const [name, level] of Object.entries(LEVELS)) {
    const write = (...values: readonly unknown[]): void => {
      logOf()?.[level](formatWithOptions({ depth: 4, breakLength: 100 }, ...values));
    };
    Object.defineProperty(console, name, { value: write, configurable: true, writable: true });
  }
}
