import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { runNode } from '../../node/run-node.ts';
import { nodeFlags } from '../support/node-flags.ts';

/** `skein node` from the sources, whose tasks can run in a process of their own there too. */
const childEntry = new URL('child-entry.mjs', import.meta.url);
process.exitCode = await runNode(nodeFlags(), { handlers: builtInHandlers, childEntry });
