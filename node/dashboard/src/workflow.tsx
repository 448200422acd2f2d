import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { call, pathOf } from './api.ts';
import type { GraphRow, NodeRow, WorkflowBody } from './bodies.ts';
import { Change } from './change.tsx';
import { nameIn, plural, span, timeOf } from './format.ts';
import { Graph } from './graph/graph.tsx';
import { layersOf, shapeOf } from './graph/layers.ts';
import { planOf } from './graph/plan.ts';
import { Timeline } from './graph/timeline.tsx';
import { Icon } from './icons.tsx';
import { useKeys } from './keys.ts';
import { Bar, Empty, Head, Segments, Status, Tally, Waiting, now, useView } from './parts.tsx';
import { goTo, linkTo, route } from './route.ts';
import { TaskPanel } from './task-panel.tsx';

/** One workflow: how far it is, when it ends, and its tasks as a graph or over time. */
type Shape = 'graph' | 'timeline';
const SHAPES = [
  ['graph', 'Graph'],
  ['timeline', 'Timeline'],
] as const;

export function Workflow({ id }: { readonly id: string }): JSX.Element {
  const { view, fault } = useView<GraphRow>({ view: 'workflow', id });
  const [isCriticalShown, setCriticalShown] = useState(true);
  const slots = useSlots();
  const { shape, chosen, show } = useShape(id);
  const isRunning = view?.fields['status'] === 'RUNNING';
  const rowsNow = view?.rows ?? NO_ROWS;
  const form = shapeOf(rowsNow);
  const layers = useMemo(() => layersOf(rowsNow), [form]);
  // Planned once a second while it runs, and not with each of the deltas that come meanwhile.
  const plan = useMemo(
    () => planOf(rowsNow, layers, { nowMs: Date.now(), slots }),
    [layers, slots, isRunning ? now.value : rowsNow],
  );
  if (view === null) return <Waiting fault={fault} />;
  const workflow = view.fields as unknown as WorkflowBody;
  const { rows } = view;
  const nameOf = (task: string): string => nameIn(id, task);
  const choose = (task: string | null): void => show(shape, task);
  const isShown = view.fields['is_graph_shown'] === true;
  return (
    <div class="fill workflow">
      <Top workflow={workflow} />
      <div class="actions bar-of-tools">
        <Segments label="Drawn as" of={SHAPES} at={shape} onPick={(as) => show(as, chosen)} />
        <label class="check">
          <input
            type="checkbox"
            checked={isCriticalShown}
            onChange={() => setCriticalShown(!isCriticalShown)}
          />
          <Icon of="route" /> Critical path
          <span class="dim">
            {plural(plan.critical.size, 'task')}, {span(plan.criticalMs)}
          </span>
        </label>
        <a class="button quiet" href={linkTo('tasks', '', { workflow: id })}>
          <Icon of="tasks" /> Its tasks as a list
        </a>
      </div>
      {isShown ? (
        <div class={`drawing ${chosen === null ? '' : 'beside'}`}>
          {shape === 'graph' ? (
            <Graph
              {...{ rows, chosen, nameOf }}
              critical={isCriticalShown ? plan.critical : NONE}
              onChoose={choose}
            />
          ) : (
            <Timeline
              {...{ rows, plan, chosen, nameOf, isCriticalShown }}
              nowMs={now.value}
              isLive={isRunning}
              onChoose={choose}
            />
          )}
          {chosen === null ? null : (
            <TaskPanel key={chosen} id={chosen} rows={rows} nameOf={nameOf} onChoose={choose} />
          )}
        </div>
      ) : (
        <TooLarge id={id} />
      )}
    </div>
  );
}

/** What is drawn, and which task is beside it: both stand in the address. */
function useShape(id: string): {
  readonly shape: Shape;
  readonly chosen: string | null;
  readonly show: (as: Shape, task: string | null) => void;
} {
  const shape: Shape = route.value.query.get('as') === 'timeline' ? 'timeline' : 'graph';
  const chosen = route.value.query.get('task');
  const show = (as: Shape, task: string | null): void => {
    goTo(linkTo('workflow', id, { as: as === 'graph' ? '' : as, task: task ?? '' }));
  };
  useKeys({
    '[': () => show('graph', chosen),
    ']': () => show('timeline', chosen),
    Escape: () => chosen !== null && show(shape, null),
  });
  return { shape, chosen, show };
}

const NO_ROWS: readonly GraphRow[] = [];
const NONE: ReadonlySet<number> = new Set();

function TooLarge({ id }: { readonly id: string }): JSX.Element {
  return (
    <div class="card">
      <Empty icon="workflows" title="It has more than 5,000 tasks, and is not drawn.">
        Its bar follows it, and <a href={linkTo('tasks', '', { workflow: id })}>its tasks</a> are
        listed.
      </Empty>
    </div>
  );
}

/** Of all nodes that live: what a guess of the rest of the workflow goes by. */
function useSlots(): number {
  const { view } = useView<NodeRow>({ view: 'overview' });
  const alive = view?.rows.filter(({ state }) => state === 'alive') ?? [];
  return alive.reduce((sum, node) => sum + node.slots, 0);
}

function Top({ workflow }: { readonly workflow: WorkflowBody }): JSX.Element {
  const { id, name, status, counts } = workflow;
  const isRunning = status === 'RUNNING';
  const beganMs = timeOf(workflow.created_at) ?? now.value;
  const tookMs = (timeOf(workflow.finished_at) ?? now.value) - beganMs;
  const eta = useEta(id, isRunning);
  const left = eta === null ? null : Math.max(0, eta - now.value);
  const isUnwell = ['FAILED', 'CANCELLED', 'SKIPPED'].some((each) => (counts[each] ?? 0) > 0);
  return (
    <>
      <Head
        title={name}
        note={
          <span class="facts-line">
            <Status of={status} />
            <span>{isRunning ? `for ${span(tookMs)}` : `took ${span(tookMs)}`}</span>
            {left === null ? null : (
              <span>
                about <b>{span(left)}</b> left
              </span>
            )}
            <span class="dim">{id === name ? '' : id}</span>
          </span>
        }
      >
        {isUnwell && !isRunning ? (
          <Change
            label="Retry what did not complete"
            icon="retry"
            path={pathOf('workflows', id, 'retry')}
            done="its retry is accepted"
          />
        ) : null}
        {isRunning ? (
          <Change
            label="Cancel"
            icon="close"
            path={pathOf('workflows', id, 'cancel')}
            done="its cancel is accepted"
            question="Cancel this workflow?"
            detail="What runs is stopped, what waits does not start."
          />
        ) : null}
      </Head>
      <div class="sum">
        <Bar counts={counts} />
        <Tally counts={counts} />
      </div>
    </>
  );
}

const ETA_MS = 3000;

/** When it ends, about; null where nobody knows. */
function useEta(id: string, isRunning: boolean): number | null {
  const [eta, setEta] = useState<number | null>(null);
  useEffect(() => {
    setEta(null);
    if (!isRunning) return undefined;
    let timer: number | undefined;
    const state = { isGone: false };
    const look = async (): Promise<void> => {
      if (document.visibilityState === 'visible') {
        // What cannot be asked now is asked again; without an answer nothing is promised.
        const found = await call('GET', pathOf('workflows', id)).catch(() => null);
        if (!state.isGone) setEta(timeOf((found as WorkflowBody | null)?.eta));
      }
      if (!state.isGone) timer = window.setTimeout(() => void look(), ETA_MS);
    };
    void look();
    return () => {
      state.isGone = true;
      clearTimeout(timer);
    };
  }, [id, isRunning]);
  return eta;
}
