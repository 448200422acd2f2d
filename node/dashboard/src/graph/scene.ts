import type { GraphRow } from '../bodies.ts';
import { layersOf, untangled } from './layers.ts';
import type { Layers } from './layers.ts';

/**
 * What is drawn of a graph, and where. Up to 500 tasks each has a box of its own. Above that, the tasks of
 * one type in one layer are one box with their number and how far they are; a click opens it, and its
 * tasks stand in rows in it. Edges between such boxes are drawn once: thousands of crossing lines say
 * nothing.
 */
export interface Box {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Of a group: all and only the places of its tasks. A task has none. */
  readonly members: readonly number[] | null;
  readonly isOpen: boolean;
  readonly label: string;
  /** The place of a task in the rows; -1 for a group. */
  readonly place: number;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  readonly weight: number;
}

export interface Scene {
  readonly boxes: readonly Box[];
  readonly boxOf: ReadonlyMap<string, Box>;
  readonly edges: readonly Edge[];
  readonly width: number;
  readonly height: number;
  /** The group of each task by its place; null where each is drawn by itself. */
  readonly groupOf: readonly string[] | null;
  /** The side of a task in a closed group. */
  readonly cellPx: number;
}

/** A group before it has a place on the sheet. */
interface Group {
  readonly id: string;
  readonly label: string;
  readonly layer: number;
  readonly members: number[];
}

export const SINGLE_MAX = 500;
const GROUPS_MAX = 120;
const TASK = { height: 30, gap: 8, widthMin: 112, widthMax: 210, beside: 36, letter: 6.4 };
const CELL = { width: 30, height: 16, gap: 4, named: 132 };
/** So many tasks of an open group have room for their names. */
const NAMED_MAX = 60;
export const GROUP = { width: 196, gap: 22, head: 36, pad: 10, inset: 12, foot: 30 };
const BETWEEN = 76;
const PAD = 24;

export function sceneOf(
  rows: readonly GraphRow[],
  opened: ReadonlySet<string>,
  aspect: number,
  nameOf: (id: string) => string = String,
): Scene {
  const layers = layersOf(rows);
  return rows.length <= SINGLE_MAX
    ? singleScene(rows, untangled(layers), { aspect, taskWidth: widthFor(rows, nameOf) })
    : groupScene(rows, layers, opened, aspect);
}

/** Layers far higher than the sheet are folded into columns, as many as let the whole be largest. */
/** As wide as the longest name, within bounds. */
function widthFor(rows: readonly GraphRow[], nameOf: (id: string) => string): number {
  const longest = Math.max(...rows.map(({ id }) => nameOf(id).length), 0);
  return Math.min(TASK.widthMax, Math.max(TASK.widthMin, TASK.beside + longest * TASK.letter));
}

interface Sheet {
  readonly aspect: number;
  readonly taskWidth: number;
}

function singleScene(rows: readonly GraphRow[], layers: Layers, sheet: Sheet): Scene {
  const { taskWidth } = sheet;
  const { high } = FOLDS.map((each) => ({ high: each, scale: scaleAt(layers, each, sheet) }))
    .toSorted((a, b) => b.scale - a.scale)
    .at(0) ?? { high: 16 };
  const boxes: Box[] = [];
  let x = PAD;
  const height = heightOf(layers, high);
  for (const layer of layers.layers) {
    const columns = Math.ceil(layer.length / high);
    const lines = Math.ceil(layer.length / columns);
    layer.forEach((place, at) => {
      const inColumn = Math.min(lines, layer.length - Math.floor(at / lines) * lines);
      const top = (height - inColumn * (TASK.height + TASK.gap) + TASK.gap) / 2;
      boxes.push({
        ...{ id: rows[place]?.id ?? '', members: null, isOpen: false, place },
        ...{ width: taskWidth, height: TASK.height, label: '' },
        x: x + Math.floor(at / lines) * (taskWidth + TASK.gap),
        y: top + (at % lines) * (TASK.height + TASK.gap),
      });
    });
    x += columns * (taskWidth + TASK.gap) - TASK.gap + BETWEEN;
  }
  const boxOf = new Map(boxes.map((box) => [box.id, box]));
  const edges = rows.flatMap(({ id, dependencies }) =>
    [...new Set(dependencies)].flatMap((from) => maybeEdge(boxOf, from, id, 1)),
  );
  return { boxes, boxOf, edges, width: x - BETWEEN + PAD, height, groupOf: null, cellPx: 0 };
}

