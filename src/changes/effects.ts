import { toText, type Bytes } from '../bytes.js';
import type { AuditEvent } from '../audit/event.js';
import { hasSandbox, type Store } from '../sandbox/store.js';
import { recordEffect } from '../sandbox/trail.js';
import { storeContextOf } from './context.js';
import { recoverAll, type CommitResult, type Hooks, type Recovered } from './engine.js';

/** Of one commit: beyond that one record counts the rest. */
const MOST = 1000;

/** A commit, an undo or a discard as the audit log has it. */
export function effectOf({ id, digest, state, counts, refused }: CommitResult): Pick<AuditEvent, 'object' | 'detail'> {
  return { object: { id, digest }, detail: { state, ...counts, refused: refused.length } };
}

/** What became of each change: a directory that is new or gone stands for all that is in it. */
export function changeRecords({ id, landed, refused }: CommitResult, ruleOf: (path: Bytes) => string | null = () => null): readonly AuditEvent[] {
  const records: AuditEvent[] = [];
  for (const { path, kind, type, side, inside } of landed) {
    if (records.length === MOST) break;
    const verdict = side === 'host' ? 'commit' : 'discard';
    records.push({ kind: 'change', object: { path: toText(path), id }, verdict, rule: ruleOf(path), detail: { kind, type, inside } });
  }
  for (const { path, why, text } of refused) {
    if (records.length === MOST) break;
    records.push({ kind: 'change', object: { path: toText(path), id }, verdict: 'deny', rule: ruleOf(path), detail: { why, text } });
  }
  const more = landed.length + refused.length - records.length;
  return more <= 0 ? records : [...records, { kind: 'change', object: { id }, detail: { more } }];
}

/** Finishes or takes back what a crash left, and writes that down where its sandbox still is. */
export function recoverRecorded(store: Store, hooks: Hooks = {}): readonly Recovered[] {
  const recovered = recoverAll(storeContextOf(store), hooks);
  for (const { id, tag, outcome, result, error } of recovered) {
    if (tag === null || outcome === 'blocked' || !hasSandbox(store, tag)) continue;
    const counts = result === null ? {} : effectOf(result).detail;
    recordEffect(store, tag, { kind: 'recover', object: { id }, detail: { outcome, ...counts, error } }, ...(result === null ? [] : changeRecords(result)));
  }
  return recovered;
}
