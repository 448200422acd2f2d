import type { Path } from './path.ts';
import { PACE } from './postgres/server.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/**
 * What goes wrong, and how often. Each seed draws its own mixture: a few kinds of faults, sometimes
 * many, sometimes all at once, because most bugs need two of them to meet.
 */
type FaultKind = keyof typeof FAULTS;

export class Nemesis {
  readonly world: World;
  private readonly kinds: readonly FaultKind[];
  private readonly untilMs: number;
  /** Between two faults, on the average. */
  private readonly pauseMs: number;
  /** A fault that needs time to show what it does lasts until then. */
  quietUntilMs = 0;

  constructor(world: World, untilMs: number, pauseMs: number) {
    this.world = world;
    this.untilMs = untilMs;
    const share = world.pick([0.1, 0.25, 0.5, 1]) ?? 1;
    const all = Object.keys(FAULTS) as FaultKind[];
    this.kinds = all.filter(() => world.chance(share));
    this.pauseMs = pauseMs;
    world.note('nemesis', 'brings', { kinds: this.kinds, every_ms: this.pauseMs });
  }

  /** Nothing that it brings takes a node from its work: so no lease may be lost. */
  get isGentle(): boolean {
    return this.kinds.every((kind) => GENTLE.has(kind));
  }

  start(): void {
    if (this.kinds.length > 0) this.next();
  }

  private next(quietMs = 0): void {
    const { world } = this;
    world.timeline.after(quietMs + world.draw(0, 2 * this.pauseMs), () => {
      if (world.timeline.nowMs > this.untilMs) return;
      const kind = world.pick(this.kinds) as FaultKind;
      world.history.count(`fault: ${kind}`);
      world.note('nemesis', kind);
      const fault: (world: World) => unknown = FAULTS[kind];
      const answer = fault(world);
      const quietMs = typeof answer === 'number' ? answer : 0;
      this.quietUntilMs = Math.max(this.quietUntilMs, world.timeline.nowMs + quietMs);
      this.next(quietMs);
    });
  }
}

const GENTLE: ReadonlySet<string> = new Set<FaultKind>([
  'cut from a peer',
  'session of the lock ended',
  'some session ended',
  'clock of the database set',
  'frames repeated',
]);

/** Long ones outlive a lease (10.5 s with its guard), short ones do not. */
function span(world: World): number {
  const spans = [
    [5, 600],
    [300, 3000],
    [2000, 12_000],
    [10_500, 16_000],
  ] as const;
  const [from, to] = world.pick(spans) ?? spans[0];
  return world.draw(from, to);
}

function leaderOf(world: World): SimNode | undefined {
  return world.living.find((node) => node.lives.current?.isLeader === true);
}

/** The leader more often than chance would have it. */
function victimOf(world: World): SimNode | undefined {
  const leader = world.chance(0.3) ? leaderOf(world) : undefined;
  return leader ?? world.pick(world.living);
}

function later(world: World, ms: number, what: string, action: () => void): void {
  world.timeline.after(ms, () => {
    world.note('nemesis', what);
    action();
  });
}

function crash(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  world.note(victim.facts.name, 'crashes');
  victim.process.crash();
  world.timeline.after(world.draw(0, 5000), () => {
    world.restart(victim);
  });
}

function freeze(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  world.note(victim.facts.name, 'freezes');
  victim.process.freeze();
  world.history.onFreeze(victim.process);
  later(world, span(world), `${victim.facts.name} thaws`, () => {
    victim.process.thaw(world.chance(0.5));
  });
}

function terminate(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined || victim.isStopping) return;
  world.note(victim.facts.name, 'is told to stop');
  victim.stop(world.draw(10, 3000), world.chance(0.3));
  // A drain that hangs is ended the hard way.
  world.timeline.after(world.draw(9000, 12_000), () => {
    world.restart(victim);
  });
}

function silencePaths(world: World, paths: readonly Path[]): void {
  for (const path of paths) path.silence();
  later(world, span(world), 'a path is heard again', () => {
    for (const path of paths) path.heal();
  });
}

