import { z } from 'zod';
import { scheduleSchema } from '../schedule-body.ts';
import { taskSchema, workflowSchema } from '../schemas.ts';
import * as bodies from './bodies.ts';
import { answer, jsonContent, pageOf } from './operation.ts';
import type { Operation } from './operation.ts';
import { cursor, keyed, limit } from './task-operations.ts';

/** The routes of workflows and of schedules. */
/** The parser takes the tasks of a workflow one by one; here they are named as what they are. */
export const workflowBody = workflowSchema.extend({ tasks: z.array(taskSchema).min(1) });
export const scheduleBody = scheduleSchema.extend({
  task: taskSchema.omit({ id: true, run_at: true }).optional(),
  workflow: workflowBody.omit({ id: true }).optional(),
});

const WORKFLOW = {
  id: 'report',
  tasks: [
    { id: 'fetch', type: 'sleep', duration_ms: 300 },
    { id: 'clean', type: 'noop', dependencies: ['fetch'], trigger_rule: 'all_done' },
  ],
};

const WORKFLOWS: readonly Operation[] = [
  {
    route: 'POST /workflows',
    id: 'submitWorkflow',
    tag: 'workflows',
    summary: 'Submit a workflow, all of it or nothing',
    description: 'Ids inside are local names; the global one is `<workflow>/<name>`.',
    headers: keyed,
    body: jsonContent(workflowBody, { report: WORKFLOW }),
    answers: {
      201: {
        ...answer('It is stored.', bodies.acceptedWorkflow, {
          id: 'report',
          name: 'report',
          status: 'RUNNING',
          count: 2,
          ids: ['report/fetch', 'report/clean'],
        }),
        headers: { Location: 'Where it is.' },
      },
    },
    problems: {
      400: 'Bad fields, missing dependencies, a cycle, which is named.',
      409: 'The id exists already.',
    },
  },
  {
    route: 'GET /workflows',
    id: 'listWorkflows',
    tag: 'workflows',
    summary: 'List workflows, newest first',
    query: { limit, cursor },
    answers: { 200: pageOf('A page of workflows.', z.array(bodies.workflow)) },
  },
  {
    route: 'GET /workflows/:id',
    id: 'getWorkflow',
    tag: 'workflows',
    summary: 'Read a workflow, and about when it ends',
    answers: { 200: answer('The workflow.', bodies.workflow) },
  },
  {
    route: 'GET /workflows/:id/graph',
    id: 'getWorkflowGraph',
    tag: 'workflows',
    summary: 'Its tasks and their dependencies',
    answers: { 200: answer('The graph.', bodies.graph) },
    problems: { 413: 'It has more than 50,000 tasks.' },
  },
  {
    route: 'POST /workflows/:id/cancel',
    id: 'cancelWorkflow',
    tag: 'workflows',
    summary: 'Ask to cancel all that has not ended in it',
    answers: { 202: answer('The leader will do it.', bodies.asked) },
    problems: { 409: 'It has ended.' },
  },
  {
    route: 'POST /workflows/:id/retry',
    id: 'retryWorkflow',
    tag: 'workflows',
    summary: 'Ask to run again what did not complete in it',
    answers: { 202: answer('The leader will do it.', bodies.asked) },
    problems: { 409: 'Nothing in it ended as FAILED, CANCELLED or SKIPPED.' },
  },
];

const NIGHTLY = {
  cron: '30 2 * * *',
  timezone: 'Europe/Berlin',
  task: { type: 'noop', tags: ['nightly'] },
};

const SCHEDULES: readonly Operation[] = [
  {
    route: 'GET /schedules',
    id: 'listSchedules',
    tag: 'schedules',
    summary: 'List schedules, newest first',
    query: { limit, cursor },
    answers: { 200: pageOf('A page of schedules.', z.array(bodies.schedule)) },
  },
  {
    route: 'PUT /schedules/:id',
    id: 'putSchedule',
    tag: 'schedules',
    summary: 'Store a schedule, or put it in the place of another',
    body: jsonContent(scheduleBody, { nightly: NIGHTLY }),
    answers: {
      200: answer('It replaces the one before.', bodies.schedule),
      201: {
        ...answer('It is new.', bodies.schedule),
        headers: { Location: 'Where it is.' },
      },
    },
  },
  {
    route: 'GET /schedules/:id',
    id: 'getSchedule',
    tag: 'schedules',
    summary: 'Read a schedule, with its next five fires',
    answers: { 200: answer('The schedule.', bodies.schedule) },
  },
  {
    route: 'DELETE /schedules/:id',
    id: 'deleteSchedule',
    tag: 'schedules',
    summary: 'Delete a schedule; its runs stay',
    answers: { 200: answer('It is gone.', bodies.deleted, { id: 'nightly', deleted: true }) },
  },
  {
    route: 'POST /schedules/:id/pause',
    id: 'pauseSchedule',
    tag: 'schedules',
    summary: 'Hold its fires back',
    answers: { 200: answer('The schedule.', bodies.schedule) },
  },
  {
    route: 'POST /schedules/:id/resume',
    id: 'resumeSchedule',
    tag: 'schedules',
    summary: 'Let it fire again',
    answers: { 200: answer('The schedule.', bodies.schedule) },
  },
  {
    route: 'POST /schedules/:id/run',
    id: 'runSchedule',
    tag: 'schedules',
    summary: 'Run it now, whatever `overlap` says',
    query: {
      at: {
        description: 'The fire that it stands for; this instant unless given.',
        schema: z.iso.datetime({ offset: true }),
        example: '2026-01-31T02:30:00Z',
      },
    },
    answers: {
      201: {
        ...answer('The run is stored.', bodies.acceptedRun),
        headers: { Location: 'Where it is.' },
      },
    },
    problems: { 409: 'That fire has run, or a dependency is gone.' },
  },
];

export const graphOperations: readonly Operation[] = [...WORKFLOWS, ...SCHEDULES];
