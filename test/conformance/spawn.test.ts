import { SPAWN_SCRIPTS } from './spawn-scripts.ts';
import { testScripts } from './scripts.ts';

testScripts('tasks that a task adds', SPAWN_SCRIPTS);
