import { isDataError } from './store/pipeline.ts';
import { ReportStore } from './store/report-store.ts';
import type { LifeAnchor, Surroundings } from './surroundings.ts';
import type { LogPort, RunReportsPort } from './worker/ports.ts';
import { ReportShipper } from './worker/report-shipper.ts';

/** Where the runs of one life of a node say what they do. */
export interface Reports extends RunReportsPort {
  /** Stores what is left, for a second at most. */
  close(): Promise<void>;
}

const STATEMENT_MS = 5000;

/** On a connection of its own, so that a flood of lines delays no outcome. */
export function openReports(
  { surroundings, log }: { readonly surroundings: Surroundings; readonly log: LogPort },
  nodeId: number,
  anchor: LifeAnchor | undefined,
): Reports {
  const { clock, rng } = surroundings;
  const session = surroundings.connect('reports', STATEMENT_MS, anchor);
  const store = new ReportStore(nodeId, session);
  const shipper = new ReportShipper({ clock, rng, log, store, isDataError });
  return {
    lines: (run, lines) => {
      shipper.lines(run, lines);
    },
    progress: (run, fraction, note) => {
      shipper.progress(run, fraction, note);
    },
    close: async () => {
      await shipper.stop();
      await session.close();
    },
  };
}
