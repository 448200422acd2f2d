import { keyBody, keyOrThrow, newKeyOrThrow } from './api/access/keys.ts';
import { systemClock, systemRng } from './base/clock.ts';
import type { KeysPlace, OpenKeysPort } from './cli/ports.ts';
import type { ApiKeyBody, MadeApiKey } from './client/bodies.ts';
import { databaseHomeOf } from './config.ts';
import { Database } from './store/database.ts';
import { openEmbeddedPostgres } from './store/embedded-postgres.ts';
import { KeyStore } from './store/key-store.ts';
import { migrate } from './store/migrate.ts';

/**
 * The keys of a database, without a node: the first key of a cluster cannot be asked of it. Whoever has
 * the password of the database could write the row by hand as well.
 */
const BY = 'the owner of the database';

export async function openKeys(from: KeysPlace): Promise<OpenKeysPort> {
  const embedded =
    'dataDir' in from ? await openEmbeddedPostgres({ home: databaseHomeOf(from) }) : undefined;
  const url = 'databaseUrl' in from ? from.databaseUrl : (embedded?.url ?? '');
  await migrate({ databaseUrl: url });
  const database = new Database({ url, name: 'keys', clock: systemClock, rng: systemRng });
  const keys = new KeyStore(database);
  return {
    createKey: async (spec) => {
      const { key, text } = newKeyOrThrow(spec, BY);
      return { ...keyBody(await keyOrThrow(keys, key)), key: text } as MadeApiKey;
    },
    listKeys: async () => (await keys.list()).map(keyBody) as ApiKeyBody[],
    revokeKey: async (id) => {
      const revoked = await keys.tryRevoke(id);
      if (revoked === null) throw new Error(`the key ${id} does not exist`);
      return keyBody(revoked) as ApiKeyBody;
    },
    close: async () => {
      await database.stop();
      await embedded?.stopIfUnused();
    },
  };
}
