import { toError } from './base/errors.ts';
import type { Leadership } from './cluster/elector.ts';
import type { Config } from './config.ts';
import { LeaderLoop } from './leader/loop.ts';
import type { LeaderMetricsPort, LogPort, RenewerPort } from './leader/ports.ts';
import { GraphReader } from './store/graph-reader.ts';
import { DeposedError, TermWriter } from './store/term-writer.ts';
import type { LifeAnchor, Surroundings } from './surroundings.ts';

/**
 * A node's term of office: the leader's loop on connections of its own (fenced writes, reads, duties), which
 * are closed when it has ended.
 */
export interface TermDeps {
  readonly config: Pick<Config, 'name' | 'timings'>;
  readonly surroundings: Surroundings;
  readonly anchor: LifeAnchor | undefined;
  readonly log: LogPort & { child(fields: Readonly<Record<string, unknown>>): LogPort };
  readonly metrics: LeaderMetricsPort;
  readonly renewer: RenewerPort;
  readonly depose: (reason: string) => void;
  /** Since this node has heard a leader; undefined where it never has. */
  readonly leaderlessMs: number | undefined;
}

export interface TermOfOffice {
  readonly loop: LeaderLoop;
  readonly ended: Promise<void>;
}

/** Statements of the fenced session; large work is chunked (reliability.md's 400 ms). */
const FENCED_STATEMENT_MS = 400;
const STATEMENT_MS = 5000;

export function beginTerm(deps: TermDeps, leadership: Leadership): TermOfOffice {
  const { config, log, metrics, surroundings, anchor, renewer, depose, leaderlessMs } = deps;
  const { term } = leadership;
  const fenced = surroundings.connect('leader', FENCED_STATEMENT_MS, anchor);
  const reads = surroundings.connect('reader', STATEMENT_MS, anchor);
  const duties = surroundings.duties?.(anchor);
  const writer = new TermWriter(fenced, term);
  const loop = new LeaderLoop(
    {
      clock: surroundings.clock,
      rng: surroundings.rng,
      log: log.child({ term }),
      metrics,
      timings: config.timings,
      reader: new GraphReader(reads),
      writer,
      renewer,
      processes: surroundings.processes,
      ...duties,
      isDeposedError: (error) => error instanceof DeposedError,
      onDeposed: (reason) => {
        log.warn('The office is given up.', { term, reason });
        depose(reason);
      },
    },
    leadership,
  );
  const ended = loop
    .run()
    .catch((thrown: unknown) => {
      log.error('The term ended by an error.', { term, error: toError(thrown) });
      depose('the leader failed');
    })
    .then(() => Promise.all([fenced.close(), reads.close(), duties?.close()]))
    .then(() => undefined);
  void writer
    .addEvent('elected', config.name, { after_ms: leaderlessMs })
    .catch((thrown: unknown) => {
      log.debug('The election could not be written down.', { error: toError(thrown) });
    });
  return { loop, ended };
}
