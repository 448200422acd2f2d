import type { Scenario } from './measure.ts';
import { BACKLOG } from './scenarios/backlog.ts';
import { DRAIN } from './scenarios/drain.ts';
import { FAILOVER } from './scenarios/failover.ts';
import { CHAIN, FAN_IN, FAN_OUT, LAYERS } from './scenarios/graphs.ts';
import { HISTORY } from './scenarios/history.ts';
import { IDLE } from './scenarios/idle.ts';
import { LATENCY } from './scenarios/latency.ts';
import { MAKESPAN } from './scenarios/makespan.ts';
import { SUBMIT } from './scenarios/submit.ts';
import { SUSTAINED } from './scenarios/sustained.ts';
import { THREADS } from './scenarios/threads.ts';
import { WATCHED } from './scenarios/watched.ts';

/** In the order in which they are run. */
export const SCENARIOS: readonly Scenario[] = [
  DRAIN,
  THREADS,
  SUBMIT,
  SUSTAINED,
  FAN_OUT,
  FAN_IN,
  LAYERS,
  CHAIN,
  LATENCY,
  IDLE,
  WATCHED,
  MAKESPAN,
  BACKLOG,
  HISTORY,
  FAILOVER,
];
