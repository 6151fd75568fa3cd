import type { AskLine } from './confirm.js';

/** One thing to say yes or no to: a hunk, or a whole change that has none. */
export interface Choice {
  readonly id: string;
  /** what the user looks at before answering, ready for the terminal */
  readonly text: string;
  /** what `[y,n,…]` is asked about, e.g. `Take this hunk` */
  readonly question: string;
  /** smaller hunks of the same lines; null where it can't be split */
  readonly split: (() => readonly Choice[]) | null;
}

/** The hunks of one file, to be chosen one after the other. */
export interface ChoiceFile {
  /** shown once, before the first choice; may be empty */
  readonly header: string;
  readonly choices: readonly Choice[];
}

/** The ids that were taken, per file in order; null when the user broke off by Ctrl-C or the end of input. */
export type Picked = readonly (readonly string[])[] | null;

const HELP: Readonly<Record<string, string>> = {
  y: 'take this',
  n: 'leave this',
  q: 'leave this and everything after it',
  a: 'take this and the rest of this file',
  d: 'leave this and the rest of this file',
  s: 'split this hunk into smaller ones',
  '?': 'say what the keys mean',
};

/** Asks hunk by hunk, with the keys of `git add -p` that mean something here. */
export async function pickHunks(files: readonly ChoiceFile[], ask: AskLine, show: (text: string) => void): Promise<Picked> {
  const taken: string[][] = [];
  let quit = false;
  for (const file of files) {
    const ids: string[] = [];
    taken.push(ids);
    if (quit) continue;
    if (file.header !== '') show(file.header);
    const answer = await pickInFile([...file.choices], ids, { ask, show });
    if (answer === 'broken off') return null;
    quit = answer === 'quit';
  }
  return taken;
}

interface Screen {
  readonly ask: AskLine;
  readonly show: (text: string) => void;
}

async function pickInFile(left: Choice[], ids: string[], screen: Screen): Promise<'done' | 'quit' | 'broken off'> {
  let total = left.length;
  for (let number = 1; left.length > 0; number += 1) {
    const choice = left.shift() as Choice;
    screen.show(choice.text);
    const key = await askKey(choice, total === 1 ? '' : `(${number}/${total}) `, screen);
    if (key === null) return 'broken off';
    if (key === 'q') return 'quit';
    if (key === 'd') return 'done';
    if (key === 'y' || key === 'a') ids.push(choice.id);
    if (key === 'a') {
      ids.push(...left.map(({ id }) => id));
      return 'done';
    }
    if (key === 's' && choice.split !== null) {
      const parts = choice.split();
      screen.show(`Split into ${parts.length} hunks.`);
      left.unshift(...parts);
      total += parts.length - 1;
      number -= 1;
    }
  }
  return 'done';
}

/** Asks until a key is given that counts here. */
async function askKey(choice: Choice, position: string, { ask, show }: Screen): Promise<string | null> {
  const keys = Object.keys(HELP).filter((key) => key !== 's' || choice.split !== null);
  for (;;) {
    const answer = await ask(`${position}${choice.question} [${keys.join(',')}]? `);
    if (answer === null) return null;
    const key = answer.trim().toLowerCase();
    if (key !== '?' && keys.includes(key)) return key;
    show(keys.map((name) => `${name} - ${HELP[name] ?? ''}`).join('\n'));
  }
}
