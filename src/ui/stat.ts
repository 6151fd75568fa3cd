import type { JudgedChange } from '../changes/change.js';
import type { ContentReader } from '../changes/content.js';
import { summarise } from '../render/summary.js';
import { changeName, kindLetter, notesText } from './changes.js';
import type { Paint } from './print.js';
import { size, table } from './table.js';

/** `diff --stat`: one line a change, with lines added and removed. */
export function statText(changes: readonly JudgedChange[], contents: ContentReader, paint: Paint): string {
  return table(changes.map((change) => [kindLetter(change), changeName(change), `${amountText(change, contents, paint)}${notesText(change)}`.trim()]));
}

function amountText(change: JudgedChange, contents: ContentReader, paint: Paint): string {
  const { binary, added, removed } = summarise(change, contents);
  if (binary === null) return change.meta.join(', ');
  if (binary) return [change.kind === 'add' ? null : change.base, change.upper].filter((stat) => stat !== null).map((stat) => size(stat.size)).join(' → ');
  const parts = [added === null || added === 0 ? '' : paint('green', `+${added}`), removed === null || removed === 0 ? '' : paint('red', `-${removed}`)];
  return parts.filter((part) => part !== '').join(' ');
}
