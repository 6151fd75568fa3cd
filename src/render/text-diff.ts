import { structuredPatch } from 'diff';

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
/** The cost of a diff grows with the square of this: beyond it one hunk replaces what differs. */
const MOST_EDITS = 1500;
const MOST_CHARS = 8 * 1024 * 1024;
const NO_NEWLINE = '\\ No newline at end of file';

/** Pure and bounded in time, not by a clock: the same texts give the same hunks. One char per byte. */
export function textDiff(before: string, after: string): TextHunk[] {
  if (before === after) return [];
  if (before.length + after.length > MOST_CHARS) return [replacingHunk(before, after)];
  const patch = structuredPatch('', '', before, after, '', '', { context: CONTEXT, maxEditLength: MOST_EDITS });
  if (patch === undefined) return [replacingHunk(before, after)];
  return patch.hunks.map((hunk) => ({ ...hunk, oldStart: startOf(hunk.oldStart, hunk.oldLines), newStart: startOf(hunk.newStart, hunk.newLines) }));
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

/** All between the lines that both begin with and the lines that both end with. */
function replacingHunk(before: string, after: string): TextHunk {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const most = Math.min(old.length, fresh.length);
  let head = 0;
  while (head < most && old[head] === fresh[head]) head += 1;
  let tail = 0;
  while (tail < most - head && old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]) tail += 1;
  const from = Math.max(0, head - CONTEXT);
  const after3 = Math.min(tail, CONTEXT);
  const oldEnd = old.length - tail;
  const lines = [
    ...old.slice(from, head).map((line) => ` ${line}`),
    ...old.slice(head, oldEnd).map((line) => `-${line}`),
    ...fresh.slice(head, fresh.length - tail).map((line) => `+${line}`),
    ...old.slice(oldEnd, oldEnd + after3).map((line) => ` ${line}`),
  ];
  const oldLines = oldEnd + after3 - from;
  const newLines = fresh.length - tail + after3 - from;
  return {
    oldStart: startOf(from + 1, oldLines),
    oldLines,
    newStart: startOf(from + 1, newLines),
    newLines,
    lines: lines.flatMap((line) => (line.endsWith('\n') ? [line.slice(0, -1)] : [line, NO_NEWLINE])),
  };
}

/** With their newlines, so that a last line without one is another line. */
function linesOf(text: string): string[] {
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  const whole = lines.map((line) => `${line}\n`);
  return last === '' ? whole : [...whole, last];
}
