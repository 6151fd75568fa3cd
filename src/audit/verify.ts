import type { Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { GENESIS, hashLine, isSignedBy, type AuditHead } from './chain.js';
import { readHead } from './files.js';
import { parseLine, rawLines, type RawLine } from './read.js';

export type Verification =
  | {
      readonly ok: true;
      readonly records: number;
      /** `signed`: complete up to the signed end · `open`: goes on behind it or was never closed, so its end can't be proven */
      readonly end: 'signed' | 'open';
      /** index of the last record that the signature covers; null without one */
      readonly covered: number | null;
    }
  | { readonly ok: false; readonly index: number; readonly file: string; readonly line: number; readonly why: string };

/** Reads the whole log again: each record, each link, the signed end. Names the first record that is wrong. */
export function verifyLog(kernel: Kernel, dir: Bytes, tag: string, publicKey: string | null): Verification {
  const head = headOrNull(kernel, dir);
  if (head === 'bad') return bad(0, 'audit.head.json', 1, 'the signed end is not readable');
  if (head !== null && head.signature !== null && (publicKey === null || head.tag !== tag || !isSignedBy(head, publicKey))) {
    return bad(Math.max(head.index, 0), 'audit.head.json', 1, 'the end is not signed by your key');
  }
  let expected = 0;
  let prev = GENESIS;
  let last: { file: Bytes; number: number } = { file: 'audit.jsonl' as Bytes, number: 0 };
  for (const line of readable(kernel, dir)) {
    if (line === null) return bad(expected, last.file, last.number + 1, 'what follows is no file that can be read');
    const wrong = wrongLine(line.text, line.ended, expected, prev, tag);
    if (wrong !== null) return bad(expected, line.file, line.number, wrong);
    prev = hashLine(line.text);
    if (head !== null && expected === head.index && prev !== head.hash) {
      return bad(expected, line.file, line.number, 'it is not the record that was signed as the end');
    }
    expected += 1;
    last = line;
  }
  if (head !== null && expected <= head.index) {
    return bad(expected, last.file, last.number + 1, `the log is cut: records ${expected} to ${head.index} are missing`);
  }
  if (expected === 0) return bad(0, last.file, 1, 'there is no record, and every run begins with one');
  const signed = head !== null && head.signature !== null;
  return { ok: true, records: expected, end: signed && head.index === expected - 1 ? 'signed' : 'open', covered: signed ? head.index : null };
}

/** Null at the end: something lies among the log's files that isn't one of them. */
function* readable(kernel: Kernel, dir: Bytes): Generator<RawLine | null> {
  try {
    yield* rawLines(kernel, dir);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    yield null;
  }
}

function wrongLine(text: string, ended: boolean, index: number, prev: string, tag: string): string | null {
  const record = parseLine(text);
  if (record === null) return ended ? 'it is not a record' : 'it is cut short';
  if (record.index !== index) return `its index is ${record.index}, expected ${index}`;
  if (record.tag !== tag) return `it belongs to ${record.tag}`;
  if (record.prev !== prev) return 'it does not follow the record before it';
  return null;
}

function headOrNull(kernel: Kernel, dir: Bytes): AuditHead | null | 'bad' {
  try {
    return readHead(kernel, dir);
  } catch {
    return 'bad';
  }
}

function bad(index: number, file: Bytes | string, line: number, why: string): Verification {
  return { ok: false, index, file, line, why };
}