const FOLDS = [6, 9, 13, 18, 26, 40, 64, 100];

function heightOf({ layers }: Layers, high: number): number {
  const lines = layers.map(({ length }) => Math.ceil(length / Math.ceil(length / high)));
  return Math.max(...lines, 1) * (TASK.height + TASK.gap) - TASK.gap + 2 * PAD;
}

/** How large it can be drawn on a sheet of that shape, folded so. */
function scaleAt(layers: Layers, high: number, { aspect, taskWidth }: Sheet): number {
  const columns = layers.layers.reduce((sum, { length }) => sum + Math.ceil(length / high), 0);
  const width = columns * (taskWidth + TASK.gap) + layers.layers.length * BETWEEN;
  return Math.min(aspect / width, 1 / heightOf(layers, high));
}

function groupScene(
  rows: readonly GraphRow[],
  layers: Layers,
  opened: ReadonlySet<string>,
  aspect: number,
): Scene {
  const groups = groupsOf(rows, layers);
  const groupOf: string[] = [];
  for (const { id, members } of groups) for (const place of members) groupOf[place] = id;
  const columns: Group[][] = [];
  for (const group of groups) (columns[group.layer] ??= []).push(group);
  const cellPx = bestCell(columns, aspect);
  const sizes = new Map(
    groups.map((group) => [group.id, sizeOf(group, opened.has(group.id), cellPx)]),
  );
  const sizeAt = ({ id }: Group): Size => sizes.get(id) ?? sizeOf(groups[0], false, cellPx);
  const heights = columns.map((column) =>
    column.reduce((sum, group) => sum + sizeAt(group).height + GROUP.gap, -GROUP.gap),
  );
  const height = Math.max(...heights, 0) + 2 * PAD;
  const boxes: Box[] = [];
  const tasks: Box[] = [];
  let x = PAD;
  columns.forEach((column, at) => {
    const width = Math.max(...column.map((group) => sizeAt(group).width));
    let y = (height - (heights[at] ?? 0)) / 2;
    for (const group of column) {
      const size = sizeAt(group);
      const box: Box = {
        ...{ id: group.id, label: group.label, members: group.members, place: -1, y },
        ...{ x: x + (width - size.width) / 2, width: size.width, height: size.height },
        isOpen: opened.has(group.id),
      };
      boxes.push(box);
      if (box.isOpen) tasks.push(...cellsOf(rows, box, size));
      y += size.height + GROUP.gap;
    }
    x += width + BETWEEN;
  });
  const boxOf = new Map([...boxes, ...tasks].map((box) => [box.id, box]));
  const edges = groupEdges(rows, layers, groupOf, boxOf);
  const all = [...boxes, ...tasks];
  return { boxes: all, boxOf, edges, width: x - BETWEEN + PAD, height, groupOf, cellPx };
}

/** By layer and type; where that are too many, by layer; and then by several layers together. */
function groupsOf(rows: readonly GraphRow[], { layerOf, layers }: Layers): readonly Group[] {
  const typed = grouped(layerOf, (place, layer) => `${String(layer)} ${rows[place]?.type ?? ''}`);
  if (typed.length <= GROUPS_MAX) {
    return typed.map((group) => ({ ...group, label: rows[group.members[0] ?? 0]?.type ?? '' }));
  }
  const band = Math.ceil(layers.length / (GROUPS_MAX / 2));
  const banded = layerOf.map((layer) => Math.floor(layer / band));
  return grouped(banded, (_place, layer) => `levels ${String(layer)}`).map((group) => {
    const first = group.layer * band + 1;
    const last = Math.min(layers.length, first + band - 1);
    const label = first === last ? `level ${String(first)}` : `${String(first)} – ${String(last)}`;
    return { ...group, label };
  });
}

function grouped(
  layerOf: Int32Array,
  keyOf: (place: number, layer: number) => string,
): readonly Group[] {
  const groups = new Map<string, Group>();
  layerOf.forEach((layer, place) => {
    const key = keyOf(place, layer);
    const id = `group ${key}`;
    const group = groups.get(key) ?? { id, label: '', layer, members: [] };
    groups.set(key, group);
    group.members.push(place);
  });
  return [...groups.values()];
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly cell: number;
}

