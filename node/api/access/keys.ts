import { z } from 'zod';
import { newApiKey, sha256Of, textOfKey } from '../../base/api-key.ts';
import { errors } from '../../base/errors.ts';
import { ROLES } from '../../core/access.ts';
import type { KeyRecord, NewKey } from '../../store/key-store.ts';
import { withJson } from '../body.ts';
import type { BodyBudget } from '../body.ts';
import { json } from '../endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from '../endpoint.ts';
import { Faults, invalid } from '../faults.ts';
import type { KeysPort } from '../ports.ts';
import { isName } from '../schemas.ts';

/** Keys of the API: made here, shown once, listed without what makes them work, and revoked. */
export interface KeyDeps {
  readonly keys: KeysPort;
  readonly budget: BodyBudget;
}

export function keyEndpoints(deps: KeyDeps): readonly Endpoint[] {
  return [
    {
      method: 'GET',
      role: 'admin',
      path: '/keys',
      isForAll: true,
      handle: async () => json(200, (await deps.keys.list()).map(keyBody)),
    },
    {
      method: 'POST',
      role: 'admin',
      path: '/keys',
      isForAll: true,
      handle: (request) => create(deps, request),
    },
    {
      method: 'POST',
      role: 'admin',
      path: '/keys/:id/revoke',
      isForAll: true,
      isBodiless: true,
      handle: (request) => revoke(deps, request),
    },
  ];
}

const LIFE_S_MAX = 100 * 365 * 86_400;
export const ALL_NAMESPACES = '*';

export const keySchema = z.strictObject({
  role: z.enum(ROLES),
  name: z.string().refine(isName, 'must be 1 to 255 printable characters').optional(),
  /** A key of an admin is for all; another is for one, unless it says `*`. */
  namespace: z.string().refine(isName, 'must be the name of a namespace').optional(),
  expires_in_s: z.int().min(1).max(LIFE_S_MAX).optional(),
});

async function create(deps: KeyDeps, request: ApiRequest): Promise<ApiResponse> {
  return withJson(request.message, deps.budget, async (value) => {
    const { key, text } = newKeyOrThrow(value, request.caller.name);
    const made = await keyOrThrow(deps.keys, key);
    request.note({ id: made.keyId, name: made.name, role: made.role });
    return json(201, { ...keyBody(made), key: text }, { 'cache-control': 'no-store' });
  });
}

/** A new key as it is to be stored, and the text that is shown once. */
export function newKeyOrThrow(
  value: unknown,
  createdBy: string,
): { readonly key: NewKey; readonly text: string } {
  const {
    role,
    name = role,
    namespace,
    expires_in_s: lifeS,
  } = new Faults().mustBe(keySchema, value, '#');
  if (role === 'admin' && namespace !== undefined && namespace !== ALL_NAMESPACES) {
    throw invalid([{ pointer: '#/namespace', detail: 'a key of an admin is for all namespaces' }]);
  }
  const isForAll = role === 'admin' || namespace === ALL_NAMESPACES;
  const made = newApiKey();
  const key = {
    keyId: made.keyId,
    ...{ name, role, createdBy },
    namespace: isForAll ? null : (namespace ?? 'default'),
    secretSha256: sha256Of(made.secret),
    lifeMs: lifeS === undefined ? null : lifeS * 1000,
  };
  return { key, text: textOfKey(made) };
}

export async function keyOrThrow(
  keys: Pick<KeysPort, 'tryCreate'>,
  key: NewKey,
): Promise<KeyRecord> {
  const made = await keys.tryCreate(key);
  if (made !== null) return made;
  throw invalid([{ pointer: '#/namespace', detail: 'there is no such namespace' }]);
}

async function revoke({ keys }: KeyDeps, { params }: ApiRequest): Promise<ApiResponse> {
  const id = params['id'] ?? '';
  const revoked = /^[0-9a-f]{12}$/.test(id) ? await keys.tryRevoke(id) : null;
  if (revoked === null) throw errors.notFound(`the key ${id}`);
  return json(200, keyBody(revoked));
}

export function keyBody(key: KeyRecord): object {
  return {
    id: key.keyId,
    name: key.name,
    role: key.role,
    namespace: key.namespace ?? ALL_NAMESPACES,
    status: key.revokedAt !== null ? 'revoked' : key.isValid ? 'valid' : 'expired',
    created_at: key.createdAt.toISOString(),
    created_by: key.createdBy,
    expires_at: key.expiresAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  };
}
