/**
 * Where the tasks of a graph are drawn. A task stands one column after the last of those it depends on;
 * within a column, tasks are put near the middle of their neighbours, by a few sweeps there and back. It is
 * linear in edges for each sweep, and takes tens of milliseconds where the general layouts take seconds.
 */
export interface Node {
  readonly id: string;
  readonly dependencies: readonly string[];
}
export interface Place {
  readonly column: number;
  readonly line: number;
}
export interface Layout {
  readonly places: ReadonlyMap<string, Place>;
  readonly columns: number;
  readonly lines: number;
}

const SWEEPS = 6;
const LINES_MIN = 16;

export function layersOf(nodes: readonly Node[]): Layout {
  const inside = new Map(nodes.map((node) => [node.id, node]));
  const before = new Map<string, readonly string[]>();
  const after = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  for (const { id, dependencies } of nodes) {
    const known = dependencies.filter((each) => inside.has(each));
    before.set(id, known);
    for (const each of known) after.get(each)?.push(id);
  }
  const columnOf = columnsOf(nodes, before, after);
  const columns: string[][] = [];
  for (const { id } of nodes) {
    const column = columnOf.get(id) ?? 0;
    while (columns.length <= column) columns.push([]);
    columns[column]?.push(id);
  }
  const lineOf = new Map<string, number>();
  for (const column of columns) spread(column, lineOf);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isForth = sweep % 2 === 0;
    const neighbours = isForth ? before : after;
    for (const column of isForth ? columns : columns.toReversed()) {
      const middles = new Map(column.map((id) => [id, middleOf(id, neighbours, lineOf)]));
      column.sort((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0));
      spread(column, lineOf);
    }
  }
  return folded(columns, Math.max(LINES_MIN, Math.ceil(Math.sqrt(nodes.length))));
}

/** What stands in one column, beyond so many lines, goes on in columns beside it: no graph is a thread. */
function folded(layers: readonly (readonly string[])[], linesMax: number): Layout {
  const places = new Map<string, Place>();
  let columns = 0;
  let lines = 1;
  for (const layer of layers) {
    const wide = Math.ceil(layer.length / linesMax);
    const high = Math.ceil(layer.length / wide);
    layer.forEach((id, at) => {
      const line = (at % high) - (high - 1) / 2;
      places.set(id, { column: columns + Math.floor(at / high), line });
    });
    columns += wide;
    lines = Math.max(lines, high);
  }
  return { places, columns, lines };
}

/** The longest path to each task, in steps; what lies on a cycle, which is never accepted, stays at 0. */
function columnsOf(
  nodes: readonly Node[],
  before: ReadonlyMap<string, readonly string[]>,
  after: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, number> {
  const columnOf = new Map<string, number>();
  const missing = new Map(nodes.map(({ id }) => [id, before.get(id)?.length ?? 0]));
  const ready = nodes.filter(({ id }) => missing.get(id) === 0).map(({ id }) => id);
  for (const id of ready) {
    const column = columnOf.get(id) ?? 0;
    columnOf.set(id, column);
    for (const next of after.get(id) ?? []) {
      columnOf.set(next, Math.max(columnOf.get(next) ?? 0, column + 1));
      const left = (missing.get(next) ?? 0) - 1;
      missing.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return columnOf;
}

/** Lines count from the middle, so that columns of different heights stand beside each other's middles. */
function spread(column: readonly string[], lineOf: Map<string, number>): void {
  column.forEach((id, at) => lineOf.set(id, at - (column.length - 1) / 2));
}

function middleOf(
  id: string,
  neighbours: ReadonlyMap<string, readonly string[]>,
  lineOf: ReadonlyMap<string, number>,
): number {
  const near = neighbours.get(id) ?? [];
  if (near.length === 0) return lineOf.get(id) ?? 0;
  return near.reduce((sum, each) => sum + (lineOf.get(each) ?? 0), 0) / near.length;
}
