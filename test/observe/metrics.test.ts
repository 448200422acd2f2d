// Goal: a scrape says what happened, in Prometheus' format, with a bounded number of series.
// Method: the exposition text is parsed back; nothing is read from inside the registry.
import { expect } from 'chai';
import { Metrics } from '../../node/observe/metrics.ts';
import type { FinishedTask } from '../../node/observe/metrics.ts';

/** Samples by `name{labels}`, labels sorted. Fails on a line that is neither sample nor comment. */
async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const { body } = await metrics.render();
  const samples = new Map<string, number>();
  for (const line of body.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) /.test(line)) continue;
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    expect(parts, line).to.not.equal(null);
    const [, name = '', labels = '', value = ''] = parts ?? [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([pair]) => pair).sort();
    expect(pairs.join().length, line).to.equal(labels.replace(/,$/, '').length);
    const key = pairs.length === 0 ? name : `${name}{${pairs.join()}}`;
    expect(samples.has(key), `${key} twice`).to.equal(false);
    samples.set(key, value === 'NaN' ? NaN : Number(value));
  }
  return samples;
}

const namesOf = (samples: ReadonlyMap<string, number>, prefix: string): readonly string[] =>
  [...samples.keys()].filter((key) => key.startsWith(prefix));

const finished = (type: string, more: Partial<FinishedTask> = {}): FinishedTask => ({
  type,
  status: 'COMPLETED',
  runSeconds: 0.02,
  queueSeconds: 0.2,
  ...more,
});

const LEADER_GAUGES = {
  queued: 5,
  running: 2,
  ended: { COMPLETED: 10, FAILED: 1, CANCELLED: 0, SKIPPED: 3 },
  ready: 4,
  oldestReadySeconds: 1.5,
  leases: 2,
  nodes: { alive: 3, draining: 1 },
};

