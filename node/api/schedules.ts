import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import { fireTimesOf } from '../calendar/fire-times.ts';
import { nextFires, runIdOf } from '../core/schedule.ts';
import type { BatchOutcome, SingleOutcome } from '../core/submission.ts';
import type { ScheduleRecord, ScheduleSpec } from '../store/schedules.ts';
import { withJson } from './body.ts';
import type { BodyBudget } from './body.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import type {
  LeaderPort,
  MetricsPort,
  SchedulesPort,
  SubmissionsPort,
  WorkflowReaderPort,
} from './ports.ts';
import { nextLink, Query } from './query.ts';
import { neverFires, readSchedule, scheduleRendering } from './schedule-body.ts';
import { withJsonTexts } from './views.ts';

/**
 * Schedules: stored and read by any node, fired by the leader. A run that a user asks for is a submit
 * of this node, under an id that is made like that of a fire.
 */
export interface ScheduleDeps {
  readonly clock: Clock;
  readonly schedules: SchedulesPort;
  readonly workflows: WorkflowReaderPort;
  readonly submissions: SubmissionsPort;
  readonly leader: LeaderPort;
  readonly metrics: MetricsPort;
  readonly budget: BodyBudget;
}

export function scheduleEndpoints(deps: ScheduleDeps): readonly Endpoint[] {
  const path = '/schedules/:id';
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/schedules',
      query: 'own',
      handle: (request) => list(deps, request),
    },
    { method: 'PUT', role: 'operate', path, handle: (request) => put(deps, request) },
    { method: 'GET', role: 'read', path, handle: (request) => get(deps, request) },
    { method: 'DELETE', role: 'operate', path, handle: (request) => remove(deps, request) },
    {
      method: 'POST',
      role: 'operate',
      path: `${path}/pause`,
      isBodiless: true,
      handle: (request) => pause(deps, request, true),
    },
    {
      method: 'POST',
      role: 'operate',
      path: `${path}/resume`,
      isBodiless: true,
      handle: (request) => pause(deps, request, false),
    },
    {
      method: 'POST',
      role: 'operate',
      path: `${path}/run`,
      query: 'own',
      isBodiless: true,
      handle: (request) => run(deps, request),
    },
  ];
}

const PAGE = 50;
const NEXT_FIRES = 5;

function put(deps: ScheduleDeps, request: ApiRequest): Promise<ApiResponse> {
  return withJson(request.message, deps.budget, async (value) => {
    const id = request.params['id'] ?? '';
    const spec = await readSchedule(deps.clock, id, value);
    const nextMs = await nextOf(deps, spec);
    if (nextMs === null) throw neverFires(spec);
    const isNew = await deps.schedules.put(id, spec, spec.isPaused ? null : nextMs);
    deps.leader.look();
    const location = `/schedules/${encodeURIComponent(id)}`;
    const response = await get(deps, request);
    return isNew ? { ...response, status: 201, headers: { location } } : response;
  });
}

async function get(deps: ScheduleDeps, request: ApiRequest): Promise<ApiResponse> {
  return { status: 200, text: await scheduleText(deps, await findOrThrow(deps, request)) };
}

async function list(deps: ScheduleDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['limit', 'cursor']);
  const limit = query.limit(PAGE);
  const before = query.cursor();
  query.throwIfAny();
  const { schedules, next } = await deps.schedules.list(limit, before);
  const texts: string[] = [];
  for (const schedule of schedules) texts.push(await scheduleText(deps, schedule));
  const headers = nextLink('/schedules', request.query, next);
  return { status: 200, headers, text: `[${texts.join(',')}]` };
}

async function remove(deps: ScheduleDeps, request: ApiRequest): Promise<ApiResponse> {
  const { id } = await findOrThrow(deps, request);
  await deps.schedules.delete(id);
  return json(200, { id, deleted: true });
}

async function pause(
  deps: ScheduleDeps,
  request: ApiRequest,
  isPaused: boolean,
): Promise<ApiResponse> {
  const schedule = await findOrThrow(deps, request);
  await deps.schedules.setPaused(
    schedule.id,
    isPaused,
    isPaused ? null : await nextOf(deps, schedule),
  );
  deps.leader.look();
  return get(deps, request);
}

/**
 * Whatever `overlap` says: the user wants it now. `at` names the fire that it stands for, by default this
 * very instant, so that one which was missed can be made up for, and a call be repeated.
 */
