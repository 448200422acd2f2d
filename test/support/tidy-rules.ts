import path from 'node:path';
import ts from 'typescript';

/**
 * The rules of the house as functions over files, so that each can be seen to fail on a sample:
 * `files` holds the text of every file by its path from the top of the checkout.
 */
export type Files = ReadonlyMap<string, string>;
export type Rule = (files: Files) => readonly string[];

/** Imports go down only. Folders of one floor do not see each other. */
const FLOOR: Readonly<Record<string, number>> = {
  base: 0,
  core: 1,
  store: 2,
  calendar: 2,
  rpc: 2,
  observe: 2,
  cluster: 3,
  leader: 3,
  worker: 3,
  api: 4,
  dashboard: 4,
  cli: 4,
  client: 4,
};
const ROOT_FLOOR = 5;

/** Where each third-party package may be named; `.` stands for the files of the root floor. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  pg: ['store'],
  'node-pg-migrate': ['store'],
  '@grpc/grpc-js': ['rpc'],
  '@grpc/proto-loader': ['rpc'],
  'grpc-health-check': ['rpc'],
  croner: ['calendar'],
  express: ['api'],
  ws: ['api', 'client'],
  winston: ['observe'],
  'prom-client': ['observe'],
  commander: ['cli'],
  undici: ['handlers'],
  'ipaddr.js': ['handlers'],
  esbuild: ['worker'],
  zod: ['api', 'cli', '.'],
  preact: ['dashboard'],
  '@preact/signals': ['dashboard'],
  uplot: ['dashboard'],
};

/** What core and the roles take from the Clock and the Rng they are given. */
const CLOCKS_AND_CHANCE = [
  'Date.now',
  'Math.random',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'randomUUID',
];

const LINES_MAX = 400;
/** Prettier keeps code to 100; this is for what it leaves alone, comments and texts. */
const WIDTH_MAX = 110;

const isCode = (file: string): boolean => /\.(ts|tsx|mjs)$/.test(file);
const isGenerated = (file: string): boolean => file.includes('/generated/');

/** `node/store/pipeline.ts` → `store`; `.` for files of the root floor, undefined outside node/. */
function folderOf(file: string): string | undefined {
  const parts = file.split('/');
  if (parts[0] !== 'node') return undefined;
  return parts.length === 2 ? '.' : parts[1];
}

interface Import {
  readonly from: string;
  /** A file of ours by its path, or a package by its name. */
  readonly to: string;
  readonly isOurs: boolean;
}

function importsOf(files: Files): readonly Import[] {
  const all: Import[] = [];
  for (const [from, text] of files) {
    if (!isCode(from)) continue;
    for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
      const isOurs = fileName.startsWith('.');
      const to = isOurs ? path.posix.join(path.posix.dirname(from), fileName) : packageOf(fileName);
      all.push({ from, to, isOurs });
    }
  }
  return all;
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

export const importsGoDown: Rule = (files) =>
  importsOf(files).flatMap(({ from, to, isOurs }) => {
    const source = folderOf(from);
    if (!isOurs || source === undefined) return [];
    const target = folderOf(to);
    if (target === undefined) return [`${from} imports ${to}, outside node/`];
    if (source === 'handlers') {
      const isSeam = to === 'node/core/handler.ts' || target === 'handlers';
      return isSeam ? [] : [`${from} imports ${to}: a handler sees only node/core/handler.ts`];
    }
    if (target === 'handlers' && source !== '.') {
      return [`${from} imports ${to}: only the root knows the handlers`];
    }
    if (source === target || target === 'handlers') return [];
    const height = source === '.' ? ROOT_FLOOR : FLOOR[source];
    const depth = target === '.' ? ROOT_FLOOR : FLOOR[target];
    if (height === undefined) return [`${from} is in a folder that has no floor`];
    if (depth === undefined) return [`${to} is in a folder that has no floor`];
    if (depth < height) return [];
    const way = depth === height ? 'sideways' : 'up';
    return [`${from} imports ${to}, ${way}`];
  });

