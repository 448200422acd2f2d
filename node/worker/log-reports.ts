import type { LogLine, LogPort, ReportedRun, RunReportsPort } from './ports.ts';

/** What runs say of themselves goes into the log of the node, at its level `debug`. */
export class LogReports implements RunReportsPort {
  private readonly log: LogPort;

  constructor(log: LogPort) {
    this.log = log;
  }

  lines(run: ReportedRun, lines: readonly LogLine[]): void {
    for (const { level, message, fields } of lines) {
      this.log.debug('A handler says something.', { ...named(run), level, said: message, fields });
    }
  }

  progress(run: ReportedRun, fraction: number, note: string | null): void {
    this.log.debug('A handler has come this far.', { ...named(run), fraction, note });
  }
}

function named({ id, attempt, leaseSeq }: ReportedRun) {
  return { task_id: id, attempt, lease_seq: leaseSeq };
}
