import { mergePieces } from './merge-pieces.js';

/** Three whole versions of one file. */
export interface MergeInput {
  /** the captured base */
  readonly base: Uint8Array;
  readonly host: Uint8Array;
  readonly sandbox: Uint8Array;
  /** stands behind the markers of an unclean merge, such as the tag */
  readonly name: string;
}

/** Why a file is not merged: it would be mangled, or nobody could read the result. */
export type MergeRefusal = 'binary' | 'encoding' | 'line-endings' | 'large' | 'long-lines' | 'repetitive';

/** The merged bytes, or why there are none; `clean` false: with markers. */
export type Merged =
  | { readonly kind: 'clean'; readonly content: Buffer }
  | { readonly kind: 'conflicts'; readonly content: Buffer; readonly count: number }
  | { readonly kind: 'refused'; readonly why: MergeRefusal };

const MOST_BYTES = 2 * 1024 * 1024;
const MOST_LINE = 64 * 1024;

export const MERGE_REFUSALS: Readonly<Record<MergeRefusal, string>> = {
  binary: 'it is binary',
  encoding: 'it is not UTF-8',
  'line-endings': 'its line endings differ between the versions',
  large: 'it is larger than 2 MiB',
  'long-lines': 'it has lines longer than 64 KiB',
  repetitive: 'it repeats the same lines too often',
};

/** Three-way merge of text by lines. Bytes in, bytes out: lines are never decoded, so never changed. */
export function mergeText({ base, host, sandbox, name }: MergeInput): Merged {
  const sides = [base, host, sandbox].map(textOf);
  const why = sides.map(refusalOf).find((refusal) => refusal !== null) ?? endingsDiffer(sides);
  if (why !== null && why !== undefined) return { kind: 'refused', why };
  const [old = [], ours = [], theirs = []] = sides.map(linesOf);
  const eol = sides.some((text) => text.includes('\r\n')) ? '\r\n' : '\n';
  const result: string[] = [];
  let count = 0;
  const regions = mergePieces({ old, ours, theirs });
  if (regions === null) return { kind: 'refused', why: 'repetitive' };
  for (const region of regions) {
    if ('ok' in region) {
      for (const line of region.ok) result.push(line);
      continue;
    }
    count += 1;
    result.push(...marked({ host: region.ours, sandbox: region.theirs }, { name, eol }));
  }
  const content = Buffer.from(result.join(''), 'latin1');
  return count === 0 ? { kind: 'clean', content } : { kind: 'conflicts', content, count };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function refusalOf(text: string): MergeRefusal | null {
  if (text.length > MOST_BYTES) return 'large';
  if (text.includes('\0')) return 'binary';
  const bytes = Buffer.from(text, 'latin1');
  if (Buffer.compare(Buffer.from(bytes.toString('utf8'), 'utf8'), bytes) !== 0) return 'encoding';
  return linesOf(text).some((line) => line.length > MOST_LINE) ? 'long-lines' : null;
}

/** A side that turned every ending would conflict everywhere, and a mixed result would be a mangled one. */
function endingsDiffer(sides: readonly string[]): MergeRefusal | null {
  const kinds = new Set(sides.filter((text) => text.includes('\n')).map(endingOf));
  return kinds.size > 1 ? 'line-endings' : null;
}

function endingOf(text: string): 'lf' | 'crlf' | 'mixed' {
  const all = text.split('\n').length - 1;
  const crlf = text.split('\r\n').length - 1;
  return crlf === 0 ? 'lf' : crlf === all ? 'crlf' : 'mixed';
}

interface Conflicting {
  readonly host: readonly string[];
  readonly sandbox: readonly string[];
}

/** Markers stand on lines of their own, also after a last line without an ending. */
function marked({ host, sandbox }: Conflicting, { name, eol }: { readonly name: string; readonly eol: string }): string[] {
  const closed = (lines: readonly string[]): string[] =>
    lines.map((line, index) => (index === lines.length - 1 && !line.endsWith('\n') ? `${line}${eol}` : line));
  return [`<<<<<<< host${eol}`, ...closed(host), `=======${eol}`, ...closed(sandbox), `>>>>>>> sandbox ${name}${eol}`];
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