function silenceDatabase(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  const { toServer, toClient } = world.databasePath(victim.facts.name);
  world.note(victim.facts.name, 'loses the database');
  silencePaths(world, world.pick([[toServer], [toClient], [toServer, toClient]]) ?? []);
}

function silencePeers(world: World): void {
  const [from, to] = [victimOf(world), world.pick(world.living)];
  if (from === undefined || to === undefined) return;
  const [out, back] = [
    world.peerPath(from.facts.name, to.facts.name),
    world.peerPath(to.facts.name, from.facts.name),
  ];
  world.note(from.facts.name, `loses ${to.facts.name}`);
  silencePaths(world, world.pick([[out], [back], [out, back]]) ?? []);
}

/** One node from everything: the cable is pulled. */
function isolate(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  const { name } = victim.facts;
  world.note(name, 'is cut off');
  const { toServer, toClient } = world.databasePath(name);
  const peers = world.nodes.flatMap(({ facts }) => [
    world.peerPath(name, facts.name),
    world.peerPath(facts.name, name),
  ]);
  silencePaths(world, [toServer, toClient, ...peers]);
}

function cutDatabase(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  const { toServer, toClient } = world.databasePath(victim.facts.name);
  toServer.cut();
  toClient.cut();
}

function cutPeers(world: World): void {
  const [from, to] = [world.pick(world.living), victimOf(world)];
  if (from === undefined || to === undefined) return;
  world.peerPath(from.facts.name, to.facts.name).cut();
}

function slowPaths(world: World): void {
  const victim = victimOf(world);
  if (victim === undefined) return;
  const { toServer, toClient } = world.databasePath(victim.facts.name);
  const delayMs = world.pick([5, 40, 300]) ?? 5;
  for (const path of [toServer, toClient]) path.delayMs = delayMs;
  later(world, span(world), 'a slow path is fast again', () => {
    for (const path of [toServer, toClient]) path.delayMs = 0;
  });
}

function crashServer(world: World): void {
  if (!world.server.isUp) return;
  world.note('database', 'crashes');
  world.server.crash();
  later(world, span(world), 'the database starts', () => {
    world.server.start();
  });
}

function slowServer(world: World): void {
  const { server } = world;
  const slow = world.pick([10, 80, 400]) ?? 10;
  server.pace = { stepMs: slow / 10, commitMs: slow, interleaving: 0.9 };
  later(world, span(world), 'the database is fast again', () => {
    server.pace = PACE;
  });
}

function stepClock(world: World): void {
  world.clockStepMs = world.pick([-30_000, -2000, 0, 2000, 30_000]) ?? 0;
  world.note('database', 'its clock is set', { off_by_ms: world.clockStepMs });
}

function loseFrames(world: World): void {
  world.mischief.lose = world.draw(0, 0.2);
  later(world, span(world), 'frames are safe again', () => {
    world.mischief.lose = 0;
  });
}

function repeatFrames(world: World): void {
  world.mischief.repeat = world.draw(0, 0.3);
  later(world, span(world), 'frames come once again', () => {
    world.mischief.repeat = 0;
  });
}

function workerOf(world: World): SimNode | undefined {
  return world.pick(world.living.filter((node) => node.lives.current?.isLeader !== true));
}

/** Beyond a lease and its guard, and by then the leader has taken it back. */
function beyondLease(world: World): number {
  return world.draw(11_000, 16_000);
}

/** A worker that wakes up when its leases are others' already. */
function freezeLong(world: World): number {
  const victim = workerOf(world);
  if (victim === undefined) return 0;
  const ms = beyondLease(world);
  world.note(victim.facts.name, 'freezes for long');
  victim.process.freeze();
  world.history.onFreeze(victim.process);
  later(world, ms, `${victim.facts.name} thaws`, () => {
    victim.process.thaw(world.chance(0.5));
  });
  return ms + world.draw(0, 3000);
}

