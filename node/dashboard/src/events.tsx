import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { EventRow } from './bodies.ts';
import { said, span } from './format.ts';
import { Sign } from './icons.tsx';
import { Ago, Empty, Head, Segments, Waiting, useView } from './parts.tsx';

/** Elections, joins, losses and what was taken back, as sentences. */
const ALL = 'all';

export function Events(): JSX.Element {
  const { view, fault } = useView<EventRow>({ view: 'events' });
  const [shown, setShown] = useState(ALL);
  if (view === null) return <Waiting fault={fault} />;
  const kinds = [...new Set(view.rows.map(({ kind }) => kind))];
  const rows = view.rows.filter(({ kind }) => shown === ALL || kind === shown);
  return (
    <>
      <Head title="Events" note="What has happened to the nodes, newest first.">
        {kinds.length < 2 ? null : (
          <Segments
            label="Kinds of events"
            of={[[ALL, 'All'], ...kinds.map((kind) => [kind, kind] as const)]}
            at={shown}
            onPick={setShown}
          />
        )}
      </Head>
      <section class="card">
        {rows.length === 0 ? (
          <Empty icon="events" title="Nothing has happened yet.">
            Elections, joins, losses and leases that were taken back appear here.
          </Empty>
        ) : (
          <ol class="plain lines events">
            {rows.map((event) => (
              <EventLine key={event.id} event={event} />
            ))}
          </ol>
        )}
      </section>
    </>
  );
}

const SIGNS: Readonly<Record<string, string>> = {
  elected: 'ALIVE',
  joined: 'COMPLETED',
  lost: 'LOST',
  'node-lost': 'LOST',
  reclaimed: 'SKIPPED',
};

export function EventLine({ event }: { readonly event: EventRow }): JSX.Element {
  const { kind, node, term, detail, at } = event;
  return (
    <li>
      <Sign of={SIGNS[kind] ?? kind} />
      <span>
        <b>{node ?? 'The cluster'}</b> {kind.replaceAll('-', ' ')}
        {term === null ? '' : ` in term ${String(term)}`}
        <span class="dim"> {detailOf(detail)}</span>
      </span>
      <Ago at={at} />
    </li>
  );
}

function detailOf(detail: unknown): string {
  if (typeof detail !== 'object' || detail === null) return '';
  return Object.entries(detail)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => {
      const isTime = name.endsWith('_ms') && typeof value === 'number';
      return isTime
        ? `${name.slice(0, -3).replaceAll('_', ' ')} ${span(value)}`
        : `${name.replaceAll('_', ' ')} ${said(value)}`;
    })
    .join(' · ');
}
