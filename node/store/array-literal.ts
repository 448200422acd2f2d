/**
 * Columns of a batch as PostgreSQL array literals. node-postgres can encode arrays too, at several
 * times the cost: it looks at every element anew, and a bulk submit sends twenty columns.
 */
export function numbers(values: readonly (number | boolean | null)[]): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ',';
    const value = values[i];
    text += value === null ? 'null' : String(value);
  }
  return text + '}';
}

export function texts(values: readonly (string | null)[]): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ',';
    const value = values[i];
    text += value === null || value === undefined ? 'null' : quoted(value);
  }
  return text + '}';
}

const NEEDS_ESCAPE = /["\\]/;

function quoted(value: string): string {
  return NEEDS_ESCAPE.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
}
