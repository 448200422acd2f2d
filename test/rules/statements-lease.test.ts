import { LEASE_SCRIPTS } from '../conformance/lease-scripts.ts';
import { testScripts } from '../conformance/scripts.ts';

/**
 * Goal: the lease statement writes only what it may, and what it writes can be relied upon.
 * Method: sessions interleaved by hand (conformance/hands.ts), on PostgreSQL and on the model of it.
 */
testScripts('the lease statement between two sessions', LEASE_SCRIPTS);
