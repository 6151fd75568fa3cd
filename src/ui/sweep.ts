/**
 * The trash's sweeper: a process of its own, started detached by the command
 * that made or saw trash. Its one argument is the store's real path.
 */
import { fromText } from '../bytes.js';
import { reopenStore } from '../sandbox/store.js';
import { sweepTrash } from '../sandbox/trash.js';
import { processContext } from './context.js';

const [, , dir] = process.argv;
// One that was removed meanwhile is not to come back.
const store = dir === undefined ? null : reopenStore(processContext(), fromText(dir));
if (store !== null) sweepTrash(store, { stuckToo: false });
