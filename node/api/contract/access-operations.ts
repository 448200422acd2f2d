import { z } from 'zod';
import { keySchema } from '../keys.ts';
import * as bodies from './bodies.ts';
import { answer, jsonContent } from './operation.ts';
import type { Operation } from './operation.ts';

/** The routes of keys. All need the role `admin`. */
const KEY = {
  id: '0123456789ab',
  name: 'ci',
  role: 'submit',
  namespace: 'default',
  status: 'valid',
  created_at: '2026-11-21T03:04:41.259Z',
  created_by: 'alice',
  expires_at: '2027-02-19T03:04:41.259Z',
  revoked_at: null,
  last_used_at: null,
};

export const accessOperations: readonly Operation[] = [
  {
    route: 'GET /keys',
    id: 'listKeys',
    tag: 'access',
    summary: 'List keys, newest first',
    answers: {
      200: answer('Those that are not valid any more among them.', z.array(bodies.key), [KEY]),
    },
  },
  {
    route: 'POST /keys',
    id: 'createKey',
    tag: 'access',
    summary: 'Make a key',
    body: jsonContent(keySchema, { ci: { role: 'submit', name: 'ci', expires_in_s: 7_776_000 } }),
    answers: {
      201: answer('It is made; this answer alone has it as text.', bodies.madeKey, {
        ...KEY,
        key: 'skein_0123456789ab_rQ6vT0S0b5TnUq0w0fYl0m8wJxk7w3sT2hXb1c9dEfg',
      }),
    },
  },
  {
    route: 'POST /keys/:id/revoke',
    id: 'revokeKey',
    tag: 'access',
    summary: 'Let nobody in by a key any more',
    answers: {
      200: answer('It is revoked; that holds on every node within seconds.', bodies.key, {
        ...KEY,
        status: 'revoked',
        revoked_at: '2026-11-22T10:00:00.000Z',
      }),
    },
  },
];