async function run(deps: ScheduleDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['at']);
  const atMs = query.instant('at');
  query.throwIfAny();
  const { id, kind, body } = await findOrThrow(deps, request);
  const runId = runIdOf(id, atMs ?? (await deps.schedules.nowMs()));
  const { renderTask, renderWorkflow } = scheduleRendering(deps.clock);
  let count = 1;
  if (kind === 'task') {
    const outcome = await deps.submissions.submitOne(renderTask(body, runId));
    if (outcome.kind !== 'stored') throw notRun(id, runId, outcome);
    deps.leader.look(outcome.submitted);
  } else {
    const batch = await renderWorkflow(body, runId);
    const outcome = await deps.submissions.submitBatch(batch);
    if (outcome.kind !== 'stored') throw notRun(id, runId, outcome);
    count = batch.graph.count;
    deps.leader.look();
  }
  deps.metrics.tasksSubmitted(count);
  await deps.schedules.addRun(id, runId);
  const place = kind === 'task' ? 'tasks' : 'workflows';
  const status = kind === 'task' ? 'QUEUED' : 'RUNNING';
  const headers = { location: `/${place}/${encodeURIComponent(runId)}` };
  return json(201, { id: runId, status, schedule: id }, headers);
}

function notRun(id: string, runId: string, outcome: SingleOutcome | BatchOutcome): Error {
  switch (outcome.kind) {
    case 'missing': {
      const [missing] = outcome.missing;
      return errors.conflict(`${id} cannot be run: the task ${String(missing)} does not exist`);
    }
    case 'busy':
      return errors.overloaded(`the id ${runId} or a dependency is held by another request`);
    default:
      return errors.conflict(`${runId} exists already`, { existing: { id: runId } });
  }
}

async function nextOf(
  { schedules }: ScheduleDeps,
  { timing, period }: Pick<ScheduleSpec, 'timing' | 'period'>,
): Promise<number | null> {
  return fireTimesOf(timing, period).after(await schedules.nowMs());
}

async function findOrThrow(
  { schedules }: ScheduleDeps,
  { params }: ApiRequest,
): Promise<ScheduleRecord> {
  const id = params['id'] ?? '';
  const schedule = id.includes('\0') ? null : await schedules.find(id);
  if (schedule === null) throw errors.notFound(`the schedule ${id}`);
  return schedule;
}

const time = (ms: number | null): string | null =>
  ms === null ? null : new Date(ms).toISOString();

/** As all who read a schedule get it. */
export async function scheduleText(
  deps: Pick<ScheduleDeps, 'workflows'>,
  schedule: ScheduleRecord,
): Promise<string> {
  const { timing, period, problem, lastRunId, kind, nextMs } = schedule;
  const times = fireTimesOf(timing, period);
  const next = nextMs === null ? [] : [nextMs, ...nextFires(times, nextMs, NEXT_FIRES - 1)];
  return withJsonTexts(
    {
      id: schedule.id,
      ...(timing.kind === 'cron'
        ? { cron: timing.cron, timezone: timing.timeZone }
        : { every_ms: timing.everyMs, anchor: time(timing.anchorMs) }),
      starts_at: time(period.startMs),
      ends_at: time(period.endMs),
      catch_up: schedule.catchUp,
      overlap: schedule.overlap,
      paused: schedule.isPaused,
      next_fires: next.map(time),
      held_fire_at: time(schedule.heldMs),
      last_fire_at: time(schedule.lastFireMs),
      last_run:
        lastRunId === null ? null : { id: lastRunId, status: await lastStatus(deps, schedule) },
      counts: {
        ...{ fired: schedule.fired, skipped: schedule.skipped },
        ...{ missed: schedule.missed, refused: schedule.refused },
      },
      problem: problem === null ? null : { ...problem, at: problem.at.toISOString() },
      created_at: schedule.createdAt.toISOString(),
      updated_at: schedule.updatedAt.toISOString(),
    },
    { [kind]: schedule.body },
  );
}

/** Null where retention has removed it. */
async function lastStatus(
  { workflows }: Pick<ScheduleDeps, 'workflows'>,
  { kind, lastRunId, lastTaskStatus }: ScheduleRecord,
): Promise<string | null> {
  if (kind === 'task' || lastRunId === null) return lastTaskStatus;
  return (await workflows.find(lastRunId))?.status ?? null;
}
