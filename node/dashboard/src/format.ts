/** Numbers, times and values as the page writes them. */
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time in at most two units: `840 ms`, `2.4 s`, `1 min 12 s`, `3 h 5 min`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < SECOND) return `${String(Math.max(0, Math.round(ms)))} ms`;
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${String(Math.round(ms / SECOND))} s`;
  if (ms < HOUR) return pair(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return pair(ms, HOUR, 'h', MINUTE, 'min');
  return pair(ms, DAY, 'd', HOUR, 'h');
}

function pair(ms: number, large: number, name: string, small: number, lesser: string): string {
  const rest = Math.floor((ms % large) / small);
  const head = `${String(Math.floor(ms / large))} ${name}`;
  return rest === 0 ? head : `${head} ${String(rest)} ${lesser}`;
}

/** Narrow: for where it changes all the time, one unit is enough. */
export function shortSpan(ms: number): string {
  if (ms < MINUTE) return ms < SECOND ? span(ms) : `${String(Math.round(ms / SECOND))} s`;
  if (ms < HOUR) return `${String(Math.floor(ms / MINUTE))} min`;
  return ms < DAY ? `${String(Math.floor(ms / HOUR))} h` : `${String(Math.floor(ms / DAY))} d`;
}

export function count(value: unknown): string {
  return Number(value ?? 0).toLocaleString('en');
}

/** For rates and axes: `12.4k`, `3.1M`. */
export function compact(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en');
  return value.toFixed(1);
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Any value as the text that a cell shows. */
export function said(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : JSON.stringify(value);
}

/** Milliseconds since 1970; null for what is no time. */
export function timeOf(at: unknown): number | null {
  const ms = typeof at === 'string' ? Date.parse(at) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** The exact time, for who hovers: in the zone of the reader, and in that of the cluster. */
export function exact(at: string): string {
  return `${new Date(at).toLocaleString()} (${at})`;
}

/** The last part of an id, which is what tells the tasks of one workflow apart. */
export function nameIn(workflow: string | null, id: string): string {
  return workflow !== null && id.startsWith(`${workflow}/`) ? id.slice(workflow.length + 1) : id;
}
