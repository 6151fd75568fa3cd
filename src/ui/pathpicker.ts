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
    return await checkbox(
      {
        message: 'Which changes land?',
        choices,
        loop: false,
        // Asked each time that it is drawn: the screen may change meanwhile.
        get pageSize() {
          return rowsOf(process.stderr);
        },
      },
      { output: process.stderr },
    );
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') return null;
    throw error;
  }
}

const MOST_ROWS = 20;
/** The question, and the keys below the list, which take two lines or three where the terminal is narrow. */
const OTHER_ROWS = 5;

/** As much of the list as fits on the screen, or the row that the keys move on would be out of sight. */
function rowsOf({ rows = MOST_ROWS + OTHER_ROWS }: { readonly rows?: number }): number {
  return Math.max(3, Math.min(MOST_ROWS, rows - OTHER_ROWS));
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
