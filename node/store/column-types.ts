import pg, { type CustomTypesConfig } from 'pg';

/** The columns that are read otherwise than node-postgres would, by their number in pg_type. */
const OID = { int8: 20, json: 114, int2Array: 1005, int4Array: 1007, int8Array: 1016, jsonb: 3802 };
const NUMBER_ARRAYS: ReadonlySet<number> = new Set([OID.int2Array, OID.int4Array, OID.int8Array]);

const parserOf = pg.types.getTypeParser as (
  oid: number,
  format: 'text' | 'binary' | undefined,
) => (text: string) => unknown;

/**
 * A bigint is read as a safe integer (base/ids.ts), arrays of numbers without the driver's general
 * parser, a JSON column as its text: it is passed on, not looked into. Everything else as
 * node-postgres does: timestamps as Date, text[] as an array.
 */
export const COLUMN_TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number, format: 'text' | 'binary' | undefined) => {
    if (format !== 'binary') {
      if (oid === OID.int8) return safeInteger;
      if (NUMBER_ARRAYS.has(oid)) return safeIntegers;
      if (oid === OID.json || oid === OID.jsonb) return (text: string) => text;
    }
    return parserOf(oid, format);
  }) as CustomTypesConfig['getTypeParser'],
};

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`${text} is not a safe integer`);
  return value;
}

function safeIntegers(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(safeInteger);
}
