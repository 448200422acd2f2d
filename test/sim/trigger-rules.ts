/** How the dependencies of a task stand; `failed` is FAILED or CANCELLED. */
export interface Ends {
  readonly unended: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
}

export type Verdict = 'wait' | 'ready' | 'skip';

/**
 * The trigger rules once more, by the words of the contract and in the order of their codes: all_success,
 * all_done, one_success, one_failed, none_failed. A judge that asked the code under test would share its
 * mistakes: the simulation agreed with a failed parent that counted as a success.
 */
export function ruleSays(rule: number, { unended, succeeded, failed, skipped }: Ends): Verdict {
  const haveAllEnded = unended === 0;
  if (haveAllEnded && succeeded + failed + skipped === 0) return 'ready';
  const runs = [
    haveAllEnded && failed === 0 && skipped === 0,
    haveAllEnded,
    succeeded > 0,
    failed > 0,
    haveAllEnded && failed === 0,
  ][rule];
  if (runs === true) return 'ready';
  const canStillRun = [
    failed === 0 && skipped === 0,
    true,
    !haveAllEnded,
    !haveAllEnded,
    failed === 0,
  ][rule];
  return canStillRun === true ? 'wait' : 'skip';
}