export const noCycles: Rule = (files) => {
  const targets = new Map<string, string[]>();
  for (const { from, to, isOurs } of importsOf(files)) {
    if (isOurs && files.has(to)) targets.set(from, [...(targets.get(from) ?? []), to]);
  }
  const faults: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) {
      faults.push(`a cycle: ${[...trail.slice(start), file].join(' → ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of files.keys()) visit(file, []);
  return faults;
};

export const packagesStayHome: Rule = (files) =>
  importsOf(files).flatMap(({ from, to, isOurs }) => {
    const folder = folderOf(from);
    if (isOurs || folder === undefined || to.startsWith('node:')) return [];
    const homes = HOMES[to];
    if (homes === undefined) return [`${from} imports ${to}, a package without a home`];
    return homes.includes(folder)
      ? []
      : [`${from} imports ${to}, which belongs in ${homes.join()}`];
  });

export const coreIsPure: Rule = (files) =>
  importsOf(files).flatMap(({ from, to, isOurs }) =>
    folderOf(from) === 'core' && !isOurs ? [`${from} imports ${to}: core is pure`] : [],
  );

export const timeComesIn: Rule = (files) => {
  const faults: string[] = [];
  for (const [file, text] of files) {
    const floor = FLOOR[folderOf(file) ?? ''];
    if (!isCode(file) || (floor !== 1 && floor !== 3)) continue;
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      const word = clockOrChance(node);
      if (word !== undefined) faults.push(`${at(source, node)} uses ${word}, not the Clock or Rng`);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return faults;
};

function clockOrChance(node: ts.Node): string | undefined {
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
    return (node.arguments?.length ?? 0) === 0 ? 'new Date()' : undefined;
  }
  if (ts.isPropertyAccessExpression(node)) {
    return CLOCKS_AND_CHANCE.find((word) => node.getText() === word);
  }
  if (!ts.isIdentifier(node)) return undefined;
  const { parent } = node;
  // `clock.setTimeout` and `{ setTimeout: … }` are somebody's own.
  const isOwn =
    (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) &&
    parent.name === node;
  return isOwn ? undefined : CLOCKS_AND_CHANCE.find((word) => node.text === word);
}

function at(source: ts.SourceFile, node: ts.Node): string {
  const { line } = source.getLineAndCharacterOfPosition(node.getStart());
  return `${source.fileName}:${String(line + 1)}`;
}

/** One regular expression over every line of every file that people write. */
function noLine(pattern: RegExp, what: string, applies: (file: string) => boolean): Rule {
  return (files) =>
    [...files].flatMap(([file, text]) =>
      isGenerated(file) || !applies(file)
        ? []
        : text
            .split('\n')
            .flatMap((line, i) => (pattern.test(line) ? [`${file}:${String(i + 1)} ${what}`] : [])),
    );
}

// Written apart, so that this file does not break its own rules.
const UNFINISHED = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|');
const SILENCED = ['eslint' + '-disable', '@ts' + '-ignore', '@ts' + '-nocheck'].join('|');

export const nothingUnfinished = noLine(
  new RegExp(`\\b(${UNFINISHED})\\b`),
  'is unfinished',
  () => true,
);
export const nothingSilenced = noLine(new RegExp(SILENCED), 'silences a tool', isCode);
export const noTestLeftAlone = noLine(
  /\b(describe|it|context)\.(only|skip)\(/,
  'runs a test alone, or never',
  isCode,
);
export const linesAreShort = noLine(
  new RegExp(`^.{${String(WIDTH_MAX + 1)},}`, 'u'),
  `is longer than ${String(WIDTH_MAX)} characters`,
  (file) => isCode(file) || file.endsWith('.sql') || file.endsWith('.proto'),
);

export const filesAreShort: Rule = (files) =>
  [...files].flatMap(([file, text]) => {
    const lines = text.trimEnd().split('\n').length;
    if (!isCode(file) || isGenerated(file) || lines <= LINES_MAX) return [];
    return [`${file} has ${String(lines)} lines, more than ${String(LINES_MAX)}`];
  });

export const namesAreKebabCase: Rule = (files) =>
  [...files.keys()].flatMap((file) =>
    !isCode(file) || isGenerated(file) || /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(path.basename(file))
      ? []
      : [`${file} is not named in kebab-case`],
  );
