import { existsSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { openApiOf } from './contract/openapi.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { fileAnswer, POLICY, readFiles } from './page.ts';

/**
 * What describes the REST interface: the document at `/openapi.json` for programs, and the page at `/docs`
 * for people, which shows it with the Swagger UI out of the build. Both come from this node alone.
 */
export interface DocsDeps {
  /** Of the whole router, each as `GET /tasks/:id`. */
  readonly routes: () => readonly string[];
  readonly version: string;
  /** The folder with the built page; undefined where a node serves none. */
  readonly docsDir?: string | undefined;
}

const INDEX = 'index.html';

/** No script but those files; their styles are set by script, and a few of their images are data. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function docsEndpoints({ routes, version, docsDir }: DocsDeps): readonly Endpoint[] {
  let document: { readonly text: string; readonly packed: Buffer } | undefined;
  const openApi: Endpoint = {
    method: 'GET',
    role: 'open',
    path: '/openapi.json',
    handle: ({ message }) => {
      document ??= packed(JSON.stringify(openApiOf(routes(), version)));
      const isPacked = acceptsGzip(message.headers['accept-encoding']);
      return Promise.resolve({
        status: 200,
        headers: {
          'content-type': 'application/json',
          'cache-control': 'no-cache',
          vary: 'accept-encoding',
          ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
        },
        text: document.text,
        ...(isPacked ? { bytes: document.packed } : {}),
      });
    },
  };
  if (docsDir === undefined || !existsSync(path.join(docsDir, INDEX))) return [openApi];
  const files = readFiles(docsDir);
  const headers = {
    ...POLICY,
    'content-security-policy': CONTENT_POLICY,
    'cache-control': 'no-cache',
  };
  const file = (request: ApiRequest, name: string): Promise<ApiResponse> =>
    Promise.resolve(fileAnswer(files, name, request, headers));
  return [
    openApi,
    {
      method: 'GET',
      role: 'open',
      path: '/docs',
      query: 'any',
      handle: (request) => file(request, INDEX),
    },
    {
      method: 'GET',
      role: 'open',
      path: '/docs/:file',
      handle: async (request) => file(request, request.params['file'] ?? ''),
    },
  ];
}

function packed(text: string): { readonly text: string; readonly packed: Buffer } {
  return { text, packed: gzipSync(text) };
}

function acceptsGzip(header: string | string[] | undefined): boolean {
  return /\bgzip\b/.test(header?.toString() ?? '');
}