/** A worker that cannot reach anybody until its leases are others' already. */
function isolateLong(world: World): number {
  const victim = workerOf(world);
  if (victim === undefined) return 0;
  const ms = beyondLease(world);
  const { name } = victim.facts;
  const { toServer, toClient } = world.databasePath(name);
  const leader = leaderOf(world)?.facts.name ?? name;
  const paths = [toServer, toClient, world.peerPath(name, leader), world.peerPath(leader, name)];
  world.note(name, 'is cut off for long');
  for (const path of paths) path.silence();
  later(world, ms, `${name} is heard again`, () => {
    for (const path of paths) path.heal();
  });
  return ms + world.draw(0, 3000);
}

/** A worker that still hears its leader, and can settle nothing. */
function loseDatabaseLong(world: World): number {
  const victim = workerOf(world);
  if (victim === undefined) return 0;
  const ms = world.draw(15_000, 30_000);
  const { toServer, toClient } = world.databasePath(victim.facts.name);
  world.note(victim.facts.name, 'loses the database for long');
  for (const path of [toServer, toClient]) path.silence();
  later(world, ms, `${victim.facts.name} has the database again`, () => {
    for (const path of [toServer, toClient]) path.heal();
  });
  return ms + world.draw(0, 3000);
}

/** Somebody dies or freezes at the very moment at which a statement of theirs was committed. */
function ambush(world: World): void {
  const isOf = world.pick(['term-writer', 'lease-store', 'node-registry', 'lock-session.bump']);
  const kills = world.chance(0.5);
  world.server.onCommitted = (statement, owner) => {
    if (!statement.startsWith(isOf ?? '')) return;
    world.server.onCommitted = undefined;
    const victim = world.living.find((node) => node.facts.name === owner);
    if (victim === undefined) return;
    world.note(owner, kills ? 'crashes after a commit' : 'freezes after a commit', { statement });
    if (kills) {
      victim.process.crash();
      world.timeline.after(world.draw(0, 3000), () => {
        world.restart(victim);
      });
      return;
    }
    victim.process.freeze();
    world.history.onFreeze(victim.process);
    later(world, span(world), `${owner} thaws`, () => {
      victim.process.thaw(world.chance(0.5));
    });
  };
}

function loseAnswers(world: World): void {
  world.server.answersLost = world.draw(0.02, 0.3);
  later(world, span(world), 'answers come again', () => {
    world.server.answersLost = 0;
  });
}

/**
 * Answers come later and later, then not at all: a leader that counted its trust from their arrival would
 * lead beyond its lock.
 */
function slowThenSilent(world: World): void {
  const leader = leaderOf(world);
  if (leader === undefined) return;
  const { toServer, toClient } = world.databasePath(leader.facts.name);
  toClient.delayMs = world.draw(300, 390);
  later(world, world.draw(300, 1500), 'the slow answers stop', () => {
    toServer.silence();
    toClient.delayMs = 0;
  });
  later(world, world.draw(3000, 6000), 'they come again', () => {
    toServer.heal();
    toClient.heal();
  });
}

/** Each may answer for how long nothing else should happen. */
const FAULTS = {
  'long freeze of a worker': freezeLong,
  'long isolation of a worker': isolateLong,
  'long silence of the database for a worker': loseDatabaseLong,
  'ambush at a commit': ambush,
  'answers of commits lost': loseAnswers,
  'slow, then silent': slowThenSilent,
  crash,
  freeze,
  terminate,
  'silence of the database': silenceDatabase,
  'silence of a peer': silencePeers,
  isolation: isolate,
  'cut from the database': cutDatabase,
  'cut from a peer': cutPeers,
  'slow paths': slowPaths,
  'crash of the database': crashServer,
  'slow database': slowServer,
  'session of the lock ended': (world: World) => {
    world.server.terminateLockHolder();
  },
  'some session ended': (world: World) => {
    world.server.terminateAny();
  },
  'clock of the database set': stepClock,
  'frames lost': loseFrames,
  'frames repeated': repeatFrames,
} as const;
