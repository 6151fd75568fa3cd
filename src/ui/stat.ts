import type { JudgedChange } from '../changes/change.js';
import type { ContentReader } from '../changes/content.js';
import type { Crowd } from '../changes/scan/crowd.js';
import { orderOf, rankOf } from '../changes/scan/order.js';
import { statLines, type CrowdLines } from '../kernel/native.js';
import { summarise } from '../render/summary.js';
import { changeName, kindLetter, notesText } from './changes.js';
import type { Colour, Paint } from './print.js';
import { size, table } from './table.js';

/** `diff --stat`: one line a change, with lines added and removed. */
export function statText(changes: readonly JudgedChange[], contents: ContentReader, paint: Paint): Uint8Array {
  const rows = changes.map((change): Row => [kindLetter(change), changeName(change), `${amountText(change, contents, paint)}${notesText(change)}`.trim()]);
  return changes.some(({ crowd }) => crowd !== undefined) ? withCrowds(changes, rows, paint) : Buffer.from(table(rows));
}

type Row = readonly [letter: string, name: string, amount: string];

/** The addon makes the lines of what the first of a crowd stands for, and puts all in order. */
function withCrowds(changes: readonly JudgedChange[], rows: readonly Row[], paint: Paint): Uint8Array {
  const words = new Uint32Array(changes.flatMap((change, index) => [rankOf(change), orderOf(change), rows[index]?.[1].length ?? 0]));
  // As `table` leaves no blanks at the end.
  const cells = rows.map(([letter, name, amount]) => `${letter}\0${amount === '' ? name.trimEnd() : name}\0${amount}\0`).join('');
  const crowds = changes.flatMap((change) => (change.crowd === undefined ? [] : [linesOf(change, change.crowd.crowd)]));
  return statLines({ words, paths: changes.map(({ path }) => `${path}\0`).join(''), cells, crowds, paint: [...around(paint, 'green'), ...around(paint, 'red')] });
}

function linesOf(change: JudgedChange, { dir, piece: { memory }, at }: Crowd): CrowdLines {
  return {
    rank: rankOf(change), order: orderOf(change), letter: kindLetter(change), notes: notesText(change),
    dir: dir === '/' ? dir : `${dir}/`, memory, at: Uint32Array.from(at),
  };
}

/** What a colour puts before and behind a text. */
function around(paint: Paint, colour: Colour): [string, string] {
  const [before = '', behind = ''] = paint(colour, '\0').split('\0');
  return [before, behind];
}

function amountText(change: JudgedChange, contents: ContentReader, paint: Paint): string {
  const { binary, added, removed } = summarise(change, contents);
  if (binary === null) return change.meta.join(', ');
  if (binary) return [change.kind === 'add' ? null : change.base, change.upper].filter((stat) => stat !== null).map((stat) => size(stat.size)).join(' → ');
  const parts = [added === null || added === 0 ? '' : paint('green', `+${added}`), removed === null || removed === 0 ? '' : paint('red', `-${removed}`)];
  return parts.filter((part) => part !== '').join(' ');
}