describe('the metrics of a node', () => {
  const setup = (): Metrics => new Metrics({ processMetrics: false });

  it('are served as Prometheus text, each with its help and its type once', async () => {
    const { contentType, body } = await setup().render();
    expect(contentType).to.match(/^text\/plain; version=0\.0\.4/);
    const declared = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
      name,
      type,
    ]);
    expect(Object.fromEntries(declared)).to.deep.equal({
      skein_tasks_submitted_total: 'counter',
      skein_tasks_finished_total: 'counter',
      skein_task_duration_seconds: 'histogram',
      skein_task_queue_seconds: 'histogram',
      skein_tasks: 'gauge',
      skein_oldest_ready_seconds: 'gauge',
      skein_ready_tasks: 'gauge',
      skein_leases_active: 'gauge',
      skein_leases_reclaimed_total: 'counter',
      skein_stale_outcomes_total: 'counter',
      skein_leader: 'gauge',
      skein_term: 'gauge',
      skein_elections_total: 'counter',
      skein_nodes: 'gauge',
      skein_slots: 'gauge',
      skein_slots_used: 'gauge',
      skein_commit_batch_size: 'histogram',
      skein_commit_seconds: 'histogram',
      skein_heartbeat_seconds: 'histogram',
      skein_history_removed_total: 'counter',
      skein_schedule_fires_total: 'counter',
      http_request_duration_seconds: 'histogram',
    });
    expect(declared).to.have.length(new Set(declared.map(([name]) => name)).size);
    expect(body.match(/^# HELP /gm)).to.have.length(declared.length);
    expect(body.endsWith('\n')).to.equal(true);
  });

  it('include those of the process', async () => {
    const samples = await scrape(new Metrics());
    expect(samples.get('process_cpu_seconds_total')).to.be.a('number');
    expect(namesOf(samples, 'nodejs_eventloop_lag_p99')).to.have.length(1);
  });

  it('count what this node did', async () => {
    const metrics = setup();
    metrics.tasksSubmitted(3);
    metrics.tasksSubmitted(4);
    metrics.leasesReclaimed(2);
    metrics.staleOutcomes(1);
    metrics.electionWon();
    metrics.setLeader(true);
    metrics.setTerm(12);
    metrics.setSlots(16, 5);
    const samples = await scrape(metrics);
    expect(samples.get('skein_tasks_submitted_total')).to.equal(7);
    expect(samples.get('skein_leases_reclaimed_total')).to.equal(2);
    expect(samples.get('skein_stale_outcomes_total')).to.equal(1);
    expect(samples.get('skein_elections_total')).to.equal(1);
    expect(samples.get('skein_leader')).to.equal(1);
    expect(samples.get('skein_term')).to.equal(12);
    expect(samples.get('skein_slots')).to.equal(16);
    expect(samples.get('skein_slots_used')).to.equal(5);
    metrics.setLeader(false);
    expect((await scrape(metrics)).get('skein_leader')).to.equal(0);
  });

  it('count finished tasks by type and status, over batches', async () => {
    const metrics = setup();
    metrics.tasksFinished([finished('a'), finished('a'), finished('b', { status: 'FAILED' })]);
    metrics.tasksFinished([finished('a'), finished('a', { status: 'FAILED' })]);
    metrics.tasksFinished([]);
    const samples = await scrape(metrics);
    const name = 'skein_tasks_finished_total';
    expect(samples.get(`${name}{status="COMPLETED",type="a"}`)).to.equal(3);
    expect(samples.get(`${name}{status="FAILED",type="a"}`)).to.equal(1);
    expect(samples.get(`${name}{status="FAILED",type="b"}`)).to.equal(1);
    expect(namesOf(samples, name)).to.have.length(3);
  });

  it('put durations into cumulative buckets, a bound included', async () => {
    const metrics = setup();
    const runs = [0.0005, 0.001, 0.0011, 7200, 7201, NaN, -1, Infinity];
    metrics.tasksFinished(runs.map((runSeconds) => finished('a', { runSeconds })));
    const samples = await scrape(metrics);
    const bucket = (le: string): number | undefined =>
      samples.get(`skein_task_duration_seconds_bucket{le="${le}",type="a"}`);
    expect(bucket('0.001')).to.equal(5);
    expect(bucket('0.0025')).to.equal(6);
    expect(bucket('1800')).to.equal(6);
    expect(bucket('7200')).to.equal(7);
    expect(bucket('+Inf')).to.equal(8);
    expect(samples.get('skein_task_duration_seconds_count{type="a"}')).to.equal(8);
    expect(samples.get('skein_task_duration_seconds_sum{type="a"}')).to.be.closeTo(
      14401.0026,
      1e-6,
    );
    expect(samples.get('skein_task_queue_seconds_sum{type="a"}')).to.be.closeTo(1.6, 1e-9);
  });

  it('give the first 100 types their own series and the rest one', async () => {
    const metrics = setup();
    const types = Array.from({ length: 250 }, (_, index) => `type-${String(index)}`);
    metrics.tasksFinished(types.map((type) => finished(type)));
    metrics.tasksFinished(types.map((type) => finished(type)));
    const samples = await scrape(metrics);
    expect(namesOf(samples, 'skein_tasks_finished_total')).to.have.length(101);
    expect(namesOf(samples, 'skein_task_duration_seconds_count')).to.have.length(101);
    expect(namesOf(samples, 'skein_task_queue_seconds_count')).to.have.length(101);
    const of = (type: string): number | undefined =>
      samples.get(`skein_tasks_finished_total{status="COMPLETED",type="${type}"}`);
    expect(of('type-99')).to.equal(2);
    expect(of('type-100')).to.equal(undefined);
    expect(of('other')).to.equal(300);
  });

  it('survive any name of a type', async () => {
    const metrics = setup();
    metrics.tasksFinished([
      finished('a"b\\c\nd{}'),
      finished('__proto__'),
      finished('constructor'),
    ]);
    const samples = await scrape(metrics);
    const count = 'skein_task_duration_seconds_count';
    expect(samples.get(`${count}{type="a\\"b\\\\c\\nd{}"}`)).to.equal(1);
    expect(samples.get(`${count}{type="__proto__"}`)).to.equal(1);
    expect(namesOf(samples, 'skein_tasks_finished_total')).to.have.length(3);
  });

  it('bound statements and routes the same way', async () => {
    const metrics = setup();
    for (let i = 0; i < 150; i++) {
      metrics.committed(`store.s${String(i)}`, 10, 0.002);
      metrics.httpRequest('GET', `/r${String(i)}`, 200, 0.002);
    }
    const samples = await scrape(metrics);
    expect(samples.get('skein_commit_batch_size_sum{statement="other"}')).to.equal(500);
    expect(samples.get('skein_commit_seconds_count{statement="store.s1"}')).to.equal(1);
    const other = 'http_request_duration_seconds_count{code="200",method="GET",route="other"}';
    expect(samples.get(other)).to.equal(50);
  });
});

