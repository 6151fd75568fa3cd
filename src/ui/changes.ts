import type { JudgedChange, Change } from '../changes/change.js';
import { toText } from '../bytes.js';
import { namesOf } from '../changes/scan/hostlink.js';
import { escapeForTerminal, showBytes } from './escape.js';
import type { Paint } from './print.js';
import { plural } from './table.js';

const LETTERS = { add: 'A', modify: 'M', delete: 'D', type: 'T', metadata: 'm', rename: 'R' } as const;

/** As in `git status`; a change of metadata alone is a small m. */
export function kindLetter(change: Change): string {
  return LETTERS[change.kind];
}

/** A directory ends in a slash, a rename shows both names. */
export function changeName(change: Change): string {
  const name = showBytes(change.path) + (change.type === 'dir' && change.path !== '/' ? '/' : '');
  const link = change.target === null || change.kind === 'delete' ? '' : ` -> ${showBytes(change.target)}`;
  return `${change.from === null ? '' : `${showBytes(change.from)} => `}${name}${link}`;
}

const WORDS = { add: 'added', modify: 'modified', delete: 'deleted', type: 'of another type', metadata: 'with other metadata', rename: 'renamed' } as const;

/** `3 modified, 1 added, 1 deleted`, or `no changes`. */
export function countsText(counts: Readonly<Partial<Record<keyof typeof WORDS, number>>>): string {
  const kinds = ['modify', 'add', 'delete', 'rename', 'type', 'metadata'] as const;
  const parts = kinds.filter((kind) => (counts[kind] ?? 0) > 0).map((kind) => `${counts[kind] ?? 0} ${WORDS[kind]}`);
  return parts.length === 0 ? 'no changes' : parts.join(', ');
}

/** The heading of a risk class in diff and commit. */
export function classHeading(name: JudgedChange['class'], count: number): string {
  const them = count === 1 ? 'takes' : 'take';
  if (name === 'control') return `${plural(count, 'change')} that ${them} effect on the host without further action`;
  if (name === 'later') return `${plural(count, 'change')} that ${count === 1 ? 'runs' : 'run'} code later`;
  return plural(count, 'other change');
}

/** One line of `diff --name-only` or of a listing, in colour. */
export function changeLine(change: JudgedChange, paint: Paint): string {
  const colour = change.kind === 'delete' ? 'red' : change.kind === 'add' ? 'green' : 'yellow';
  return `${paint(colour, kindLetter(change))} ${changeName(change)}${notesText(change)}`;
}

/** Why it is risky, what stands in its way, and what the policy says: `  (git hook; conflict: changed)`, or nothing. */
export function notesText(change: JudgedChange): string {
  const { reason, conflict, link } = change;
  const names = namesOf(change);
  const notes = [link === undefined ? null : `hard link to ${toText(link.path)}`, names === null ? null : `one of ${names} names of a file`, reason, conflict === null ? null : `conflict: ${conflict}`, verdictText(change)].filter((note) => note !== null);
  return notes.length === 0 ? '' : `  (${notes.map(escapeForTerminal).join('; ')})`;
}

/** Said by class, conflict or default already. */
const TOLD = /^(changes\.default|class\.|control\.|later\.|change\.)/;

/** A verdict that a rule gave; that what nobody names waits for a decision goes without saying. */
function verdictText({ verdict, rule }: JudgedChange): string | null {
  if (verdict === null || rule === null || (verdict === 'escalate' && TOLD.test(rule))) return null;
  return `${verdict}: ${rule}`;
}
