import type { Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import { kindLetter, notesText } from './changes.js';
import { Checklist, type CheckRow } from './checklist.js';
import { askChecklist } from './checkprompt.js';
import { showBytes } from './escape.js';
import type { Paint } from './print.js';

/** Paths by class with checkboxes; null when the user broke off. Control and conflicting paths start unchecked. */
export async function pickPaths(changes: readonly JudgedChange[], paint: Paint): Promise<readonly Bytes[] | null> {
  const groups = CLASSES.map(([name, title]) => ({ title, changes: changes.filter((change) => change.class === name) }));
  const list = new Checklist(groups.map(({ title, changes: members }) => ({ title, rows: members.map(rowOf) })));
  if (!(await askChecklist({ message: 'Which changes land?', list, paint }))) return null;
  return groups.flatMap((group) => group.changes).flatMap(({ path }, index) => (list.isChecked(index) ? [path] : []));
}

const CLASSES = [
  ['control', 'take effect on the host by themselves'],
  ['later', 'run code later'],
  ['normal', 'other changes'],
] as const;

function rowOf(change: JudgedChange): CheckRow {
  return {
    label: () => `${kindLetter(change)} ${showBytes(change.path)}${notesText(change)}`,
    checked: change.class !== 'control' && change.conflict === null,
  };
}
