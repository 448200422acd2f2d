import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { pathOf } from './api.ts';
import type { NodeRow } from './bodies.ts';
import { Change } from './change.tsx';
import { plural, shortSpan } from './format.ts';
import { Icon } from './icons.tsx';
import { Lane } from './lane.tsx';
import { typeFill } from './palette.ts';
import { Ago, Empty, Head, Segments, Status, Waiting, now, useView } from './parts.tsx';
import { TaskStream } from './stream.ts';
import type { Told } from './stream.ts';
import { Chips } from './task.tsx';

/** The nodes, each with what runs on it as a stream over time. */
const WINDOWS = [
  ['30000', '30 s'],
  ['120000', '2 min'],
  ['600000', '10 min'],
] as const;
const TYPES_SHOWN = 10;

export function Nodes(): JSX.Element {
  const { view, fault } = useView<NodeRow>({ view: 'nodes' });
  const stream = useMemo(() => new TaskStream(), []);
  const [windowMs, setWindowMs] = useState<(typeof WINDOWS)[number][0]>('30000');
  useStream(stream, view?.fields ?? null);
  if (view === null) return <Waiting fault={fault} />;
  const alive = view.rows.filter(({ state }) => state === 'alive');
  const slots = alive.reduce((sum, node) => sum + node.slots, 0);
  const types = stream.types().slice(0, TYPES_SHOWN);
  return (
    <div class="stack">
      <Head
        title="Nodes"
        note={`${plural(alive.length, 'node')} alive, ${plural(slots, 'slot')} in all`}
      >
        <Segments label="Window" of={WINDOWS} at={windowMs} onPick={setWindowMs} />
      </Head>
      {types.length === 0 ? null : (
        <p class="typelegend" aria-label="Types">
          {types.map((type) => (
            <span key={type}>
              <i style={{ background: typeFill(type) }} aria-hidden="true" />
              {type}
            </span>
          ))}
        </p>
      )}
      {view.rows.map((node) => (
        <Node key={node.id} node={node} stream={stream} windowMs={Number(windowMs)} />
      ))}
      {view.rows.length === 0 ? <Empty icon="nodes" title="No node is known." /> : null}
    </div>
  );
}

/** A field stays as it was until it is told anew: each is taken once. */
function useStream(stream: TaskStream, fields: Readonly<Record<string, unknown>> | null): void {
  const take = (told: unknown): void => {
    stream.takeEnded((told ?? []) as readonly Told[], Date.now());
  };
  useMemo(() => take(fields?.['recent']), [fields?.['recent']]);
  useMemo(() => take(fields?.['ended']), [fields?.['ended']]);
  useMemo(() => {
    if (fields !== null) stream.takeRunning(fields['running'] as readonly Told[], Date.now());
  }, [fields?.['running']]);
}

function Node(props: {
  readonly node: NodeRow;
  readonly stream: TaskStream;
  readonly windowMs: number;
}): JSX.Element {
  const { node, stream, windowMs } = props;
  const silentMs = now.value - Date.parse(node.last_heartbeat_at);
  const labels = Object.entries(node.labels).map((pair) => pair.join('='));
  return (
    <section class={`card nodecard ${node.state}`} aria-label={node.name}>
      <div class="cardhead">
        <div class="who">
          <h2>
            {node.is_leader ? (
              <span class="leads" title="It leads the cluster">
                <Icon of="crown" />
                <span class="unseen">leader </span>
              </span>
            ) : null}
            {node.name}
          </h2>
          <Status of={node.state} />
          <span class="dim" title={node.last_heartbeat_at}>
            {silentMs < 2500 ? 'heard now' : `silent for ${shortSpan(silentMs)}`}
          </span>
          <span class="dim">
            up since <Ago at={node.started_at} /> · process {node.pid} · {node.version}
          </span>
        </div>
        <div class="actions">
          <span class="used">
            <b>{node.running}</b> of {plural(node.slots, 'slot')}
          </span>
          <meter min={0} max={Math.max(1, node.slots)} value={Math.min(node.slots, node.running)}>
            {node.running}
          </meter>
          <Drain node={node} />
        </div>
      </div>
      <Lane node={node} stream={stream} windowMs={windowMs} />
      <div class="chips">
        {labels.length === 0 ? null : <Chips of={labels} />}
        <Chips of={node.types} />
      </div>
    </section>
  );
}

/** A drained node goes on to answer, and can be taken back. */
function Drain({ node }: { readonly node: NodeRow }): JSX.Element | null {
  const { name, state } = node;
  if (state === 'alive') {
    return (
      <Change
        key="drain"
        label="Drain"
        icon="drain"
        path={pathOf('nodes', name, 'drain')}
        done=""
        question={`Drain ${name}?`}
        detail="It takes no new tasks, and finishes or hands back what runs. It goes on to answer."
      />
    );
  }
  if (state !== 'draining' && state !== 'drained') return null;
  return (
    <Change
      key="undrain"
      label="Take back"
      icon="play"
      path={pathOf('nodes', name, 'undrain')}
      done=""
    />
  );
}
