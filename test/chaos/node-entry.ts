import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { runNode } from '../../node/run-node.ts';
import { nodeFlags } from '../support/node-flags.ts';
import { chaosHandlers } from './handlers.ts';

/** `skein node` with the handlers of the chaos, by the same composition and the same flags. */
const code = await runNode(nodeFlags(), {
  handlers: [...builtInHandlers, ...chaosHandlers('node')],
  childEntry: new URL('child-entry.mjs', import.meta.url),
});
// Nothing that a handler left open may keep the process of a node that has ended.
process.exit(code);