function sizeOf(group: Group | undefined, isOpen: boolean, cellPx: number): Size {
  const length = group?.members.length ?? 0;
  if (!isOpen) {
    const width = closedWidth(length, cellPx);
    const { lines, step } = cellsIn(length, width, cellPx);
    return { width, height: GROUP.head + lines * step + GROUP.foot, columns: 0, cell: 0 };
  }
  const cell = length <= NAMED_MAX ? CELL.named : CELL.width;
  // About as wide as it is high.
  const ideal = Math.sqrt((length * (CELL.height + CELL.gap)) / (cell + CELL.gap));
  const columns = Math.max(1, Math.min(length, Math.ceil(ideal)));
  const lines = Math.ceil(length / columns);
  const width = columns * (cell + CELL.gap) - CELL.gap + 2 * GROUP.pad;
  return {
    ...{ columns, cell, width: Math.max(GROUP.width, width) },
    height: GROUP.head + lines * (CELL.height + CELL.gap) - CELL.gap + GROUP.pad,
  };
}

/** How the tasks of a closed group are shown in it. */
export function cellsIn(
  length: number,
  width: number,
  cellPx: number,
): { readonly step: number; readonly columns: number; readonly lines: number } {
  const gap = Math.max(1, cellPx * 0.25);
  const step = cellPx + gap;
  const columns = Math.max(1, Math.floor((width - 2 * GROUP.inset + gap) / step));
  return { step, columns, lines: Math.ceil(length / columns) };
}

/** Somewhat wider than high, where it has many tasks. */
function closedWidth(length: number, cellPx: number): number {
  const step = cellPx + Math.max(1, cellPx * 0.25);
  return Math.max(GROUP.width, Math.ceil(Math.sqrt(1.7 * length)) * step + 2 * GROUP.inset);
}

const CELLS_PX = [12, 9.5, 7, 5, 3.5, 2.4, 1.6];

/** The largest with which the sheet, all groups closed, still has the shape of its window. */
function bestCell(columns: readonly (readonly Group[])[], aspect: number): number {
  const room = Math.max(260, (columns.length * (GROUP.width + BETWEEN)) / aspect) - 2 * PAD;
  const fits = CELLS_PX.find((cellPx) =>
    columns.every((column) => {
      const heights = column.map((group) => sizeOf(group, false, cellPx).height + GROUP.gap);
      return heights.reduce((sum, height) => sum + height, 0) <= room;
    }),
  );
  return fits ?? CELLS_PX.at(-1) ?? 1;
}

function cellsOf(
  rows: readonly GraphRow[],
  { x, y, members }: Box,
  { columns, cell }: Size,
): readonly Box[] {
  return (members ?? []).map((place, at) => ({
    ...{ id: rows[place]?.id ?? '', members: null, isOpen: false, label: '', place },
    ...{ width: cell, height: CELL.height },
    x: x + GROUP.pad + (at % columns) * (cell + CELL.gap),
    y: y + GROUP.head + Math.floor(at / columns) * (CELL.height + CELL.gap),
  }));
}

function groupEdges(
  rows: readonly GraphRow[],
  { before }: Layers,
  groupOf: readonly string[],
  boxOf: ReadonlyMap<string, Box>,
): readonly Edge[] {
  const weights = new Map<string, Map<string, number>>();
  rows.forEach((_row, place) => {
    const to = groupOf[place] ?? '';
    for (const dependency of before[place] ?? []) {
      const from = groupOf[dependency] ?? '';
      if (from === to) continue;
      const known = weights.get(from) ?? new Map<string, number>();
      weights.set(from, known);
      known.set(to, (known.get(to) ?? 0) + 1);
    }
  });
  return [...weights].flatMap(([from, tos]) =>
    [...tos].flatMap(([to, weight]) => maybeEdge(boxOf, from, to, weight)),
  );
}

function maybeEdge(
  boxOf: ReadonlyMap<string, Box>,
  from: string,
  to: string,
  weight: number,
): readonly Edge[] {
  const [start, end] = [boxOf.get(from), boxOf.get(to)];
  if (start === undefined || end === undefined || from === to) return [];
  return [{ from, to, weight, path: curve(start, end) }];
}

/** From the right side of one box to the left side of another. */
export function curve(start: Box, end: Box): string {
  const [x1, y1] = [start.x + start.width, start.y + start.height / 2];
  const [x2, y2] = [end.x, end.y + end.height / 2];
  const bend = Math.max(18, Math.min(90, (x2 - x1) / 2));
  const point = (x: number, y: number): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return `M${point(x1, y1)}C${point(x1 + bend, y1)} ${point(x2 - bend, y2)} ${point(x2, y2)}`;
}
