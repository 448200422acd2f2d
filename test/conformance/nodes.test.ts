import { NODES_SCRIPTS } from './nodes-scripts.ts';
import { testScripts } from './scripts.ts';

testScripts('nodes, reads and transactions', NODES_SCRIPTS);
