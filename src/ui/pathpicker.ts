import type { Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import { kindLetter, notesText } from './changes.js';
import { showBytes } from './escape.js';

/** Paths by class with checkboxes; null when the user broke off. Control and conflicting paths start unchecked. */
export async function pickPaths(changes: readonly JudgedChange[]): Promise<readonly Bytes[] | null> {
  const { checkbox, Separator } = await import('@inquirer/prompts');
  const choices = CLASSES.flatMap(([name, title]) => {
    const members = changes.filter((change) => change.class === name);
    if (members.length === 0) return [];
    return [new Separator(title), ...members.map((change) => choiceOf(change))];
  });
  try {
    return await checkbox({ message: 'Which changes land?', choices, pageSize: 20, loop: false }, { output: process.stderr });
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') return null;
    throw error;
  }
}

const CLASSES = [
  ['control', 'take effect on the host by themselves'],
  ['later', 'run code later'],
  ['normal', 'other changes'],
] as const;

function choiceOf(change: JudgedChange): { name: string; value: Bytes; checked: boolean } {
  return {
    name: `${kindLetter(change)} ${showBytes(change.path)}${notesText(change)}`,
    value: change.path,
    checked: change.class !== 'control' && change.conflict === null,
  };
}
