import { expect } from 'chai';
import { LAN } from '../../node/core/timings.ts';
import { ABORTS, GRANTS, outcome, setup } from './contact-setup.ts';

/**
 * Goal: the node's side of the stream: whom it believes, what it repeats, and when it must stop.
 * Method: a clock that the test moves, streams that the test speaks on; nothing is awaited but events.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('the contact with the leader', () => {
  // Seen to fail with `message.term < from.term` in onMessage.
  it('refuses every frame of a lower term than it has seen, on whatever stream', () => {
    const { follow, calls, contact } = setup();
    const stream = follow(2);
    stream.say(3, { grants: GRANTS });
    expect(calls).to.include.members(['term 3', 'accept 1']);
    calls.length = 0;
    stream.say(2, { grants: GRANTS, aborts: [ABORTS] });
    expect(calls).to.deep.equal(['healthy false']);
    expect(stream.isClosed).to.equal(true);
    contact.follow({ term: 2, grpcAddress: 'node-2:1' });
    expect(follow(2)).to.equal(stream);
    expect(follow(3).hello.termSeen).to.equal(3);
  });

  // Seen to fail without the look at the number of the frame.
  it('ignores a frame that comes twice, or after a later one', () => {
    const { follow, calls, contact, count } = setup();
    const stream = follow(1);
    stream.say(1, { grants: GRANTS });
    stream.repeat(1, 1, { grants: GRANTS, aborts: [ABORTS] });
    stream.repeat(1, 3);
    stream.repeat(1, 2, { grants: GRANTS });
    expect(calls.slice(2)).to.deep.equal(['healthy true', 'accept 1']);
    contact.drain();
    expect(stream.heartbeats.at(-1)?.processed).to.equal(3);
    follow(2).say(2, { grants: GRANTS });
    expect(count('accept 1')).to.equal(2);
  });

  it('passes on what a leader says', () => {
    const { follow, calls } = setup();
    const stream = follow(1);
    stream.say(1, { grants: GRANTS, aborts: [ABORTS], ended: { seqs: [5], codes: [1] } });
    expect(calls).to.deep.equal([
      'term 1',
      'onTerm',
      'healthy true',
      'accept 1',
      'abort 1',
      'ended 5',
    ]);
    stream.say(1);
    expect(calls).to.have.length(6);
  });

  // Seen to fail with onMessage that does not ask which stream is the current one.
  it('leaves an older leader for a newer, and hears the older no longer', () => {
    const { follow, calls, streams } = setup();
    const older = follow(1);
    older.say(1);
    const newer = follow(2);
    expect(older.isClosed).to.equal(true);
    calls.length = 0;
    older.say(9, { grants: GRANTS });
    older.onClosed('late');
    expect(calls).to.deep.equal([]);
    newer.say(2, { grants: GRANTS });
    expect(calls).to.include('accept 1');
    expect(follow(2)).to.equal(newer);
    expect(streams).to.have.length(2);
  });

  // Seen to fail with `beat` before `tellAgain` in follow, and with a teller that forgets what it sends.
  it('tells again on each new stream before its first inventory, until acknowledged', () => {
    const { follow, contact, hold } = setup();
    const first = follow(1);
    first.say(1);
    contact.tell([outcome(1)]);
    contact.tell([outcome(2)]);
    expect(first.frames.flatMap(({ told }) => told?.seqs ?? [])).to.deep.equal([1, 2]);
    hold(8);
    const second = follow(2);
    expect(second.frames.map((frame) => Object.keys(frame)[0])).to.deep.equal([
      'told',
      'heartbeat',
    ]);
    const told = second.frames[0]?.told;
    expect(told?.seqs).to.deep.equal([1, 2]);
    expect(second.heartbeats[0]?.seqs).to.deep.equal([8]);
    expect(contact.isAllTold).to.equal(false);
    contact.tell([outcome(3)]);
    second.say(2, { toldThrough: told?.number ?? 0 });
    expect(contact.isAllTold).to.equal(false);
    const third = follow(3);
    expect(third.frames[0]?.told?.seqs).to.deep.equal([3]);
    // The word of a stream that was left behind acknowledges nothing.
    second.say(2, { toldThrough: 1000 });
    expect(contact.isAllTold).to.equal(false);
    third.say(3, { toldThrough: third.frames[0]?.told?.number ?? 0 });
    expect(contact.isAllTold).to.equal(true);
    expect(follow(4).frames[0]?.told).to.equal(undefined);
  });

  // Seen to fail without tellOverdue in beat.
  it('tells again on the same stream what a whole heartbeat has not seen acknowledged', async () => {
    const { follow, contact, clock } = setup();
    contact.start();
    const stream = follow(1);
    stream.say(1);
    contact.tell([outcome(1)]);
    const told = () => stream.frames.flatMap((frame) => frame.told ?? []);
    await clock.advance(1000);
    expect(told().map(({ seqs }) => seqs)).to.deep.equal([[1]]);
    await clock.advance(1000);
    expect(told().map(({ seqs }) => seqs)).to.deep.equal([[1], [1]]);
    stream.say(1, { toldThrough: told().at(-1)?.number ?? 0 });
    await clock.advance(3000);
    expect(told()).to.have.length(2);
    await contact.stop();
  });

  // Seen to fail without isWorkerCutOff in beat, and without it in keepWatch.
  it('renews nothing while its worker reaches no database, until the lease is over', async () => {
    const { follow, contact, clock, outage, renewal, count } = setup();
    contact.start();
    const stream = follow(1);
    const spokenTo = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 500) {
        stream.answer(1);
        await clock.advance(500);
      }
    };
    outage.sinceMs = clock.monotonicMs();
    await spokenTo(LAN.abortMs - 500);
    const beats = stream.heartbeats.length;
    expect(beats).to.equal(7);
    await spokenTo(LAN.abortMs - 1000);
    expect(count('interruptAll lease_lost')).to.equal(0);
    await spokenTo(1500);
    expect(count('interruptAll lease_lost')).to.be.greaterThan(0);
    await spokenTo(LAN.leaseMs - LAN.abortMs);
    expect([stream.heartbeats.length, renewal.times]).to.deep.equal([beats, []]);
    renewal.answer = () => Promise.resolve(false);
    await spokenTo(4000);
    expect(count('buried')).to.equal(1);
    await contact.stop();
  });

  it('says heartbeats again as soon as its worker is answered', async () => {
    const { follow, contact, clock, outage } = setup();
    contact.start();
    outage.sinceMs = clock.monotonicMs();
    await clock.advance(LAN.abortMs + 2000);
    const stream = follow(1);
    stream.say(1);
    expect(stream.heartbeats).to.deep.equal([]);
    outage.sinceMs = undefined;
    await clock.advance(1000);
    expect(stream.heartbeats).to.not.deep.equal([]);
    await contact.stop();
  });

  // Seen to fail with `processed` that counts before the message was passed on.
  it('says once a second what it holds, and which message it has processed', async () => {
    const { follow, contact, clock } = setup();
    contact.start();
    const stream = follow(1);
    stream.say(1, { grants: GRANTS });
    stream.say(1);
    stream.heardMs = Infinity;
    await clock.advance(3000);
    const numbers = stream.heartbeats.map(({ number }) => number);
    expect(numbers).to.deep.equal([1, 2, 3, 4]);
    expect(stream.heartbeats[0]).to.include({ processed: 0, draining: false });
    expect(stream.heartbeats.at(-1)).to.deep.include({ processed: 2, seqs: [7], leaseSeqs: [3] });
    contact.drain();
    expect(stream.heartbeats.at(-1)).to.include({ number: 5, draining: true });
    await contact.stop();
  });

  // Seen to fail with `sinceRenewalMs >= timings.renewMs`, and without it: interruptAll at 7 s.
  it('renews alone after three renewals without a leader, and stops doing so with one', async () => {
    const { contact, clock, renewal, follow, calls } = setup();
    contact.start();
    await clock.advance(2900);
    expect(renewal.times).to.deep.equal([]);
    await clock.advance(20_000);
    expect(renewal.times[0]).to.equal(4000);
    expect(renewal.times).to.have.length.within(6, 7);
    expect(calls).not.to.include('interruptAll lease_lost');
    const stream = follow(1);
    stream.answer(1);
    renewal.times.length = 0;
    for (let second = 0; second < 10; second++) {
      await clock.advance(1000);
      stream.answer(1);
    }
    expect(renewal.times).to.deep.equal([]);
    await contact.stop();
  });

  // Seen to fail with the time of the answer for that of the send.
  it('counts its own renewal from the send too, however late the answer', async () => {
    const { contact, clock, renewal } = setup();
    const answers: ((isRenewed: boolean) => void)[] = [];
    renewal.answer = () => new Promise((resolve) => answers.push(resolve));
    contact.start();
    await clock.advance(6000);
    const sentMs = renewal.times[0] ?? 0;
    answers[0]?.(true);
    await clock.advance(sentMs + LAN.abortMs - clock.monotonicMs() - 1);
    expect(contact.isLeaseSafe).to.equal(true);
    await clock.advance(1);
    expect(contact.isLeaseSafe).to.equal(false);
    await contact.stop();
  });

  // Seen to fail with lastRenewedMs taken at the answer, and with one interruption only.
  it('interrupts all at abortMs from the send of the last renewal that was accepted', async () => {
    const { contact, clock, renewal, follow, count } = setup();
    renewal.answer = () => Promise.reject(new Error('the database is away'));
    contact.start();
    const stream = follow(1);
    const sentMs = clock.monotonicMs();
    await clock.advance(900);
    stream.say(1, { answer: { number: 1, renewed: true } });
    await clock.advance(LAN.abortMs - 900 - 100);
    expect(clock.monotonicMs()).to.equal(sentMs + LAN.abortMs - 100);
    expect(count('interruptAll lease_lost')).to.equal(0);
    expect(contact.isLeaseSafe).to.equal(true);
    expect(contact.leaseLeftMs).to.equal(LAN.killMs - LAN.abortMs + 100);
    await clock.advance(200);
    expect(count('interruptAll lease_lost')).to.be.greaterThan(0);
    expect(contact.isLeaseSafe).to.equal(false);
    const before = count('interruptAll lease_lost');
    await clock.advance(200);
    expect(count('interruptAll lease_lost')).to.be.greaterThan(before);
    await clock.advance(10_000);
    expect(contact.leaseLeftMs).to.equal(0);
    renewal.answer = () => Promise.resolve(true);
    await clock.advance(300);
    expect(contact.isLeaseSafe).to.equal(true);
    await contact.stop();
  });

  // Seen to fail with a lease that counts from the answer to the registration.
  it('counts its first lease from the moment at which it asked to be registered', async () => {
    const { contact, clock, calls } = setup({ sinceRegisteredMs: 6000 });
    expect(contact.leaseLeftMs).to.equal(LAN.killMs - 6000);
    clock.jump(LAN.abortMs - 6000);
    expect(contact.isLeaseSafe).to.equal(false);
    contact.start();
    expect(calls).to.include('interruptAll lease_lost');
    await contact.stop();
  });

  // Seen to fail without the hang-up in judgeSilence.
  it('gives up a stream that stays silent, and dials its leader anew', async () => {
    const { contact, clock, follow, streams } = setup();
    contact.start();
    const stream = follow(1);
    stream.say(1);
    await clock.advance(4 * LAN.linkSilenceMs);
    expect(stream.isClosed).to.equal(false);
    await clock.advance(200);
    expect(stream.isClosed).to.equal(true);
    contact.follow({ term: 1, grpcAddress: 'node-1:1' });
    expect(streams).to.have.length(2);
    await contact.stop();
  });

  // Seen to fail with a warning for each try.
  it('says once in five seconds that it cannot renew', async () => {
    const { contact, clock, renewal, count } = setup();
    renewal.answer = () => Promise.reject(new Error('the database is away'));
    contact.start();
    await clock.advance(3 * LAN.renewMs + 4900);
    expect(renewal.times).to.have.length.greaterThan(10);
    expect(count('warn: The lease of this node could not be renewed.')).to.equal(1);
    await clock.advance(200);
    expect(count('warn: The lease of this node could not be renewed.')).to.equal(2);
    await contact.stop();
  });

  // Seen to fail with an unanswered heartbeat that renews.
  it('counts a heartbeat as renewed by its own answer only', async () => {
    const { contact, clock, follow } = setup();
    const stream = follow(1);
    await clock.advance(5000);
    stream.say(1, { answer: { number: 99, renewed: true } });
    await clock.advance(3000);
    expect(contact.isLeaseSafe).to.equal(false);
    await contact.stop();
  });

  // Seen to fail without isRenewing.
  // Seen to fail with the answered heartbeat alone, and with the time of the last one for all.
  it('says how long answers took, also of the heartbeats before the answered one', async () => {
    const { clock, contact, follow, answerSeconds } = setup();
    contact.start();
    const stream = follow(1);
    await clock.advance(LAN.renewMs);
    await clock.advance(250);
    stream.say(1, { answer: { number: 2, renewed: true } });
    stream.say(1, { answer: { number: 2, renewed: true } });
    expect(stream.heartbeats).to.have.length(2);
    expect(answerSeconds).to.have.length(2);
    expect(answerSeconds[0]).to.be.closeTo((answerSeconds[1] ?? 0) + 1, 0.11);
    await contact.stop();
  });

  it('has one renewal of its own under way at a time', async () => {
    const { contact, clock, renewal } = setup();
    renewal.answer = () => new Promise(() => undefined);
    contact.start();
    await clock.advance(10_000);
    expect(renewal.times).to.have.length(1);
    await contact.stop();
  });

  // Seen to fail without isBuried in bury.
  it('is buried once, whoever says so, and interrupts all first', async () => {
    const { contact, clock, renewal, follow, calls, count } = setup();
    renewal.answer = () => Promise.resolve(false);
    contact.start();
    const stream = follow(1);
    stream.answer(1, false);
    expect(calls.slice(-2)).to.deep.equal(['interruptAll lease_lost', 'buried']);
    expect(contact.isLeaseSafe).to.equal(false);
    expect(contact.leaseLeftMs).to.equal(0);
    stream.answer(1, false);
    await clock.advance(20_000);
    expect(count('buried')).to.equal(1);
    expect(renewal.times).to.deep.equal([]);
    await contact.stop();
  });

  it('is buried by its own renewal too', async () => {
    const { contact, clock, renewal, count } = setup();
    renewal.answer = () => Promise.resolve(false);
    contact.start();
    await clock.advance(20_000);
    expect(count('buried')).to.equal(1);
    await contact.stop();
  });

  // Seen to fail without the look at lastHeardMs.
  it('takes a silent stream for unhealthy, and a word for health again', async () => {
    const { contact, clock, follow, calls } = setup();
    contact.start();
    const stream = follow(1);
    stream.say(1);
    calls.length = 0;
    await clock.advance(LAN.linkSilenceMs);
    expect(calls).not.to.include('healthy false');
    await clock.advance(200);
    expect(calls).to.include('healthy false');
    stream.say(1);
    expect(calls.at(-1)).to.equal('healthy true');
    stream.onClosed('cut');
    expect(calls.at(-1)).to.equal('healthy false');
    await contact.stop();
  });

  // Seen to fail without nextDialMs.
  it('dials again after a leader said goodbye or could not be reached, with a pause between', () => {
    const { contact, clock, follow, streams } = setup();
    follow(1).onClosed('refused');
    for (let i = 0; i < 10; i++) contact.follow({ term: 1, grpcAddress: 'node-1:1' });
    expect(streams).to.have.length(1);
    clock.jump(50);
    contact.follow({ term: 1, grpcAddress: 'node-1:1' });
    expect(streams).to.have.length(2);
    streams[1]?.say(1, { goodbye: true });
    expect(streams[1]?.isClosed).to.equal(true);
    expect(follow(2)).to.equal(streams[2]);
  });

  // Seen to fail without the catch of markStarted.
  it('leaves nothing behind when it stops', async () => {
    const { contact, clock, follow, streams, count } = setup();
    contact.start();
    const stream = follow(1);
    await clock.advance(1500);
    expect(count('markStarted')).to.equal(2);
    expect(count('warn: Starts of tasks could not be written down.')).to.equal(2);
    await contact.stop();
    expect(stream.isClosed).to.equal(true);
    expect(clock.pending).to.equal(0);
    follow(5);
    expect(streams).to.have.length(1);
  });
});
