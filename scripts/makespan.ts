import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../node/base/clock.ts';
import { checkRun, scheduledTasksOf } from '../node/cli/check-run.ts';
import type { RunCheck } from '../node/cli/check-run.ts';
import { plain } from '../node/cli/terminal.ts';
import { watchUntilEnded } from '../node/cli/watch.ts';
import { watchedWorkflow } from '../node/cli/watched.ts';
import { workflowOfWfFormat } from '../node/cli/wfformat.ts';
import { SkeinClient } from '../node/client/client.ts';
import { criticalPathMs, idealMakespanMs } from '../node/core/ideal-schedule.ts';

/**
 * Runs a recorded workflow on a cluster that is up, checks that every edge was respected, and prints
 * how long it took beside the ideal schedule on as many slots: critical path first, durations known,
 * nothing costs anything; and how often the forecast of its end was right while it ran. Exits with 1 when
 * an edge was violated or a task did not complete.
 */
const HELP = `npx tsx scripts/makespan.ts --file FILE [flags], on a cluster that is up

  --file FILE          a workflow in WfFormat 1.5
  --time-scale FACTOR  multiplies the recorded run times (0.02)
  --url URL            a node; may be repeated (http://127.0.0.1:8080)
  --slots N            slots for the ideal schedule (those of all nodes that are alive)
  --json               one line of JSON`;

interface Figures {
  readonly workflow: string;
  readonly name: string;
  readonly status: string;
  readonly tasks: number;
  readonly edges: number;
  readonly violations: readonly string[];
  readonly notCompleted: RunCheck['notCompleted'];
  readonly slots: number;
  readonly timeScale: number;
  readonly criticalPathMs: number;
  readonly idealMs: number;
  /** First start to last end. */
  readonly makespanMs: number | null;
  /** The workflow's row in the database to the last end. */
  readonly fromSubmitMs: number | null;
  readonly ratio: number | null;
  /** Looks at the forecast of its end while it ran, and how many were right within a fifth. */
  readonly forecasts: number;
  readonly rightForecasts: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      file: { type: 'string' },
      'time-scale': { type: 'string', default: '0.02' },
      url: { type: 'string', multiple: true, default: ['http://127.0.0.1:8080'] },
      slots: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || values.file === undefined) {
    process.stdout.write(`${HELP}\n`);
    return values.help ? 0 : 2;
  }
  const client = new SkeinClient({ urls: values.url });
  const timeScale = Number(values['time-scale']);
  const file: unknown = JSON.parse(await readFile(values.file, 'utf8'));
  const slots = values.slots === undefined ? await slotsOf(client) : Number(values.slots);
  const { id, name } = await client.submitWorkflow(workflowOfWfFormat(file, { timeScale }));
  const forecasts = followForecasts(client, id);
  const { body } = await watchUntilEnded(watchedWorkflow(client, id, name), {
    clock: systemClock,
    stream: process.stderr,
    paint: plain,
    isQuiet: values.json,
  });
  const graph = await client.getWorkflowGraph(id);
  const { lastFinishMs, ...check } = checkRun(graph);
  const tasks = scheduledTasksOf(graph);
  const idealMs = idealMakespanMs(tasks, slots);
  const figures: Figures = {
    workflow: id,
    name,
    status: body.status,
    tasks: check.tasks,
    edges: check.edges,
    violations: check.violations,
    notCompleted: check.notCompleted,
    makespanMs: check.makespanMs,
    slots,
    timeScale,
    criticalPathMs: criticalPathMs(tasks),
    idealMs,
    fromSubmitMs: lastFinishMs === null ? null : lastFinishMs - Date.parse(body.created_at),
    ratio: check.makespanMs === null ? null : check.makespanMs / idealMs,
    ...(await forecasts),
  };
  process.stdout.write(`${values.json ? JSON.stringify(figures) : textOf(figures)}\n`);
  return check.violations.length === 0 && check.notCompleted.length === 0 ? 0 : 1;
}

/** What was left, as it was forecast, beside what turned out to be left: every 50 ms until the end. */
async function followForecasts(
  client: SkeinClient,
  id: string,
): Promise<Pick<Figures, 'forecasts' | 'rightForecasts'>> {
  const looks: { readonly leftMs: number; readonly etaMs: number }[] = [];
  for (;;) {
    const { status, eta, remaining_ms: leftMs, finished_at: ended } = await client.getWorkflow(id);
    if (status === 'RUNNING') {
      if (eta != null && leftMs != null) looks.push({ leftMs, etaMs: Date.parse(eta) });
      await systemClock.sleep(50);
      continue;
    }
    const endMs = Date.parse(ended ?? '');
    const right = looks.filter(({ leftMs, etaMs }) => {
      const wasLeftMs = endMs - (etaMs - leftMs);
      return Math.abs(etaMs - endMs) <= 0.2 * wasLeftMs;
    });
    return { forecasts: looks.length, rightForecasts: right.length };
  }
}

async function slotsOf(client: SkeinClient): Promise<number> {
  const { nodes } = await client.cluster();
  return nodes.filter(({ state }) => state === 'alive').reduce((sum, node) => sum + node.slots, 0);
}

const NAMED_MAX = 10;

function textOf(figures: Figures): string {
  const { violations, notCompleted, ratio, timeScale } = figures;
  const seconds = (ms: number | null): string =>
    ms === null ? '–' : `${(ms / 1000).toFixed(3)} s`;
  return [
    `${figures.name}: ${figures.status}, ${String(figures.tasks)} tasks, ${String(figures.edges)} edges`,
    `time scale      ${String(timeScale)}`,
    `slots           ${String(figures.slots)}`,
    `critical path   ${seconds(figures.criticalPathMs)}`,
    `ideal schedule  ${seconds(figures.idealMs)}`,
    `makespan        ${seconds(figures.makespanMs)} (${seconds(figures.fromSubmitMs)} from submit)`,
    `ratio           ${ratio === null ? '–' : ratio.toFixed(3)}`,
    `forecasts       ${String(figures.rightForecasts)} of ${String(figures.forecasts)} right within 20 %`,
    `violated edges  ${String(violations.length)}`,
    ...violations.slice(0, NAMED_MAX).map((violation) => `  ${violation}`),
    `not completed   ${String(notCompleted.length)}`,
    ...notCompleted.slice(0, NAMED_MAX).map(({ id, status }) => `  ${id} ${status}`),
  ].join('\n');
}

process.exitCode = await main();
