import { createHash } from 'node:crypto';
import type { Bytes } from '../bytes.js';
import { textDiff, type TextHunk } from '../render/text-diff.js';

/** A hunk with a name that stays the same while its own lines do, whatever else lands or moves. */
export interface Hunk extends TextHunk {
  readonly id: string;
}

/** The hunks of one text, from its beginning to its end. */
export interface HunkFile {
  readonly path: Bytes;
  readonly hunks: readonly Hunk[];
}

/** The hunks between the host's version and the agent's. Both are bytes: no encoding is assumed, none is lost. */
export function hunksOf(path: Bytes, before: Uint8Array, after: Uint8Array): HunkFile {
  return { path, hunks: named(path, textDiff(latin1(before), latin1(after))) };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Equal hunks of one file are told apart by their number. */
function named(path: Bytes, hunks: readonly TextHunk[]): Hunk[] {
  const seen = new Map<string, number>();
  return hunks.map((hunk) => {
    const edits = hunk.lines.filter((line) => !line.startsWith(' ')).join('\n');
    const number = (seen.get(edits) ?? 0) + 1;
    seen.set(edits, number);
    const id = createHash('sha256').update(`${path}\0${number}\0${edits}`, 'latin1').digest('hex').slice(0, 12);
    return { ...hunk, id };
  });
}

/** Smaller hunks of the same lines, split where unchanged lines lie between; null when there is only one. */
export function splitHunk(path: Bytes, hunk: Hunk): readonly Hunk[] | null {
  const runs = runsIn(hunk);
  if (runs.length < 2) return null;
  return named(path, runs.map((run) => ({ ...run, lines: run.lines })));
}

/** Maximal runs of changed lines, each a hunk without context. */
function runsIn(hunk: TextHunk): TextHunk[] {
  const runs: TextHunk[] = [];
  let old = hunk.oldStart + (hunk.oldLines === 0 ? 1 : 0);
  let fresh = hunk.newStart + (hunk.newLines === 0 ? 1 : 0);
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.some((line) => !line.startsWith('\\'))) runs.push(runOf(lines, old, fresh));
    lines = [];
  };
  for (const line of hunk.lines) {
    if (line.startsWith(' ')) flush();
    if (!line.startsWith(' ')) lines.push(line);
    if (line.startsWith(' ') || line.startsWith('-')) old += 1;
    if (line.startsWith(' ') || line.startsWith('+')) fresh += 1;
  }
  flush();
  return runs;
}

/** `old` and `fresh` are the line numbers after the run. */
function runOf(lines: readonly string[], old: number, fresh: number): TextHunk {
  const oldLines = lines.filter((line) => line.startsWith('-')).length;
  const newLines = lines.filter((line) => line.startsWith('+')).length;
  return {
    oldStart: old - oldLines - (oldLines === 0 ? 1 : 0),
    oldLines,
    newStart: fresh - newLines - (newLines === 0 ? 1 : 0),
    newLines,
    lines: [...lines],
  };
}

/** The host's version with the chosen hunks in it. Throws when a hunk isn't one of this version's. */
export function composeHunks(before: Uint8Array, chosen: readonly TextHunk[]): Buffer {
  const lines = linesOf(latin1(before));
  const result: string[] = [];
  let at = 0;
  for (const hunk of [...chosen].sort((a, b) => startOf(a) - startOf(b))) {
    const start = startOf(hunk);
    if (start < at) throw new Error('two chosen hunks overlap');
    result.push(...lines.slice(at, start));
    at = applyHunk({ lines, at: start, result }, hunk);
  }
  result.push(...lines.slice(at));
  return Buffer.from(result.join(''), 'latin1');
}

/** Index of the first old line. */
function startOf(hunk: TextHunk): number {
  return hunk.oldLines === 0 ? hunk.oldStart : hunk.oldStart - 1;
}

interface Composing {
  readonly lines: readonly string[];
  readonly at: number;
  readonly result: string[];
}

function applyHunk({ lines, at, result }: Composing, hunk: TextHunk): number {
  let next = at;
  hunk.lines.forEach((line, index) => {
    if (line.startsWith('\\')) return;
    const bare = hunk.lines[index + 1]?.startsWith('\\') === true;
    const text = `${line.slice(1)}${bare ? '' : '\n'}`;
    if (line.startsWith('+')) {
      result.push(text);
      return;
    }
    if (lines[next] !== text) throw new Error(`the hunk ${hunk.oldStart} doesn't fit the host's version`);
    if (line.startsWith(' ')) result.push(text);
    next += 1;
  });
  return next;
}

/** With their newlines, so that a last line without one is another line. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
