import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { BatchHistogram } from './batch-histogram.ts';

/**
 * Every metric of a node, declared here and nowhere else, in a registry of its own.
 *
 * - Cluster-wide gauges (what is queued, how many nodes) come from the leader alone, so that `sum()`
 *   over all nodes is true; from the others they are absent, not 0.
 * - Counters count what this node did; the sum over the nodes is the cluster's.
 * - No label without a bound: users choose type names, so the first 100 have their own series and
 *   all later ones share `other`. The bound is per process: a restart chooses anew.
 */

/** A fast no-op task takes a millisecond, a slow one hours. */
const DURATION_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200,
];
const COMMIT_BOUNDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** A leader steps down after 0.8 s without an answer to those of its lock; four times that over a WAN. */
const HEARTBEAT_BOUNDS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10,
];
const HTTP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BATCH_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

const LABEL_VALUES_MAX = 100;

export interface FinishedTask {
  readonly type: string;
  readonly status: string;
  readonly runSeconds: number;
  /** From the moment it could have run to its start. */
  readonly queueSeconds: number;
}

export interface LeaderGauges {
  readonly queued: number;
  readonly running: number;
  /** Undefined leaves the last known counts as they are. */
  readonly ended:
    | {
        readonly COMPLETED: number;
        readonly FAILED: number;
        readonly CANCELLED: number;
        readonly SKIPPED: number;
      }
    | undefined;
  readonly ready: number;
  readonly oldestReadySeconds: number;
  readonly leases: number;
  readonly nodes: { readonly alive: number; readonly draining: number };
}

export class Metrics {
  private readonly registry = new Registry();
  private readonly types = new LabelBound(LABEL_VALUES_MAX);
  private readonly statements = new LabelBound(LABEL_VALUES_MAX);
  private readonly routes = new LabelBound(LABEL_VALUES_MAX);

  private readonly submitted = this.counter(
    'skein_tasks_submitted_total',
    'Tasks that this node accepted.',
  );
  private readonly finished = new Counter({
    name: 'skein_tasks_finished_total',
    help: 'Tasks that this node brought to an end, by type and status.',
    labelNames: ['type', 'status'],
    registers: [this.registry],
  });
  private readonly duration = new BatchHistogram({
    name: 'skein_task_duration_seconds',
    help: 'From the start of the accepted attempt to its end, by type.',
    label: 'type',
    bounds: DURATION_BOUNDS,
  });
  private readonly queueing = new BatchHistogram({
    name: 'skein_task_queue_seconds',
    help: 'From the moment a task could have run to its start, by type.',
    label: 'type',
    bounds: DURATION_BOUNDS,
  });

  private readonly tasks = this.labelledGauge(
    'skein_tasks',
    'Tasks of the cluster by status; from the leader alone.',
    'status',
  );
  private readonly oldestReady = this.gauge(
    'skein_oldest_ready_seconds',
    'How long the task has been ready that waits longest; from the leader alone.',
  );
  private readonly ready = this.gauge(
    'skein_ready_tasks',
    'Tasks that only wait for a slot; from the leader alone.',
  );
  private readonly leases = this.gauge(
    'skein_leases_active',
    'Leases that are out; from the leader alone.',
  );
  private readonly nodes = this.labelledGauge(
    'skein_nodes',
    'Nodes of the cluster by state; from the leader alone.',
    'state',
  );

  private readonly reclaimed = this.counter(
    'skein_leases_reclaimed_total',
    'Leases that this node, leading, took back from lost nodes.',
  );
  private readonly fires = new Counter({
    name: 'skein_schedule_fires_total',
    help: 'Fires of schedules that this node, leading, dealt with, by what became of them.',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  private readonly removed = new Counter({
    name: 'skein_history_removed_total',
    help: 'What this node, leading, removed from the history, by what it was.',
    labelNames: ['what'],
    registers: [this.registry],
  });
  private readonly stale = this.counter(
    'skein_stale_outcomes_total',
    'Outcomes of this node that came after their lease had ended, and were refused.',
  );
  private readonly leader = this.gauge('skein_leader', '1 while this node leads, else 0.');
  private readonly term = this.gauge('skein_term', 'The highest term that this node has seen.');
  private readonly elections = this.counter(
    'skein_elections_total',
    'Elections that this node won.',
  );
  private readonly slots = this.gauge('skein_slots', 'Tasks that this node may run at once.');
  private readonly slotsUsed = this.gauge('skein_slots_used', 'Tasks that this node runs.');
  private readonly slotCounts = { total: 0, used: 0 };

  private readonly commitSize = new Histogram({
    name: 'skein_commit_batch_size',
    help: 'Rows of a committed batch, by statement.',
    labelNames: ['statement'],
    buckets: BATCH_BOUNDS,
    registers: [this.registry],
  });
  private readonly commitSeconds = new Histogram({
    name: 'skein_commit_seconds',
    help: 'From sending a batch to its commit, by statement.',
    labelNames: ['statement'],
    buckets: COMMIT_BOUNDS,
    registers: [this.registry],
  });
  private readonly heartbeat = new Histogram({
    name: 'skein_heartbeat_seconds',
    help: 'From a heartbeat to its answer: of the lock, by the leader; of the lease, gathered for a second.',
    labelNames: ['kind'],
    buckets: HEARTBEAT_BOUNDS,
    registers: [this.registry],
  });
  private readonly http = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'From the request to the end of its answer, by route pattern.',
    labelNames: ['method', 'route', 'code'],
    buckets: HTTP_BOUNDS,
    registers: [this.registry],
  });

