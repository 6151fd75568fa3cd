import type { Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import { composedOf, hunkFileOf } from '../changes/conflict/compose.js';
import type { Composed } from '../changes/plan/draft.js';
import type { Gathered } from '../changes/gather.js';
import { splitHunk, type Hunk } from '../changes/hunks.js';
import { hunkText } from '../render/text-diff.js';
import { askYes, terminalLine } from './confirm.js';
import { changeLine } from './changes.js';
import { pickHunks, type Choice, type ChoiceFile } from './hunkpicker.js';
import { colourPatch, viewOf, type PatchView } from './patch.js';
import type { Printer } from './print.js';

type View = Pick<PatchView, 'gathered' | 'root'>;

/** Asks for each change that takes effect by itself, showing it first; the paths that were accepted. Null: the user broke off. */
export async function askControl(printer: Printer, withheld: readonly JudgedChange[], view: View): Promise<readonly Bytes[] | null> {
  const accepted: Bytes[] = [];
  for (const change of withheld) {
    printer.say(viewText(change, view, printer));
    const answer = await askYes(printer, `Let it land, although it takes effect by itself (${change.reason ?? 'control'})?`);
    if (answer === null) return null;
    if (answer) accepted.push(change.path);
  }
  return accepted;
}

/** On the terminal, so always escaped. */
function viewText(change: JudgedChange, view: View, printer: Printer): string {
  return [...viewOf(change, { ...view, screen: true, paint: printer.paintErr })].join('').trimEnd();
}

/** What `commit -p` chose: whole changes, and files of which only some hunks land. */
export interface PatchChoice {
  readonly paths: readonly Bytes[];
  readonly hunks: ReadonlyMap<Bytes, Composed>;
}

/** Goes through the changes hunk by hunk; null when the user broke off. */
export async function pickPatch(printer: Printer, changes: readonly JudgedChange[], view: View & { readonly gathered: Gathered }): Promise<PatchChoice | null> {
  const files = changes.map((change) => pickable(change, view, printer));
  const picked = await pickHunks(files.map(({ file }) => file), terminalLine(), (text) => printer.say(text));
  if (picked === null) return null;
  const paths: Bytes[] = [];
  const hunks = new Map<Bytes, Composed>();
  for (const [index, { change, all, known }] of files.entries()) {
    const ids = picked[index] ?? [];
    if (ids.length === 0) continue;
    const chosen = ids.flatMap((id) => known.get(id) ?? []);
    const whole = all === null || all.every(({ id }) => ids.includes(id));
    if (whole) paths.push(change.path);
    else hunks.set(change.path, composedOf(change, view.gathered.contents, chosen));
  }
  return { paths, hunks };
}

interface Pickable {
  readonly change: JudgedChange;
  readonly file: ChoiceFile;
  /** the hunks before any was split; null for a change that is taken whole */
  readonly all: readonly Hunk[] | null;
  readonly known: Map<string, Hunk>;
}

function pickable(change: JudgedChange, view: View & { readonly gathered: Gathered }, printer: Printer): Pickable {
  const hunks = hunkFileOf(change, view.gathered.contents)?.hunks ?? [];
  const known = new Map<string, Hunk>();
  if (hunks.length === 0) {
    const choice: Choice = { id: 'whole', text: viewText(change, view, printer), question: `Take this ${NOUNS[change.kind]}`, split: null };
    return { change, file: { header: '', choices: [choice] }, all: null, known };
  }
  // The parts of two split hunks may be equal: their place in the tree tells them apart.
  const choiceOf = (hunk: Hunk, id: string): Choice => {
    known.set(id, hunk);
    const parts = splitHunk(change.path, hunk);
    const text = colourPatch(hunkText(hunk) as Bytes, printer.paintErr, true).trimEnd();
    const split = parts === null ? null : () => parts.map((part, index) => choiceOf(part, `${id}/${index}`));
    return { id, text, question: 'Take this hunk', split };
  };
  return { change, file: { header: changeLine(change, printer.paintErr), choices: hunks.map((hunk) => choiceOf(hunk, hunk.id)) }, all: hunks, known };
}

const NOUNS = { add: 'addition', modify: 'change', delete: 'deletion', type: 'change of type', metadata: 'change of metadata', rename: 'rename' } as const;
