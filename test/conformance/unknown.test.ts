import { UNKNOWN_SCRIPTS } from './unknown-scripts.ts';
import { testScripts } from './scripts.ts';

testScripts('a COMMIT whose answer is lost', UNKNOWN_SCRIPTS);
