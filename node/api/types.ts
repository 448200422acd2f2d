import { z } from 'zod';
import { errors } from '../base/errors.ts';
import type { TypeGate, TypeRecord } from '../store/type-control.ts';
import { withJson } from './body.ts';
import type { BodyBudget } from './body.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { Faults } from './faults.ts';
import type { LeaderPort, TypeControlPort } from './ports.ts';
import { nextLink, Query } from './query.ts';
import { isName } from './schemas.ts';
import { typeBody } from './views.ts';

/** Types of tasks: which there are, which nodes run them, and what holds them back. */
export interface TypeDeps {
  readonly types: TypeControlPort;
  readonly leader: LeaderPort;
  readonly budget: BodyBudget;
}

export function typeEndpoints(deps: TypeDeps): readonly Endpoint[] {
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/types',
      query: 'own',
      handle: (request) => listTypes(deps, request),
    },
    {
      method: 'GET',
      role: 'read',
      path: '/types/:type',
      handle: (request) => getType(deps, request),
    },
    {
      method: 'PATCH',
      role: 'operate',
      path: '/types/:type',
      handle: (request) => patchType(deps, request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/types/:type/pause',
      isBodiless: true,
      handle: (request) => setGate(deps, request, { paused: true }),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/types/:type/resume',
      isBodiless: true,
      handle: (request) => setGate(deps, request, { paused: false }),
    },
  ];
}

/** Numbers of types are 32 bits wide in the database. */
const TYPE_ID_MAX = 2 ** 31 - 1;
const MAX_RUNNING_MAX = 1_000_000;

export const gateSchema = z
  .strictObject({
    paused: z.boolean().optional(),
    max_running: z.int().min(0).max(MAX_RUNNING_MAX).nullish(),
  })
  .refine((body) => Object.keys(body).length > 0, 'must name paused or max_running');

async function listTypes({ types }: TypeDeps, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['limit', 'cursor']);
  const limit = query.limit();
  const after = query.cursor(TYPE_ID_MAX);
  query.throwIfAny();
  const page = await types.list(limit, after);
  return json(200, page.types.map(typeBody), nextLink('/types', request.query, page.next));
}

async function getType({ types }: TypeDeps, request: ApiRequest): Promise<ApiResponse> {
  return json(200, typeBody(await findOrThrow(types, nameOf(request))));
}

async function patchType(deps: TypeDeps, request: ApiRequest): Promise<ApiResponse> {
  const gate = await withJson(request.message, deps.budget, (value) =>
    Promise.resolve(readGate(value)),
  );
  request.note({ ...gate });
  return setGate(deps, request, gate);
}

function readGate(value: unknown): TypeGate {
  const { paused, max_running: maxRunning } = new Faults().mustBe(gateSchema, value, '#');
  return {
    ...(paused === undefined ? {} : { paused }),
    ...(maxRunning === undefined ? {} : { maxRunning }),
  };
}

/** Also of a type that nobody has heard of yet: it may be paused before its first task comes. */
async function setGate(
  { types, leader }: TypeDeps,
  request: ApiRequest,
  gate: TypeGate,
): Promise<ApiResponse> {
  const type = nameOf(request);
  await types.setGate(type, gate);
  leader.look();
  return json(200, typeBody(await findOrThrow(types, type)));
}

function nameOf({ params }: ApiRequest): string {
  const type = params['type'] ?? '';
  if (!isName(type)) throw errors.notFound(`the type ${type}`);
  return type;
}

async function findOrThrow(types: TypeControlPort, type: string): Promise<TypeRecord> {
  const found = await types.find(type);
  if (found === null) throw errors.notFound(`the type ${type}`);
  return found;
}
