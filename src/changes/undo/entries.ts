import { treeWalk } from '../apply/cleaning.js';
import type { OpenDirs } from '../apply/open-dirs.js';
import { TreeEntries, type Entry } from '../plan/tree-entries.js';
import type { Place } from '../plan/step.js';
import { fileTypeOf } from '../scan/filetype.js';

/** All that a kept directory holds, in order. */
export function entriesOf(dirs: OpenDirs, tree: Place): TreeEntries {
  const entries: Entry[] = [];
  for (const { path, upper, target } of treeWalk(dirs, tree, 'user')) {
    if (path !== '') entries.push({ path, type: fileTypeOf(upper), stat: upper, target });
  }
  return new TreeEntries(entries.sort((a, b) => (a.path < b.path ? -1 : 1)));
}
