import { testScripts } from '../conformance/scripts.ts';
import { SETTLE_SCRIPTS } from '../conformance/settle-scripts.ts';

/**
 * Goal: of all that may happen to a lease at the same moment, exactly one is accepted.
 * Method: sessions interleaved by hand (conformance/hands.ts), on PostgreSQL and on the model of it.
 */
testScripts('outcomes between two sessions', SETTLE_SCRIPTS);
