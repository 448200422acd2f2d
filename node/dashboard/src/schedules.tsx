import type { JSX } from 'preact';
import { pathOf } from './api.ts';
import type { ScheduleBody } from './bodies.ts';
import { Change } from './change.tsx';
import { count, exact, said, span } from './format.ts';
import { Icon } from './icons.tsx';
import { Ago, Empty, Head, Status, Waiting, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** What is submitted by the clock: when next, what came of it last, and what stands in the way. */
export function Schedules(): JSX.Element {
  const { view, fault } = useView<ScheduleBody>({ view: 'schedules' });
  if (view === null) return <Waiting fault={fault} />;
  const { rows } = view;
  return (
    <>
      <Head
        title="Schedules"
        note="Tasks and workflows that are submitted by cron, or at intervals."
      />
      {rows.length === 0 ? (
        <div class="card">
          <Empty icon="schedules" title="Nothing is scheduled.">
            Store one with <code>npx skein schedule put ID FILE</code> or{' '}
            <code>PUT /schedules/ID</code>, such as{' '}
            <code>{'{"cron":"0 3 * * *","task":{"type":"report"}}'}</code>
          </Empty>
        </div>
      ) : (
        <div class="stack">
          {rows.map((schedule) => (
            <Schedule key={schedule.id} schedule={schedule} />
          ))}
        </div>
      )}
    </>
  );
}

function Schedule({ schedule }: { readonly schedule: ScheduleBody }): JSX.Element {
  const { id, paused, problem } = schedule;
  return (
    <section class={`card schedule ${problem === null ? '' : 'bad'}`} aria-label={id}>
      <div class="cardhead">
        <div>
          <h2>{id}</h2>
          <span class="dim">
            <code>{rhythmOf(schedule)}</code> {schedule.timezone ?? ''} · {submitted(schedule)} ·
            overlap: {schedule.overlap} · catch up: {schedule.catch_up}
          </span>
        </div>
        <div class="actions">
          <Change
            label="Run now"
            icon="play"
            path={pathOf('schedules', id, 'run')}
            done="submitted"
          />
          <Change
            key={String(paused)}
            label={paused ? 'Resume' : 'Pause'}
            icon={paused ? 'play' : 'pause'}
            path={pathOf('schedules', id, paused ? 'resume' : 'pause')}
            done=""
          />
        </div>
      </div>
      {problem === null ? null : (
        <p class="told">
          <Icon of="alert" /> Its last fire could not submit: {problemText(problem)}
        </p>
      )}
      <Fires schedule={schedule} />
    </section>
  );
}

function Fires({ schedule }: { readonly schedule: ScheduleBody }): JSX.Element {
  const { paused, last_run: lastRun, counts } = schedule;
  const view = schedule.workflow === undefined ? 'task' : 'workflow';
  return (
    <div class="fires">
      {paused ? (
        <Status of="PAUSED" />
      ) : (
        <ol class="plain">
          {schedule.next_fires.map((at, place) => (
            <li key={at} class={place === 0 ? 'next' : ''} title={exact(at)}>
              {place === 0 ? 'next ' : ''}
              <Ago at={at} />
            </li>
          ))}
        </ol>
      )}
      <span>
        {lastRun === null ? (
          <span class="dim">It has not fired yet.</span>
        ) : (
          <>
            last run <a href={linkTo(view, lastRun.id)}>{lastRun.id}</a>{' '}
            {lastRun.status === null ? null : <Status of={lastRun.status} />}
          </>
        )}
      </span>
      <span class="dim">
        {count(counts.fired)} fired · {count(counts.skipped)} skipped · {count(counts.missed)}{' '}
        missed
      </span>
    </div>
  );
}

function rhythmOf({ cron, every_ms: everyMs }: ScheduleBody): string {
  return cron ?? `every ${span(everyMs ?? 0)}`;
}

function submitted({ task, workflow }: ScheduleBody): string {
  if (workflow === undefined) return `a task of type ${said(task?.['type'])}`;
  const tasks = workflow['tasks'];
  return `a workflow of ${String(Array.isArray(tasks) ? tasks.length : 0)} tasks`;
}

function problemText(problem: Readonly<Record<string, unknown>>): string {
  return said(problem['detail'] ?? problem['message'] ?? problem);
}
