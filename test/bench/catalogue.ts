import type { Scenario } from './measure.ts';
import { DRAIN } from './scenarios/drain.ts';

/** In the order in which they are run. */
export const SCENARIOS: readonly Scenario[] = [DRAIN];
