/** The exit code of a run that was ended by a signal: 128 + SIGINT, as shells have it. */
export const INTERRUPTED = 130;

/** The first signal ends the run with what it has started, the second at once. */
export function stopOnSignals(): AbortSignal {
  const stopping = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) process.exit(INTERRUPTED);
    stopping.abort(new Error('told to stop'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return stopping.signal;
}
