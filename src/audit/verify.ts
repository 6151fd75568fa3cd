import type { Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { GENESIS, hashLine, isSignedBy, type AuditAnchor, type AuditHead } from './chain.js';
import { readHead } from './files.js';
import { parseLine, rawLines, type RawLine } from './read.js';

/** That a log is whole, or where it isn't. */
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

const CUT_SHORT = 'it is cut short';
/** A line that is being written is whole soon. */
const LOOKS = 3;
const PAUSE_MS = 50;

/**
 * Reads the whole log again: each record, each link, the signed end, and what
 * the sandbox's record remembers (read before the log: one that runs goes on).
 * Names the first record that is wrong.
 */
export function verifyLog(kernel: Kernel, dir: Bytes, tag: string, proofs: Proofs): Verification {
  for (let looks = 1; ; looks++) {
    const found = verifyOnce(kernel, dir, tag, proofs);
    if (found.ok || found.why !== CUT_SHORT || looks === LOOKS) return found;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

function verifyOnce(kernel: Kernel, dir: Bytes, tag: string, { publicKey, anchor }: Proofs): Verification {
  const head = headOrNull(kernel, dir);
  if (head === 'bad') return bad(0, 'audit.head.json', 1, 'the signed end is not readable');
  const wrongEnd = wrongHead(head, tag, publicKey, anchor);
  if (wrongEnd !== null) return bad(Math.max(head?.index ?? anchor?.index ?? 0, 0), 'audit.head.json', 1, wrongEnd);
  let expected = 0;
  let prev = GENESIS;
  let last: { file: Bytes; number: number } = { file: 'audit.jsonl' as Bytes, number: 0 };
  for (const line of readable(kernel, dir)) {
    if (line === null) return bad(expected, last.file, last.number + 1, 'the file that follows can’t be read');
    const wrong = wrongLine(line.text, line.ended, expected, prev, tag);
    if (wrong !== null) return bad(expected, line.file, line.number, wrong);
    prev = hashLine(line.text);
    if (head !== null && expected === head.index && prev !== head.hash) {
      return bad(expected, line.file, line.number, 'it is not the record that was signed as the end');
    }
    if (anchor !== null && expected === anchor.index && prev !== anchor.hash) {
      return bad(expected, line.file, line.number, 'it is not the record that sandbox.json remembers');
    }
    expected += 1;
    last = line;
  }
  const known = Math.max(head?.index ?? -1, anchor?.index ?? -1);
  if (expected <= known) return bad(expected, last.file, last.number + 1, cutText(expected, known));
  if (expected === 0) return bad(0, last.file, 1, 'there is no record, and every run begins with one');
  const signed = head !== null && head.signature !== null;
  return { ok: true, records: expected, end: signed && head.index === expected - 1 ? 'signed' : 'open', covered: signed ? head.index : null };
}

/** What the log is held against. */
export interface Proofs {
  readonly publicKey: string | null;
  /** of the sandbox's record; null where it has none yet */
  readonly anchor: AuditAnchor | null;
}

/** An end that was signed once is never unsigned again; what came after it is only `open`. */
function wrongHead(head: AuditHead | null, tag: string, publicKey: string | null, anchor: AuditAnchor | null): string | null {
  const signed = head !== null && head.signature !== null;
  if (!signed) return anchor?.signed === true ? 'the signed end is gone' : null;
  if (head.tag !== tag) return `the signed end belongs to ${head.tag}`;
  return publicKey === null || !isSignedBy(head, publicKey) ? 'the end is not signed by your key' : null;
}

function cutText(from: number, to: number): string {
  const count = to - from + 1;
  return `the log is cut: ${count === 1 ? `record ${from} is` : `records ${from} to ${to} (${count}) are`} missing at the end`;
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
  if (!ended) return CUT_SHORT;
  if (record === null) return 'it is not a record';
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
