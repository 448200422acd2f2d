import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What tests need to know of a Markdown file: its fenced blocks, tables, headings and links. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Block {
  /** What follows the opening fence, by words. */
  readonly info: readonly string[];
  readonly lines: readonly string[];
  /** Of the opening fence, from 1. */
  readonly line: number;
  /** The nearest heading above. */
  readonly heading: string;
}

export function readText(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

const FOLDERS = ['node', 'proto', 'scripts', 'test', 'deploy'];

/** Every Markdown file of the checkout, by its path from the top. */
export function markdownFiles(): readonly string[] {
  const below = FOLDERS.filter((folder) => existsSync(path.join(ROOT, folder))).flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true }).map((entry) =>
      path.posix.join(folder, String(entry).split(path.sep).join('/')),
    ),
  );
  return [...readdirSync(ROOT), ...below].filter((file) => file.endsWith('.md'));
}

export function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { info: readonly string[]; lines: string[]; line: number } | undefined;
  let heading = '';
  for (const [at, line] of text.split('\n').entries()) {
    if (line.startsWith('```')) {
      if (open === undefined) open = { info: line.slice(3).split(' '), lines: [], line: at + 1 };
      else {
        blocks.push({ ...open, heading });
        open = undefined;
      }
    } else if (open !== undefined) open.lines.push(line);
    else if (line.startsWith('#')) heading = line.replace(/^#+ /, '');
  }
  return blocks;
}

/** The rows of the first table beneath a heading, each by its cells as they are written. */
export function tableBelow(text: string, heading: string): readonly (readonly string[])[] {
  const lines = text.split('\n');
  const above = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line !== heading);
  const first = lines.findIndex((line, at) => at > above && line.startsWith('| --- |'));
  const rows = lines.slice(first + 1);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return above === -1 ? [] : rows.slice(0, end).map(cellsOf);
}

export function rowOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The faults of all links of a file that lead into the checkout, as sentences. */
export function brokenLinks(file: string, text: string): readonly string[] {
  const links = [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, target = '']) => target,
  );
  return links.flatMap((link) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [target = '', anchor] = link.split('#');
    const found = target === '' ? file : path.posix.join(path.posix.dirname(file), target);
    if (!existsSync(path.join(ROOT, found))) return [`${file}: ${link} leads nowhere`];
    if (anchor === undefined || anchorsOf(found === file ? text : readText(found)).has(anchor))
      return [];
    return [`${file}: ${link} names a heading that ${found} does not have`];
  });
}

/** As GitHub makes them of headings, and those set by hand. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  const byHand = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id);
  return new Set([...headings, ...byHand]);
}

function withoutBlocks(text: string): string {
  return text.replace(/^```[^]*?^```$/gm, '');
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