  /** `processMetrics: false` leaves out prom-client's own, which watch the whole process. */
  constructor(options: { readonly processMetrics?: boolean } = {}) {
    if (options.processMetrics !== false) {
      // Measured on an idle process: a look at the event loop each 10 ms, the default, costs 0.49 %
      // of a core, each 50 ms 0.12 %. A cluster of three may use 2 % in all.
      collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 50 });
    }
    this.clearLeaderGauges();
  }

  tasksSubmitted(count: number): void {
    this.submitted.inc(count);
  }

  tasksFinished(batch: readonly FinishedTask[]): void {
    const ends = new Map<string, Map<string, number>>();
    for (const { type, status, runSeconds, queueSeconds } of batch) {
      const label = this.types.of(type);
      this.duration.record(label, runSeconds);
      this.queueing.record(label, queueSeconds);
      const byStatus = ends.get(label) ?? new Map<string, number>();
      if (byStatus.size === 0) ends.set(label, byStatus);
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    }
    for (const [type, byStatus] of ends) {
      for (const [status, count] of byStatus) this.finished.inc({ type, status }, count);
    }
  }

  leaderGauges(gauges: LeaderGauges): void {
    const { queued, running, ended, ready, oldestReadySeconds, leases, nodes } = gauges;
    const byStatus = { QUEUED: queued, RUNNING: running, ...ended };
    for (const [status, count] of Object.entries(byStatus)) this.tasks.set({ status }, count);
    this.ready.set(ready);
    this.oldestReady.set(oldestReadySeconds);
    this.leases.set(leases);
    for (const [state, count] of Object.entries(nodes)) this.nodes.set({ state }, count);
  }

  /** For a node that does not lead: what only the leader knows vanishes from it. */
  clearLeaderGauges(): void {
    this.tasks.reset();
    this.nodes.reset();
    // A gauge without labels is reset to 0; removed, it is absent.
    this.ready.remove({});
    this.oldestReady.remove({});
    this.leases.remove({});
  }

  leasesReclaimed(count: number): void {
    this.reclaimed.inc(count);
  }

  schedulesFired(
    fires: Readonly<Record<'fired' | 'skipped' | 'missed' | 'refused', number>>,
  ): void {
    for (const [outcome, count] of Object.entries(fires)) this.fires.inc({ outcome }, count);
  }

  historyRemoved(what: 'task' | 'workflow' | 'event', count: number): void {
    this.removed.inc({ what }, count);
  }

  staleOutcomes(count: number): void {
    this.stale.inc(count);
  }

  setLeader(isLeader: boolean): void {
    this.leader.set(isLeader ? 1 : 0);
  }

  setTerm(term: number): void {
    this.term.set(term);
  }

  electionWon(): void {
    this.elections.inc();
  }

  /** Called twice a task: the gauges take it over when they are scraped. */
  setSlots(total: number, used: number): void {
    this.slotCounts.total = total;
    this.slotCounts.used = used;
  }

  /** `statement` is the name of a prepared statement, never its text. */
  committed(statement: string, size: number, seconds: number): void {
    const label = { statement: this.statements.of(statement) };
    this.commitSize.observe(label, size);
    this.commitSeconds.observe(label, seconds);
  }

  heartbeatAnswered(kind: 'lock' | 'lease', seconds: number): void {
    this.heartbeat.observe({ kind }, seconds);
  }

  /** `route` is the pattern (`/tasks/:id`), never the path. */
  httpRequest(method: string, route: string, code: number, seconds: number): void {
    this.http.observe({ method, route: this.routes.of(route), code: String(code) }, seconds);
  }

  /** The exposition for a scrape. */
  async render(): Promise<{ readonly contentType: string; readonly body: string }> {
    this.slots.set(this.slotCounts.total);
    this.slotsUsed.set(this.slotCounts.used);
    const text = await this.registry.metrics();
    const body = [text, this.duration.expose(), this.queueing.expose()].join('\n');
    return { contentType: this.registry.contentType, body };
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }

  private gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  private labelledGauge<Label extends string>(
    name: string,
    help: string,
    label: Label,
  ): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [label], registers: [this.registry] });
  }
}

/** Gives the first names their own label value and all later ones `other`. */
class LabelBound {
  private readonly max: number;
  private readonly names = new Set<string>();

  constructor(max: number) {
    this.max = max;
  }

  of(name: string): string {
    if (this.names.has(name)) return name;
    if (this.names.size >= this.max) return 'other';
    this.names.add(name);
    return name;
  }
}
