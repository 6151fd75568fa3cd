import { diffArrays } from 'diff';
import { anchorsOf } from './anchors.js';

/** Some lines of two texts that differ, with what is around them. */
export interface TextHunk {
  /** 1-based; the line before when there is none */
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** each with its ` `, `-`, `+` or `\` in front */
  readonly lines: readonly string[];
}

const CONTEXT = 3;
/** The cost of a diff grows with the square of this: beyond it what lies between lines that are in both once is compared. native/lines.cc has it too. */
const MOST_EDITS = 1500;
const MOST_CHARS = 8 * 1024 * 1024;
const NO_NEWLINE = '\\ No newline at end of file';

/** Pure and bounded in time, not by a clock: the same texts give the same hunks. One char per byte. */
export function textDiff(before: string, after: string): TextHunk[] {
  if (before === after) return [];
  const { head, tail } = commonEnds(before, after);
  const old = linesOf(before.slice(head, before.length - tail));
  const fresh = linesOf(after.slice(head, after.length - tail));
  const blocks = before.length + after.length > MOST_CHARS ? [all(old, fresh)] : blocksOf(old, fresh);
  const lead = lastLines(before, head);
  const trail = firstLines(before, before.length - tail);
  const shift = lead.length;
  return hunksOf({
    old: [...lead, ...old, ...trail],
    fresh: [...lead, ...fresh, ...trail],
    blocks: blocks.map((block) => block.map((at) => at + shift) as unknown as Block),
    above: countNewlines(before, head) - shift,
  });
}

/** All of a text as added or removed: what `hunkText` would make of its one hunk, without taking it apart. */
export function wholeText(text: string, sign: '+' | '-'): string {
  if (text === '') return '';
  const ends = text.endsWith('\n');
  const body = ends ? text.slice(0, -1) : text;
  const lines = countNewlines(body, body.length) + 1;
  const range = `1${lines === 1 ? '' : `,${lines}`}`;
  const head = sign === '+' ? `@@ -0,0 +${range} @@` : `@@ -${range} +0,0 @@`;
  return `${head}\n${sign}${body.replaceAll('\n', `\n${sign}`)}\n${ends ? '' : `${NO_NEWLINE}\n`}`;
}

/** `old[from, to)` becomes `fresh[from, to)`. */
type Block = readonly [oldFrom: number, oldTo: number, freshFrom: number, freshTo: number];

interface Compared {
  readonly old: readonly string[];
  readonly fresh: readonly string[];
  /** in their order, with equal lines between */
  readonly blocks: readonly Block[];
  /** equal lines before these */
  readonly above: number;
}

const NEWLINE = 10;

/** How many chars both begin and end with, in whole lines. */
function commonEnds(before: string, after: string): { readonly head: number; readonly tail: number } {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before.charCodeAt(head) === after.charCodeAt(head)) head += 1;
  head = head === 0 ? 0 : before.lastIndexOf('\n', head - 1) + 1;
  let tail = 0;
  const rest = most - head;
  while (tail < rest && before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)) tail += 1;
  if (!startsLine(before, before.length - tail, head) || !startsLine(after, after.length - tail, head)) {
    const newline = before.indexOf('\n', before.length - tail);
    tail = newline === -1 ? 0 : before.length - newline - 1;
  }
  return { head, tail };
}

function startsLine(text: string, at: number, head: number): boolean {
  return at === head || text.charCodeAt(at - 1) === NEWLINE;
}

function countNewlines(text: string, end: number): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/** The lines of context that end at `end`. */
function lastLines(text: string, end: number): string[] {
  let from = end;
  for (let count = 0; count < CONTEXT && from > 0; count += 1) from = from < 2 ? 0 : text.lastIndexOf('\n', from - 2) + 1;
  return linesOf(text.slice(from, end));
}

/** The lines of context that begin at `from`. */
function firstLines(text: string, from: number): string[] {
  let to = from;
  for (let count = 0; count < CONTEXT && to < text.length; count += 1) {
    const newline = text.indexOf('\n', to);
    to = newline === -1 ? text.length : newline + 1;
  }
  return linesOf(text.slice(from, to));
}

function all(old: readonly string[], fresh: readonly string[]): Block {
  return [0, old.length, 0, fresh.length];
}

/** A shortest edit; where that is long, one between lines that stay for certain. */
function blocksOf(old: string[], fresh: string[]): Block[] {
  return shortest(old, fresh, MOST_EDITS)?.blocks ?? between(old, fresh);
}

/** Bounded like a single one: each piece may cost what is left, and is replaced as a whole where it would cost more. */
function between(old: readonly string[], fresh: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let left = MOST_EDITS ** 2;
  let [oldFrom, freshFrom] = [0, 0];
  for (const [oldTo, freshTo] of [...anchorsOf(old, fresh), [old.length, fresh.length] as const]) {
    const piece = trimmed(old, fresh, [oldFrom, oldTo, freshFrom, freshTo]);
    const most = Math.floor(Math.sqrt(left));
    const found = shortest(old.slice(piece[0], piece[1]), fresh.slice(piece[2], piece[3]), most);
    left -= (found?.edits ?? most) ** 2;
    for (const block of found?.blocks ?? [[0, piece[1] - piece[0], 0, piece[3] - piece[2]] as const]) {
      blocks.push([block[0] + piece[0], block[1] + piece[0], block[2] + piece[2], block[3] + piece[2]]);
    }
    [oldFrom, freshFrom] = [oldTo + 1, freshTo + 1];
  }
  return blocks;
}

/** Without the lines that both sides begin and end with. */
function trimmed(old: readonly string[], fresh: readonly string[], block: Block): Block {
  let [oldFrom, oldTo, freshFrom, freshTo] = block;
  while (oldFrom < oldTo && freshFrom < freshTo && old[oldFrom] === fresh[freshFrom]) [oldFrom, freshFrom] = [oldFrom + 1, freshFrom + 1];
  while (oldFrom < oldTo && freshFrom < freshTo && old[oldTo - 1] === fresh[freshTo - 1]) [oldTo, freshTo] = [oldTo - 1, freshTo - 1];
  return [oldFrom, oldTo, freshFrom, freshTo];
}

interface Edit {
  readonly blocks: Block[];
  /** its length: the square is what finding it costs */
  readonly edits: number;
}

/** Null where it is longer. Of texts that begin and end with different lines. */
function shortest(old: string[], fresh: string[], most: number): Edit | null {
  if (old.length === 0 && fresh.length === 0) return { blocks: [], edits: 0 };
  const plain = old.length === 0 || fresh.length === 0 || (old.length === 1 && fresh.length === 1);
  if (plain) return { blocks: [all(old, fresh)], edits: 0 };
  const parts = diffArrays(old, fresh, { maxEditLength: most });
  if (parts === undefined) return null;
  const blocks: Block[] = [];
  let edits = 0;
  let [oldAt, freshAt] = [0, 0];
  for (const { added, removed, value } of parts) {
    const [oldTo, freshTo] = [oldAt + (added ? 0 : value.length), freshAt + (removed ? 0 : value.length)];
    const last = blocks.at(-1);
    if (added || removed) {
      edits += value.length;
      if (last !== undefined && last[1] === oldAt && last[3] === freshAt) blocks[blocks.length - 1] = [last[0], oldTo, last[2], freshTo];
      else blocks.push([oldAt, oldTo, freshAt, freshTo]);
    }
    [oldAt, freshAt] = [oldTo, freshTo];
  }
  return { blocks, edits };
}

/** Blocks whose contexts touch share a hunk. */
function hunksOf(compared: Compared): TextHunk[] {
  const groups: Block[][] = [];
  for (const block of compared.blocks) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    if (group !== undefined && last !== undefined && block[0] - last[1] <= 2 * CONTEXT) group.push(block);
    else groups.push([block]);
  }
  return groups.map((group) => hunkOf(compared, group));
}

function hunkOf({ old, fresh, above }: Compared, group: readonly Block[]): TextHunk {
  const [first, last] = [group[0] as Block, group.at(-1) as Block];
  const lead = Math.min(first[0], CONTEXT);
  const trail = Math.min(old.length - last[1], CONTEXT);
  const lines: string[] = [];
  let at = first[0] - lead;
  for (const [oldFrom, oldTo, freshFrom, freshTo] of group) {
    pushLines(lines, ' ', old, [at, oldFrom]);
    pushLines(lines, '-', old, [oldFrom, oldTo]);
    pushLines(lines, '+', fresh, [freshFrom, freshTo]);
    at = oldTo;
  }
  pushLines(lines, ' ', old, [at, at + trail]);
  const oldLines = last[1] + trail - first[0] + lead;
  const newLines = last[3] + trail - first[2] + lead;
  const [oldStart, newStart] = [above + first[0] - lead + 1, above + first[2] - lead + 1];
  return { oldStart: startOf(oldStart, oldLines), oldLines, newStart: startOf(newStart, newLines), newLines, lines };
}

function pushLines(out: string[], sign: string, lines: readonly string[], [from, to]: readonly [number, number]): void {
  for (let at = from; at < to; at += 1) {
    const line = lines[at] ?? '';
    if (line.endsWith('\n')) out.push(`${sign}${line.slice(0, -1)}`);
    else out.push(`${sign}${line}`, NO_NEWLINE);
  }
}

/** Added and removed lines. */
export function countLines(hunks: readonly TextHunk[]): { readonly added: number; readonly removed: number } {
  let [added, removed] = [0, 0];
  for (const { lines } of hunks) {
    for (const line of lines) {
      if (line.startsWith('+')) added += 1;
      else if (line.startsWith('-')) removed += 1;
    }
  }
  return { added, removed };
}

/** `@@ -1,2 +1,3 @@`, and the lines. */
export function hunkText(hunk: TextHunk): string {
  const range = (start: number, lines: number): string => (lines === 1 ? `${start}` : `${start},${lines}`);
  const head = `@@ -${range(hunk.oldStart, hunk.oldLines)} +${range(hunk.newStart, hunk.newLines)} @@`;
  return [head, ...hunk.lines, ''].join('\n');
}

/** Unified diff: a side without lines names the line before it. */
function startOf(start: number, lines: number): number {
  return lines === 0 ? start - 1 : start;
}

/** With their newlines, so that a last line without one is another line. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const next = newline === -1 ? text.length : newline + 1;
    lines.push(text.slice(at, next));
    at = next;
  }
  return lines;
}
