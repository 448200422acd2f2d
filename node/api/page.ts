import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { errors } from '../base/errors.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';

/**
 * The page at `/`, from the folder that the build leaves. It is small, so all of it is read and compressed
 * once. Its assets carry a hash of their content in their names: they may be kept for ever, the page itself
 * is asked for anew.
 *
 * The policy lets it load and ask nothing but this node, and no script but those files. The other nodes are
 * named as well: when this one dies, the page asks which of them lives, and moves there.
 */
export interface PageFile {
  readonly type: string;
  readonly plain: Buffer;
  readonly packed: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const INDEX = 'index.html';

export function pageEndpoints(
  folder: string | undefined,
  peers: () => Promise<readonly string[]>,
): readonly Endpoint[] {
  if (folder === undefined || !existsSync(path.join(folder, INDEX))) return [];
  const files = readFiles(folder);
  return [
    {
      method: 'GET',
      role: 'open',
      path: '/',
      query: 'any',
      handle: async (request) => {
        const headers = { ...POLICY, 'content-security-policy': policyFor(await peers()) };
        return fileAnswer(files, INDEX, request, { ...headers, 'cache-control': 'no-cache' });
      },
    },
    {
      method: 'GET',
      role: 'open',
      path: '/assets/:file',
      handle: async (request) =>
        Promise.resolve(
          fileAnswer(files, `assets/${request.params['file'] ?? ''}`, request, {
            'cache-control': 'public, max-age=31536000, immutable',
          }),
        ),
    },
  ];
}

export const POLICY = {
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
};

function policyFor(peers: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    ["connect-src 'self'", ...peers].join(' '),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export function readFiles(folder: string): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const type = TYPES[path.extname(name)];
    if (type === undefined) continue;
    const plain = readFileSync(path.join(folder, name));
    files.set(name.split(path.sep).join('/'), { type, plain, packed: gzipSync(plain) });
  }
  return files;
}

export function fileAnswer(
  files: ReadonlyMap<string, PageFile>,
  name: string,
  { message }: ApiRequest,
  headers: Readonly<Record<string, string>>,
): ApiResponse {
  const file = files.get(name);
  if (file === undefined) throw errors.notFound(name);
  const isPacked = /\bgzip\b/.test(message.headers['accept-encoding']?.toString() ?? '');
  return {
    status: 200,
    headers: {
      'content-type': file.type,
      vary: 'accept-encoding',
      ...headers,
      ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
    },
    text: '',
    bytes: isPacked ? file.packed : file.plain,
  };
}
