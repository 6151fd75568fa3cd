import type { JudgedChange } from '../changes/change.js';
import type { ContentReader } from '../changes/content.js';
import { isBinary } from '../render/git-binary.js';
import { countLines, textDiff } from '../render/text-diff.js';
import { changeName, kindLetter } from './changes.js';
import type { Paint } from './print.js';
import { size, table } from './table.js';

/** Beyond this many bytes lines aren't counted. */
const LARGE = 4 * 1024 * 1024;

/** `diff --stat`: one line a change, with lines added and removed. */
export function statText(changes: readonly JudgedChange[], contents: ContentReader, paint: Paint): string {
  return table(changes.map((change) => [kindLetter(change), changeName(change), amountText(change, contents, paint)]));
}

function amountText(change: JudgedChange, contents: ContentReader, paint: Paint): string {
  if (change.type !== 'file' && change.oldType !== 'file') return '';
  const lines = linesOf(change, contents);
  if (lines === null) return `${size(change.base?.size ?? 0)} → ${size(change.upper?.size ?? 0)}`;
  const { added, removed } = lines;
  return [added > 0 ? paint('green', `+${added}`) : '', removed > 0 ? paint('red', `-${removed}`) : ''].filter((part) => part !== '').join(' ');
}

/** Null for binary and large files, and for what can't be read. */
export function linesOf(change: JudgedChange, contents: ContentReader): { readonly added: number; readonly removed: number } | null {
  if (!change.content && change.kind !== 'delete' && change.kind !== 'add') return { added: 0, removed: 0 };
  const before = change.kind === 'add' || change.base === null ? Buffer.alloc(0) : contents.read(change, 'base', LARGE);
  const after = change.kind === 'delete' || change.upper === null ? Buffer.alloc(0) : contents.read(change, 'upper', LARGE);
  if (before === null || after === null || isBinary(before) || isBinary(after)) return null;
  if (before.length === 0 || after.length === 0) return { added: lineCount(after), removed: lineCount(before) };
  return countLines(textDiff(before.toString('latin1'), after.toString('latin1')));
}

function lineCount(content: Buffer): number {
  let lines = content.length > 0 && content[content.length - 1] !== 10 ? 1 : 0;
  for (let at = content.indexOf(10); at !== -1; at = content.indexOf(10, at + 1)) lines += 1;
  return lines;
}
