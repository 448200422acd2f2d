import { FENCE_SCRIPTS } from './fence-scripts.ts';
import { testScripts } from './scripts.ts';

testScripts('the term and the fence', FENCE_SCRIPTS);
