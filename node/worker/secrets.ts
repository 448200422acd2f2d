import type { RunReportsPort } from './ports.ts';

/**
 * Secrets of a payload: an object `{"secretRef": "NAME"}` stands for a text that only the node knows on
 * which the task runs. It is put in its place as the handler begins, and never stored: wherever the run
 * says the text again (its log, its progress, its error, its result), `***` is stored instead.
 *
 * What it does not promise: to know a secret again that the handler has changed, cut in pieces, or sent
 * elsewhere.
 */
export interface SecretsPort {
  /** Undefined where this node has none of that name, or is not to give it. */
  read(name: string): string | undefined;
}

export interface Unsealed {
  /** The payload with the secrets in it, JSON. */
  readonly payload: string;
  /** The text without the secrets. */
  readonly mask: Mask;
}

export type Mask = (text: string) => string;

export const MASKED = '***';
/** A text so short would be masked wherever it happens to stand, and is no secret. */
const LENGTH_MIN = 4;

export class SecretError extends Error {
  readonly code = 'secret_unavailable';
}

/** Whether a payload, as JSON, may name a secret at all. */
export function mayHaveSecrets(payload: string | null): payload is string {
  return payload?.includes('"secretRef"') === true;
}

/** Throws a SecretError for a name that this node has no secret for. */
export function unsealed(payload: string, secrets: SecretsPort | undefined): Unsealed {
  const values = new Set<string>();
  const value: unknown = JSON.parse(payload, (_key, inner: unknown) => {
    const name = nameOf(inner);
    if (name === undefined) return inner;
    const secret = secrets?.read(name);
    if (secret === undefined) throw new SecretError(`this node has no secret ${name}`);
    values.add(secret);
    return secret;
  });
  return { payload: JSON.stringify(value), mask: maskOf(values) };
}

function nameOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  const [entry] = entries;
  if (entries.length !== 1 || entry?.[0] !== 'secretRef') return undefined;
  return typeof entry[1] === 'string' ? entry[1] : undefined;
}

/** Masks the texts as they are, and as JSON and URLs write them. */
function maskOf(values: ReadonlySet<string>): Mask {
  const forms = new Set<string>();
  for (const value of values) {
    if (value.length < LENGTH_MIN) continue;
    const quoted = JSON.stringify(value).slice(1, -1);
    for (const form of [value, quoted, JSON.stringify(quoted).slice(1, -1)]) forms.add(form);
    for (const form of [encodeURI(value), encodeURIComponent(value)]) forms.add(form);
  }
  // The longest first: a secret may be a part of another.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((masked, form) => masked.replaceAll(form, MASKED), text);
}

/** What a run says of itself, without its secrets. */
export function maskedReports(reports: RunReportsPort, mask: Mask): RunReportsPort {
  return {
    lines: (run, lines) => {
      const masked = lines.map((line) => ({
        ...line,
        message: mask(line.message),
        fields: line.fields === null ? null : mask(line.fields),
      }));
      reports.lines(run, masked);
    },
    progress: (run, fraction, note) => {
      reports.progress(run, fraction, note === null ? null : mask(note));
    },
  };
}
