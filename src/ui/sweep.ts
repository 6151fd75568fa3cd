/**
 * The trash's sweeper: a process of its own, started detached by the command
 * that made or saw trash. Its one argument is the store.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../sandbox/store.js';
import { sweepTrash } from '../sandbox/trash.js';
import { processContext } from './context.js';

const [, , dir] = process.argv;
// A store that was removed meanwhile is not to come back.
if (dir !== undefined && existsSync(join(dir, 'format'))) {
  const context = processContext();
  sweepTrash(openStore({ ...context, env: { AGENTFW_STATE_DIR: dir } }), { stuckToo: false });
}
