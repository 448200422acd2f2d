import { stopTestServer } from './postgres.ts';

/** Loaded by .mocharc.yml; runs once when mocha is done, failures or not. */
export const mochaGlobalTeardown = stopTestServer;
