import { z } from 'zod';
import { keySchema } from '../access/keys.ts';
import * as bodies from './bodies.ts';
import { answer, jsonContent, pageOf } from './operation.ts';
import type { Operation, Parameter } from './operation.ts';
import { cursor, limit } from './task-operations.ts';

/** The routes of keys, and of the log of what was changed. All need the role `admin`. */
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

const text = (description: string): Parameter => ({
  description,
  schema: z.string().meta({ minLength: 1, maxLength: 1000 }),
});

export const accessOperations: readonly Operation[] = [
  {
    route: 'GET /audit',
    id: 'listAudit',
    tag: 'access',
    summary: 'Who changed what, newest first',
    description: 'One row for each call that may change something; of a batch one, not one a task.',
    query: {
      actor: text('By the key of this name.'),
      action: text('Of this kind, such as `POST /tasks/{id}/cancel`.'),
      target: text('Of the task, type, schedule or key with this name.'),
      limit,
      cursor,
    },
    answers: { 200: pageOf('A page of them.', z.array(bodies.audit)) },
  },
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
