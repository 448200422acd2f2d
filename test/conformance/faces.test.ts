import { FACES_SCRIPTS } from './faces-scripts.ts';
import { testScripts } from './scripts.ts';

testScripts('what users do beside the others', FACES_SCRIPTS);
