/**
 * The trash's sweeper: a process of its own, started detached by the command
 * that made or saw trash. Its one argument is the store.
 */
import { openStore } from '../sandbox/store.js';
import { sweepTrash } from '../sandbox/trash.js';
import { processContext } from './context.js';

const [, , dir] = process.argv;
if (dir !== undefined) {
  const context = processContext();
  sweepTrash(openStore({ ...context, env: { AGENTFW_STATE_DIR: dir } }), { stuckToo: false });
}