describe('heartbeats', () => {
  it('are counted by how long their answers took', async () => {
    const metrics = new Metrics({ processMetrics: false });
    for (const seconds of [0.0004, 0.004, 0.199, 12]) metrics.heartbeatAnswered('lock', seconds);
    metrics.heartbeatAnswered('lease', 0.6);
    const samples = await scrape(metrics);
    const bucket = (le: string): number | undefined =>
      samples.get(`skein_heartbeat_seconds_bucket{kind="lock",le="${le}"}`);
    expect(['0.001', '0.005', '0.15', '0.2', '10', '+Inf'].map(bucket)).to.deep.equal([
      1, 2, 2, 3, 3, 4,
    ]);
    expect(samples.get('skein_heartbeat_seconds_count{kind="lock"}')).to.equal(4);
    expect(samples.get('skein_heartbeat_seconds_sum{kind="lease"}')).to.equal(0.6);
  });
});

describe('the gauges of the leader', () => {
  const LEADER_ONLY =
    /^(skein_tasks\{|skein_oldest_ready_seconds|skein_ready_tasks|skein_leases_active|skein_nodes)/;
  const leaderOnly = async (metrics: Metrics): Promise<Readonly<Record<string, number>>> =>
    Object.fromEntries([...(await scrape(metrics))].filter(([key]) => LEADER_ONLY.test(key)));

  const ALL = {
    'skein_tasks{status="QUEUED"}': 5,
    'skein_tasks{status="RUNNING"}': 2,
    'skein_tasks{status="COMPLETED"}': 10,
    'skein_tasks{status="FAILED"}': 1,
    'skein_tasks{status="CANCELLED"}': 0,
    'skein_tasks{status="SKIPPED"}': 3,
    skein_oldest_ready_seconds: 1.5,
    skein_ready_tasks: 4,
    skein_leases_active: 2,
    'skein_nodes{state="alive"}': 3,
    'skein_nodes{state="draining"}': 1,
  };

  it('are absent from a node that never led', async () => {
    expect(await leaderOnly(new Metrics({ processMetrics: false }))).to.deep.equal({});
  });

  it('are all there while it leads', async () => {
    const metrics = new Metrics({ processMetrics: false });
    metrics.leaderGauges(LEADER_GAUGES);
    expect(await leaderOnly(metrics)).to.deep.equal(ALL);
  });

  it('keep the last known ends where none are told', async () => {
    const metrics = new Metrics({ processMetrics: false });
    metrics.leaderGauges(LEADER_GAUGES);
    metrics.leaderGauges({ ...LEADER_GAUGES, queued: 6, ended: undefined });
    const now = { ...ALL, 'skein_tasks{status="QUEUED"}': 6 };
    expect(await leaderOnly(metrics)).to.deep.equal(now);
  });

  it('vanish when it leads no more, and come back with the next term', async () => {
    const metrics = new Metrics({ processMetrics: false });
    metrics.leaderGauges(LEADER_GAUGES);
    metrics.clearLeaderGauges();
    expect(await leaderOnly(metrics)).to.deep.equal({});
    metrics.leaderGauges({ ...LEADER_GAUGES, ended: undefined });
    const ends = Object.keys(ALL).filter((name) => /COMPLETED|FAILED|CANCELLED|SKIPPED/.test(name));
    expect(await leaderOnly(metrics)).to.have.all.keys(
      Object.keys(ALL).filter((name) => !ends.includes(name)),
    );
  });
});
