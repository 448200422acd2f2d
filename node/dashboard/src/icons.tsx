import type { JSX } from 'preact';

/** Signs drawn here: no font or file of signs is fetched. Each status has a shape of its own. */
const STATUS_SHAPES: Readonly<Record<string, JSX.Element>> = {
  QUEUED: <circle cx="7" cy="7" r="5.2" class="dashes" />,
  RUNNING: (
    <>
      <circle cx="7" cy="7" r="5.2" class="faint" />
      <path d="M7 1.8A5.2 5.2 0 0 1 12.2 7" class="arc" />
      <circle cx="7" cy="7" r="2" class="solid" />
    </>
  ),
  COMPLETED: (
    <>
      <circle cx="7" cy="7" r="6" class="solid" />
      <path d="m4.2 7.2 2 2 3.6-4.2" class="cut" />
    </>
  ),
  FAILED: (
    <>
      <path d="M4.5 1h5L13 4.5v5L9.5 13h-5L1 9.5v-5z" class="solid" />
      <path d="m4.9 4.9 4.2 4.2m0-4.2L4.9 9.1" class="cut" />
    </>
  ),
  CANCELLED: (
    <>
      <circle cx="7" cy="7" r="5.2" />
      <path d="m3.5 3.5 7 7" />
    </>
  ),
  SKIPPED: (
    <>
      <circle cx="7" cy="7" r="5.2" class="faint" />
      <path d="m4.4 4.6 2.4 2.4-2.4 2.4m3-4.8L9.8 7 7.4 9.4" />
    </>
  ),
  LOST: <path d="m7 1.5 6 10.5H1zM7 5.4v3m0 1.6v.6" />,
  PAUSED: <path d="M4.6 3v8M9.4 3v8" class="thick" />,
  ALIVE: <circle cx="7" cy="7" r="3.6" class="solid" />,
  DRAINING: <path d="M7 1.5v8m-3.4-3L7 10l3.4-3.5M2 12.5h10" />,
};
const OTHERS: Readonly<Record<string, string>> = {
  ELECTED: 'ALIVE',
  RELEASED: 'CANCELLED',
  RESIGNED: 'CANCELLED',
  DEAD: 'LOST',
  DRAINED: 'PAUSED',
  LEFT: 'CANCELLED',
  EXPIRED: 'LOST',
};

export function Sign({
  of,
  size = 14,
}: {
  readonly of: string;
  readonly size?: number;
}): JSX.Element {
  const name = of.toUpperCase();
  const shape = STATUS_SHAPES[name] ?? STATUS_SHAPES[OTHERS[name] ?? ''];
  return (
    <svg
      class={`sign ${name.toLowerCase()}`}
      viewBox="0 0 14 14"
      width={size}
      height={size}
      aria-hidden="true"
    >
      {shape ?? <circle cx="7" cy="7" r="2.6" class="solid" />}
    </svg>
  );
}

const PATHS = {
  overview: 'M2 8.5 5 5l3 3 5.5-6M10 2h3.5v3.5M2 13.5h12',
  workflows: 'M2 3h4v3H2zm8 0h4v3h-4zm0 7h4v3h-4zM6 4.5h4M8 4.5v7h2',
  tasks: 'm2 4 1.2 1.2L5.4 3M2 9l1.2 1.2L5.4 8M8 4.2h6M8 9.2h6M2.4 13.6h2M8 14h6',
  schedules: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 3v3.2l2.4 1.4',
  types: 'M2 2.5h5v5H2zm7 0h5v5H9zm-7 7h5v5H2zm9.5 0 2.5 2.5-2.5 2.5-2.5-2.5z',
  nodes: 'M2 2.5h12v4.5H2zm0 6.5h12v4.5H2zM4.5 4.8h.1M4.5 11.3h.1',
  events: 'M8.5 1.5 3.5 9h4l-.5 5.5L12.5 7h-4z',
  new: 'M8 3v10M3 8h10',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zm3.3 7.8 3.2 3.2',
  close: 'm4 4 8 8m0-8-8 8',
  copy: 'M5.5 5.5h8v8h-8zM10.5 3V2.5h-8v8H3',
  crown: 'm2 12 -.8-7L5 8l3-5 3 5 3.8-3L14 12z',
  open: 'M9 2.5h4.5V7M13.5 2.5 7 9m-2-5.5H2.5v10h10V11',
  alert: 'M8 2 14.5 13.5h-13zM8 6.5v3.2m0 1.8v.2',
  check: 'm3 8.5 3.2 3.2L13 4.5',
  fit: 'M2.5 6V2.5H6m4 0h3.5V6m0 4v3.5H10m-4 0H2.5V10',
  plus: 'M8 3.5v9M3.5 8h9',
  minus: 'M3.5 8h9',
  target: 'M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM8 1v3m0 8v3m7-7h-3M4 8H1',
  route: 'M3 13V7.5a2.5 2.5 0 0 1 5 0v1a2.5 2.5 0 0 0 5 0V3m-2 2 2-2 2 2',
  retry: 'M13 8a5 5 0 1 1-1.7-3.75M13.2 1.8v2.7h-2.7',
  expand: 'M8 2.5v11M4.5 6 8 2.5 11.5 6m-7 4L8 13.5l3.5-3.5',
  pause: 'M5 3v10m6-10v10',
  play: 'M4.5 2.5v11l8.5-5.5z',
  drain: 'M8 2v8m-3.5-3L8 10.5 11.5 7M2.5 13.5h11',
  menu: 'M2 4h12M2 8h12M2 12h12',
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ of }: { readonly of: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[of]} />
    </svg>
  );
}

/** A skein: birds in a line behind the one that leads. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <path d="M3 9.5q6.5 1 13 8.5 6.5-7.5 13-8.5-7 4.5-13 14-6-9.5-13-14z" />
      <path d="M9 4.5q4 .6 7 5 3-4.4 7-5-4 3-7 8-3-5-7-8z" class="far" />
    </svg>
  );
}
