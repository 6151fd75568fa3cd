import type { Bytes } from '../bytes.js';
import { joinBytes, toText } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { listField, objectField, textField, wordField } from '../fields.js';
import { readWhole, replaceFile } from '../kernel/files.js';
import type { Kernel } from '../kernel/kernel.js';

/** An answer for a project, kept in the user's own store: never in the project, where an agent could write it. */
export interface StoredAnswer {
  readonly project: string;
  readonly rule: string;
  readonly verdict: 'allow' | 'deny';
  /** ISO 8601 UTC */
  readonly at: string;
  readonly by: string;
}

const FILE = 'approvals.json' as Bytes;

/** All stored answers. A file that can't be read is an error: an empty list would forget denials. */
export function readAnswers(kernel: Kernel, store: Bytes): StoredAnswer[] {
  const file = joinBytes(store, FILE);
  const text = readWhole(kernel, file);
  if (text === null) return [];
  try {
    return answersIn(text);
  } catch (cause) {
    throw new AgentfwError('AFW_STORE_RECORD', `Can't read ${toText(file)}.`, { cause, hint: 'Mend it, or move it away: the answers that were kept for projects are in it' });
  }
}

function answersIn(text: Buffer): StoredAnswer[] {
  const body = objectField(JSON.parse(text.toString('utf8')), 'approvals.json');
  if (body['version'] !== 1) throw new Error('approvals.json has another version');
  return listField(body['answers'], 'answers').map((value) => {
    const fields = objectField(value, 'answer');
    return {
      project: textField(fields['project'], 'project'),
      rule: textField(fields['rule'], 'rule'),
      verdict: wordField(fields['verdict'], 'verdict', ['allow', 'deny']),
      at: textField(fields['at'], 'at'),
      by: textField(fields['by'], 'by'),
    };
  });
}

/** Adds or replaces one answer. Call it with a lock held that every writer takes. */
export function storeAnswer(kernel: Kernel, store: Bytes, answer: StoredAnswer): void {
  const others = readAnswers(kernel, store).filter(({ project, rule }) => project !== answer.project || rule !== answer.rule);
  writeAnswers(kernel, store, [...others, answer]);
}

/** True when there was such an answer. */
export function forgetAnswer(kernel: Kernel, store: Bytes, project: string, rule: string): boolean {
  const all = readAnswers(kernel, store);
  const left = all.filter((one) => one.project !== project || one.rule !== rule);
  if (left.length < all.length) writeAnswers(kernel, store, left);
  return left.length < all.length;
}

function writeAnswers(kernel: Kernel, store: Bytes, answers: readonly StoredAnswer[]): void {
  replaceFile(kernel, joinBytes(store, FILE), `${JSON.stringify({ version: 1, answers }, null, 1)}\n`);
}
