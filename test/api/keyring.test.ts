import { expect } from 'chai';
import { Keyring } from '../../node/api/access/keyring.ts';
import { newApiKey, sha256Of, textOfKey } from '../../node/base/api-key.ts';
import type { KeyRecord } from '../../node/store/key-store.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Goal: keys cost PostgreSQL next to nothing, and hold within seconds. Method: a clock in hand. */
function setup() {
  const clock = new FakeClock();
  const made = newApiKey();
  const record: KeyRecord = {
    ...{ keyId: made.keyId, name: 'ci', role: 'submit', namespaceId: 0, namespace: 'default' },
    ...{ secretSha256: sha256Of(made.secret), createdAt: new Date(0), createdBy: 'a test' },
    ...{ expiresAt: null, revokedAt: null, lastUsedAt: null, isValid: true, expiresInMs: null },
  };
  const state = { record, reads: 0, touches: 0, isAway: false };
  const keyring = new Keyring({
    clock,
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    keys: {
      findMany: (ids) => {
        state.reads += 1;
        if (state.isAway) return Promise.reject(new Error('away'));
        return Promise.resolve(ids.includes(made.keyId) ? [state.record] : []);
      },
      touchMany: () => {
        state.touches += 1;
        return Promise.resolve();
      },
    },
  });
  return { clock, state, keyring, text: textOfKey(made) };
}
const ignore = (): void => undefined;

describe('a keyring', () => {
  it('reads a key once in two seconds, however often it is used', async () => {
    const { clock, state, keyring, text } = setup();
    for (let i = 0; i < 1000; i++) expect(await keyring.callerOf(text)).to.include({ name: 'ci' });
    expect(state.reads).to.equal(1);
    await clock.advance(2001);
    await Promise.all(Array.from({ length: 100 }, () => keyring.callerOf(text)));
    expect(state.reads).to.be.at.most(3);
    expect(state.touches).to.equal(1);
    await clock.advance(60_000);
    await keyring.callerOf(text);
    expect(state.touches).to.equal(2);
  });

  it('lets a revoked key in no longer than two seconds', async () => {
    const { clock, state, keyring, text } = setup();
    await keyring.callerOf(text);
    state.record = { ...state.record, isValid: false };
    await clock.advance(2001);
    expect(await keyring.callerOf(text)).to.equal(null);
  });

  it('lets a key in no longer than it is valid, also between two reads', async () => {
    const { clock, state, keyring, text } = setup();
    state.record = { ...state.record, expiresInMs: 500 };
    expect(await keyring.callerOf(text)).not.to.equal(null);
    await clock.advance(501);
    expect(await keyring.callerOf(text)).to.equal(null);
  });

  it('goes on with the keys it knows while PostgreSQL is away, and lets no other in', async () => {
    const { clock, state, keyring, text } = setup();
    await keyring.callerOf(text);
    state.isAway = true;
    await clock.advance(60_000);
    expect(await keyring.callerOf(text)).to.include({ name: 'ci' });
    const other = await keyring.callerOf(textOfKey(newApiKey())).catch((thrown: unknown) => thrown);
    expect(other).to.be.instanceOf(Error);
    await clock.advance(5 * 60_000);
    expect(await keyring.callerOf(text).catch((thrown: unknown) => thrown)).to.be.instanceOf(Error);
  });

  it('asks once for an id that does not exist, and compares all the same', async () => {
    const { state, keyring } = setup();
    const text = textOfKey(newApiKey());
    for (let i = 0; i < 10; i++) expect(await keyring.callerOf(text)).to.equal(null);
    expect(state.reads).to.equal(1);
  });
});
