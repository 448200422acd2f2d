import type { JSX } from 'preact';
import type { Attempt, TaskBody } from './bodies.ts';
import { exact, said, span, timeOf } from './format.ts';
import { Ago, Status, now } from './parts.tsx';

/** The attempts of a task, each as a bar on one line of time, from its submit to its end or now. */
interface Part {
  readonly key: string;
  readonly name: string;
  readonly outcome: string;
  readonly node: string | null;
  readonly fromMs: number;
  readonly toMs: number;
  readonly error: unknown;
}

export function Attempts({ task }: { readonly task: TaskBody }): JSX.Element {
  const nowMs = task.finished_at === null ? now.value : 0;
  const beginMs = timeOf(task.created_at) ?? 0;
  const parts = partsOf(task, nowMs);
  const endMs = Math.max(timeOf(task.finished_at) ?? nowMs, ...parts.map(({ toMs }) => toMs));
  const wholeMs = Math.max(1, endMs - beginMs);
  const share = (ms: number): string => `${((100 * ms) / wholeMs).toFixed(3)}%`;
  const firstMs = Math.min(endMs, ...parts.map(({ fromMs }) => fromMs));
  return (
    <section class="card" aria-label="Attempts">
      <div class="cardhead">
        <h2>Attempts</h2>
        <small>
          {span(firstMs - beginMs)}{' '}
          {parts.length === 0 ? 'waiting so far' : 'until the first start'}
        </small>
      </div>
      {parts.length === 0 ? <p class="dim">It has not been tried yet.</p> : null}
      <ol class="plain spans">
        {parts.map((part) => (
          <li key={part.key}>
            <span class="who">
              <b>{part.name}</b> <Status of={part.outcome.toUpperCase()} />
              <span class="dim">
                {said(part.node)} · {span(part.toMs - part.fromMs)} ·{' '}
                <Ago at={new Date(part.fromMs).toISOString()} />
              </span>
            </span>
            <span class="track" title={exact(new Date(part.fromMs).toISOString())}>
              <i
                class={part.outcome.toLowerCase()}
                style={{
                  marginLeft: share(part.fromMs - beginMs),
                  width: share(part.toMs - part.fromMs),
                }}
              />
            </span>
            {part.error == null ? null : <code class="error">{errorText(part.error)}</code>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function partsOf(task: TaskBody, nowMs: number): readonly Part[] {
  const parts = task.attempts.map(partOf);
  const isListed = task.attempts.some(({ started_at }) => started_at === task.started_at);
  const startedMs = timeOf(task.started_at);
  // The attempt that runs is not among those that ended.
  if (startedMs !== null && !isListed) {
    const toMs = timeOf(task.finished_at) ?? nowMs;
    parts.push({
      ...{ key: 'now', name: `Attempt ${String(task.attempt)}`, outcome: task.status },
      ...{ node: task.node, fromMs: startedMs, toMs, error: null },
    });
  }
  return parts;
}

function partOf(attempt: Attempt): Part {
  const toMs = timeOf(attempt.finished_at) ?? 0;
  return {
    key: String(attempt.lease_seq),
    name: `Attempt ${String(attempt.attempt)}`,
    outcome: attempt.outcome,
    node: attempt.node,
    fromMs: timeOf(attempt.started_at) ?? toMs,
    toMs,
    error: attempt.error,
  };
}

function errorText(error: unknown): string {
  const { code, message } = (error ?? {}) as {
    readonly code?: unknown;
    readonly message?: unknown;
  };
  return message === undefined ? said(error) : `${said(code)}: ${said(message)}`;
}
