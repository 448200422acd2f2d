import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { LAN } from '../../node/core/timings.ts';
import { QUICK, Ring } from './election-setup.ts';
import type { Entry } from './election-setup.ts';

/**
 * Goal: one leader, never two, and soon another one, whatever happens to the first. Method: real
 * electors with real sessions on a real PostgreSQL; faults by the server, by a proxy or by the
 * scheduler; the record of all callbacks on the one clock is judged.
 */
describe('election', () => {
  let ring: Ring;
  beforeEach(async () => {
    ring = await Ring.open();
  });
  afterEach(() => ring.close());

  async function locks(): Promise<number | null> {
    const mine = `select 1 from pg_locks where locktype = 'advisory' and database =
      (select oid from pg_database where datname = current_database())`;
    return (await ring.admin.query(mine)).rowCount;
  }

  it('makes exactly one of three nodes leader, and the others see who it is', async () => {
    for (let i = 0; i < 3; i += 1) (await ring.add(LAN)).elector.start();
    const gained = await ring.entry((e) => e.what === 'gained');
    for (const member of ring.members) {
      await ring.entry((e) => e.what === 'seen' && e.who === member.name && e.term === gained.term);
    }
    expect(ring.leader().name).to.equal(gained.who);
    expect(ring.record.filter((e) => e.what === 'gained')).to.have.length(1);
    const { rows } = await ring.admin.query<{ term: string; leader_name: string }>(
      'select term, leader_name from skein.term',
    );
    expect(rows).to.deep.equal([{ term: String(gained.term), leader_name: gained.who }]);
  });

  it('loses the office with its backend; another takes it with a higher term', async () => {
    for (let i = 0; i < 3; i += 1) (await ring.add(LAN)).elector.start();
    const first = await ring.entry((e) => e.what === 'gained');
    const old = ring.leader();
    await ring.terminate(old);
    const lost = await ring.entry((e) => e.what === 'lost');
    const next = await ring.entry((e) => e.what === 'gained' && e.who !== old.name);
    expect(lost.reason).to.match(/terminating connection/);
    expect(lost.atMs).to.be.lessThan(next.atMs);
    expect(next.term).to.be.greaterThan(first.term);
    expect(old.leaderships[0]?.signal.aborted).to.equal(true);
    expect(old.leaderships[0]?.isTrusted()).to.equal(false);
  });

  it('has its new role, and an aborted signal, before it calls anybody', async () => {
    const only = await ring.add(QUICK);
    const seen: unknown[] = [];
    only.onEntry = ({ what }) => {
      const term = only.leaderships[0];
      seen.push([what, only.elector.role, term?.isTrusted(), term?.signal.aborted]);
    };
    only.elector.start();
    await ring.entry((e) => e.what === 'gained');
    await only.elector.stop();
    expect(seen[0]).to.deep.equal(['gained', 'leader', true, false]);
    expect(seen.at(-1)).to.deep.equal(['lost', 'stopped', false, true]);
  });

  it('steps down before a server that it cannot reach frees its lock', async () => {
    const old = await ring.add(LAN);
    old.elector.start();
    await ring.entry((e) => e.what === 'gained');
    (await ring.add(LAN)).elector.start();
    await ring.entry((e) => e.what === 'seen' && e.who === 'node-2');
    old.proxy.pause();
    const lost = await ring.entry((e) => e.what === 'lost');
    const next = await ring.entry((e) => e.what === 'gained' && e.who === 'node-2');
    expect(lost.who).to.equal(old.name);
    expect(lost.atMs).to.be.lessThan(next.atMs);
    expect(ring.trustedAtOnceMax).to.equal(1);
  });

  it('moves the leadership away from a node whose scheduler stands still', async () => {
    for (let i = 0; i < 2; i += 1) (await ring.add(QUICK)).elector.start();
    await ring.entry((e) => e.what === 'gained');
    const old = ring.leader();
    old.schedules = false;
    const next = await ring.entry((e) => e.what === 'gained' && e.who !== old.name);
    const lost = await ring.entry((e) => e.what === 'lost' && e.who === old.name);
    expect(lost.atMs).to.be.lessThan(next.atMs);
  });

  it('frees the lock at once when it resigns, reads on, and does not stand again', async () => {
    for (let i = 0; i < 2; i += 1) (await ring.add(LAN)).elector.start();
    await ring.entry((e) => e.what === 'gained');
    const old = ring.leader();
    await old.elector.resign();
    expect(old.elector.role).to.equal('follower');
    const next = await ring.entry((e) => e.what === 'gained' && e.who !== old.name);
    expect(await locks()).to.equal(1);
    await ring.entry((e) => e.what === 'seen' && e.who === old.name && e.term === next.term);
    // The second leaves as well; nobody is left who would stand.
    const second = ring.leader();
    await second.elector.stop();
    const from = ring.record.length;
    const reads = (e: { what: string; who: string }): boolean =>
      e.what === 'seen' && e.who === old.name;
    for (let read = 0; read < 20; read += 1) await ring.entry(reads, ring.record.length);
    expect(ring.record.slice(from).filter((e) => e.what === 'gained')).to.have.length(0);
  });

  it('steps down when a peer shows a higher term, and its next term is above that', async () => {
    const only = await ring.add(QUICK);
    only.elector.start();
    await ring.entry((e) => e.what === 'gained');
    only.elector.observeTerm(41);
    expect(only.elector.role).to.equal('follower');
    expect(only.leaderships[0]?.signal.aborted).to.equal(true);
    const again = await ring.entry((e) => e.what === 'gained' && e.term > 1);
    expect(again.term).to.equal(42);
  });

  it('steps down when the term row was raised by somebody else', async () => {
    const only = await ring.add(QUICK);
    only.elector.start();
    await ring.entry((e) => e.what === 'gained');
    await ring.admin.query('update skein.term set term = 7, leader_node_id = 99');
    const lost = await ring.entry((e) => e.what === 'lost');
    expect(lost.term).to.equal(1);
    const again = await ring.entry((e) => e.what === 'gained' && e.term > 1);
    expect(again.term).to.equal(8);
  });

  it('gives the office back when its work cannot begin', async () => {
    const broken = await ring.add(LAN);
    broken.onEntry = (entry) => {
      if (entry.what === 'gained') throw new Error('no room for a scheduler');
    };
    broken.elector.start();
    await ring.entry((e) => e.what === 'lost');
    (await ring.add(LAN)).elector.start();
    await ring.entry((e) => e.what === 'gained' && e.who === 'node-2');
  });

  it('ends the trust of a leader whose event loop stood still, before any timer can', async () => {
    const only = await ring.add(QUICK);
    only.elector.start();
    await ring.entry((e) => e.what === 'gained');
    const [leadership] = only.leaderships;
    expect(leadership?.isTrusted()).to.equal(true);
    const from = systemClock.monotonicMs();
    while (systemClock.monotonicMs() - from < QUICK.selfDemoteMs);
    expect(leadership?.isTrusted()).to.equal(false);
    expect(leadership?.signal.aborted).to.equal(true);
    expect(only.elector.role).to.equal('follower');
    await ring.entry((e) => e.what === 'gained' && e.term > 1);
    expect(leadership?.isTrusted(), 'the old term, while a new one runs').to.equal(false);
  });

  it('never lets a follower wait for the lock inside PostgreSQL, nor pin a snapshot', async () => {
    for (let i = 0; i < 3; i += 1) (await ring.add(LAN)).elector.start();
    await ring.entry((e) => e.what === 'gained');
    const leader = ring.leader();
    for (let looked = 0; looked < 20; looked += 1) {
      const { rows } = await ring.admin.query(
        `select wait_event from pg_stat_activity
         where application_name like 'skein/lock/%' and datname = current_database()
           and (wait_event = 'advisory' or (state = 'idle' and backend_xmin is not null))`,
      );
      expect(rows).to.deep.equal([]);
      const isTry = (e: Entry): boolean => e.what === 'seen' && e.who !== leader.name;
      await ring.entry(isTry, ring.record.length);
    }
  });

  it('leaves no session behind when it stops, however often it is told to', async () => {
    for (let i = 0; i < 2; i += 1) (await ring.add(LAN)).elector.start();
    await ring.entry((e) => e.what === 'gained');
    const [first, second] = ring.members;
    await Promise.all([first?.elector.stop(), first?.elector.stop(), second?.elector.stop()]);
    await first?.elector.stop();
    expect(first?.elector.role).to.equal('stopped');
    const gains = ring.record.filter((e) => e.what === 'gained').length;
    expect(ring.record.filter((e) => e.what === 'lost')).to.have.length(gains);
    const left = 'select 1 from pg_stat_activity where application_name = any($1)';
    const names = ring.members.map((member) => `skein/lock/${member.incarnation}`);
    while (((await ring.admin.query(left, [names])).rowCount ?? 0) > 0);
  });

  it('goes on after callbacks that throw', async () => {
    const clumsy = await ring.add(QUICK);
    clumsy.onEntry = (entry) => {
      if (entry.what !== 'gained') throw new Error('this callback always throws');
    };
    clumsy.elector.start();
    await ring.entry((e) => e.what === 'gained');
    await ring.terminate(clumsy);
    const lost = await ring.entry((e) => e.what === 'lost');
    const again = await ring.entry((e) => e.what === 'gained' && e.term > lost.term);
    expect(again.who).to.equal(clumsy.name);
  });

  it('finds its way back to a database that was away', async () => {
    const only = await ring.add(QUICK);
    only.elector.start();
    await ring.entry((e) => e.what === 'gained');
    only.proxy.pause();
    await ring.entry((e) => e.what === 'lost');
    only.proxy.resume();
    await ring.entry((e) => e.what === 'gained' && e.term > 1);
  });
});
