import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import { AppError, errors } from '../base/errors.ts';
import { faultOfCron, isTimeZone } from '../calendar/fire-times.ts';
import { CATCH_UPS, EVERY_MS_MIN, OVERLAPS, RUN_ID_SUFFIX, runIdOf } from '../core/schedule.ts';
import type { Period, Timing } from '../core/schedule.ts';
import type { Batch, SingleTask } from '../core/submission.ts';
import { ID_LENGTH_MAX } from '../core/task.ts';
import type { ScheduleSpec } from '../store/schedules.ts';
import { Faults } from './faults.ts';
import { readTask, readWorkflow } from './submit/read-submission.ts';
import { instant, isName, lengthOf } from './schemas.ts';

/**
 * The body of a schedule, and what it submits. The task or workflow in it is checked as if it were
 * submitted now, under an id as long as that of a fire; it is stored as it was given, and read again by
 * the same code at every fire.
 */
const EVERY_MS_MAX = 366 * 24 * 3_600_000;
/** Of the task or workflow, as JSON: the leader reads it at every fire. */
const BODY_BYTES_MAX = 1024 * 1024;

export const scheduleSchema = z.strictObject({
  cron: z.string().optional(),
  timezone: z.string().optional(),
  every_ms: z.int().min(EVERY_MS_MIN).max(EVERY_MS_MAX).optional(),
  anchor: instant.optional(),
  starts_at: instant.nullish(),
  ends_at: instant.nullish(),
  catch_up: z.enum(CATCH_UPS).optional(),
  overlap: z.enum(OVERLAPS).optional(),
  paused: z.boolean().optional(),
  task: z.record(z.string(), z.unknown()).optional(),
  workflow: z.record(z.string(), z.unknown()).optional(),
});
type ScheduleBody = z.infer<typeof scheduleSchema>;

/** Throws every fault at once, each by its place in the body; `{id}` is the id in the path. */
export async function readSchedule(
  clock: Clock,
  id: string,
  value: unknown,
): Promise<ScheduleSpec> {
  const faults = new Faults();
  const body = faults.mustBe(scheduleSchema, value, '#');
  addIdFault(id, faults);
  const timing = readTiming(body, faults);
  const period = readPeriod(body, faults);
  const submits = readSubmitted(body, faults);
  if (submits !== null) {
    const { kind, text } = submits;
    if (Buffer.byteLength(text) > BODY_BYTES_MAX) {
      faults.addTooLarge(`the ${kind}`, `${String(BODY_BYTES_MAX)} bytes (1 MiB)`);
    }
    await addFaultsOf(faults, () => renderAny(clock, kind, text, runIdOf(id, 0)));
  }
  faults.throwIfAny();
  if (timing === null || submits === null) throw new Error('a schedule lacks what was checked');
  return {
    timing,
    period,
    catchUp: body.catch_up ?? 'last',
    overlap: body.overlap ?? 'allow',
    isPaused: body.paused ?? false,
    kind: submits.kind,
    body: submits.text,
  };
}

/** What a leader submits at a fire. */
export function scheduleRendering(clock: Clock): {
  readonly renderTask: (body: string, runId: string) => SingleTask;
  readonly renderWorkflow: (body: string, runId: string) => Promise<Batch>;
} {
  return {
    renderTask: (body, runId) => readTask(JSON.parse(body), '#/task', runId),
    renderWorkflow: async (body, runId) => {
      // The runs of one schedule have one name, unless the user gave another.
      const name = runId.slice(0, -RUN_ID_SUFFIX);
      const value = { name, ...(JSON.parse(body) as object) };
      return (await readWorkflow(clock, value, '#/workflow', runId)).batch;
    },
  };
}

async function renderAny(
  clock: Clock,
  kind: 'task' | 'workflow',
  body: string,
  runId: string,
): Promise<void> {
  const { renderTask, renderWorkflow } = scheduleRendering(clock);
  if (kind === 'task') renderTask(body, runId);
  else await renderWorkflow(body, runId);
}

/** Takes over the faults of a body that is refused. */
async function addFaultsOf(faults: Faults, read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (thrown) {
    const found = thrown instanceof AppError ? thrown.details.errors : undefined;
    // What has no place in the body, such as its size, is thrown as it is, after the faults that have.
    if (found === undefined) faults.throwIfAny();
    if (found === undefined) throw thrown;
    for (const { pointer, detail } of found) faults.add(pointer, detail);
  }
}

function addIdFault(id: string, faults: Faults): void {
  const lengthMax = ID_LENGTH_MAX - RUN_ID_SUFFIX;
  if (isName(id) && lengthOf(id) <= lengthMax) return;
  faults.add('{id}', `must be 1–${String(lengthMax)} printable characters, and not . or ..`);
}

function readTiming(body: ScheduleBody, faults: Faults): Timing | null {
  const { cron, timezone, every_ms: everyMs, anchor } = body;
  if (cron !== undefined && everyMs !== undefined) {
    faults.add('#/every_ms', 'must not stand beside cron');
    return null;
  }
  if (cron !== undefined) {
    if (anchor !== undefined) faults.add('#/anchor', 'goes with every_ms alone');
    const fault = faultOfCron(cron);
    if (fault !== undefined) faults.add('#/cron', fault);
    const timeZone = timezone ?? 'UTC';
    if (!isTimeZone(timeZone)) {
      faults.add('#/timezone', `${timeZone} is no time zone, such as Europe/Berlin or UTC`);
    }
    return { kind: 'cron', cron, timeZone };
  }
  if (everyMs !== undefined) {
    if (timezone !== undefined) faults.add('#/timezone', 'goes with cron alone');
    return { kind: 'interval', everyMs, anchorMs: anchor === undefined ? 0 : Date.parse(anchor) };
  }
  faults.add('#', 'must have cron or every_ms');
  return null;
}

function readPeriod(
  { starts_at: startsAt, ends_at: endsAt }: ScheduleBody,
  faults: Faults,
): Period {
  const startMs = startsAt == null ? null : Date.parse(startsAt);
  const endMs = endsAt == null ? null : Date.parse(endsAt);
  if (startMs !== null && endMs !== null && endMs < startMs) {
    faults.add('#/ends_at', 'must not be before starts_at');
  }
  return { startMs, endMs };
}

function readSubmitted(
  { task, workflow }: ScheduleBody,
  faults: Faults,
): { readonly kind: 'task' | 'workflow'; readonly text: string } | null {
  const body = task ?? workflow;
  if (body === undefined) {
    faults.add('#', 'must have task or workflow');
    return null;
  }
  if (task !== undefined && workflow !== undefined) {
    faults.add('#/workflow', 'must not stand beside task');
    return null;
  }
  const kind = task === undefined ? 'workflow' : 'task';
  if ('id' in body) faults.add(`#/${kind}/id`, 'is made of the id of the schedule and the time');
  if (task !== undefined && task['run_at'] != null) {
    faults.add('#/task/run_at', 'would be the same for every fire; delay_ms counts from each');
  }
  return { kind, text: JSON.stringify(body) };
}

export function neverFires(spec: ScheduleSpec): AppError {
  const what = spec.timing.kind === 'cron' ? '#/cron' : '#/ends_at';
  return errors.invalid([{ pointer: what, detail: 'has no fire from now on' }]);
}
