import type { Bytes } from '../bytes.js';
import type { BrokenCommit, CommitInfo, CommitResult, Counts, Recovered, Refused } from '../changes/engine.js';
import { countsText } from './changes.js';
import { reportOf } from './error.js';
import { escapeForTerminal, showBytes } from './escape.js';
import type { Printer } from './print.js';
import { bytesJson } from './record.js';
import { plural } from './table.js';

/** Result of a commit or an undo as JSON; docs/json.md. */
export function resultJson(result: CommitResult): Record<string, unknown> {
  const { id, state, digest, landed, refused, counts, error } = result;
  return {
    ...{ commit: id, state, digest, counts },
    landed: Array.from(landed, ({ path, kind, type, side, stripped }) => ({ ...bytesJson('path', path), kind, type, side, stripped })),
    refused: refused.map(({ path, why, conflict, code, text }) => ({ ...bytesJson('path', path), why, conflict, code, text })),
    error: error === null ? null : { code: error.code, ...(error.path === null ? { path: null } : bytesJson('path', error.path)), text: error.text },
  };
}

/** The fields of docs/json.md, paths as text or base64; `bytes` is what undoing it keeps on disk. */
export function infoJson(info: CommitInfo): Record<string, unknown> {
  const { id, tag, created, note, counts, dropped, digest, undoes, undoneBy, left, state, bytes } = info;
  return { id, tag, created, note, counts, dropped, digest, undoes, undoneBy, left: left.map((path) => bytesJson('path', path)), state, bytes };
}

/** What landed, on stderr: the host is the product, not this text. */
export function sayResult(printer: Printer, result: CommitResult, verb: 'Landed' | 'Took back'): void {
  const ofLayer = [];
  for (const one of result.landed) {
    if (one.stripped.length > 0) printer.warn(`${showBytes(one.path)}: landed without ${one.stripped.join(', ')}`);
    if (one.side === 'layer') ofLayer.push(one);
  }
  const not = printer.paintErr('red', verb === 'Landed' ? 'not landed' : 'not taken back');
  for (const { what, text } of foldObjects(result.refused)) printer.say(`${not} ${what}: ${escapeForTerminal(text)}`);
  if (result.state === 'rolled-back') {
    // The kernel's words have no full stop, ours have one.
    const why = escapeForTerminal(result.error?.text ?? 'it failed').replace(/\.$/, '');
    printer.say(`${printer.paintErr('red', verb === 'Landed' ? 'Nothing landed:' : 'Nothing was taken back:')} ${why}. The host is as it was.`);
    return;
  }
  if (result.id === null) return printer.say(verb === 'Landed' ? 'Nothing to land.' : 'Nothing to take back.');
  const count = total(result.counts);
  if (count > 0 || ofLayer.length === 0) printer.say(`${verb} ${plural(count, 'change')}: ${countsText(result.counts)}`);
  if (ofLayer.length === 0) return;
  const given = verb === 'Took back' && ofLayer.some(({ kind }) => kind === 'add');
  const changes = plural(ofLayer.length, 'change');
  printer.say(given ? `Gave ${changes} back to the sandbox` : `Dropped ${changes} of the sandbox: the host stays as it is there`);
}

const GIT_OBJECT = /^(.*\/objects)\/(?:[0-9a-f]{2}|pack|info)(?:\/|$)/s;

/** A line for each path; git's objects, whose names nobody reads, by repository. */
function* foldObjects(refused: readonly Refused[]): Generator<{ readonly what: string; readonly text: string }> {
  const keyOf = ({ path, text }: Refused): string | null => {
    const dir = GIT_OBJECT.exec(path)?.[1];
    return dir === undefined ? null : `${dir}\0${text}`;
  };
  const counts = new Map<string, number>();
  for (const one of refused) {
    const key = keyOf(one);
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const one of refused) {
    const key = keyOf(one);
    const count = key === null ? 1 : (counts.get(key) ?? 0);
    if (key === null || count === 1) yield { what: showBytes(one.path), text: one.text };
    else if (count > 1) yield { what: `${showBytes(key.slice(0, key.indexOf('\0')) as Bytes)}/ (${plural(count, 'path')})`, text: one.text };
    // Told once.
    if (key !== null && count > 1) counts.set(key, 0);
  }
}

/** Changes of all kinds. */
export function total(counts: Counts): number {
  return counts.add + counts.modify + counts.delete + counts.type + counts.metadata;
}

/** What was left of an earlier, interrupted commit. */
export function sayRecovered(printer: Printer, recovered: readonly Recovered[]): void {
  for (const { id, outcome, error } of recovered) {
    const words = {
      finished: `Finished the commit ${id}, which was interrupted.`,
      'rolled-back': `Took back the commit ${id}, which was interrupted: the host is as it was.`,
      discarded: `Dropped the commit ${id}, which had not begun to land.`,
      blocked: `The interrupted commit ${id} can't be finished: ${escapeForTerminal(error ?? '')}`,
    }[outcome];
    if (outcome === 'blocked') printer.warn(words);
    else printer.say(words);
  }
}

/** A commit that can't be read: what was done goes on without it. */
export function sayBroken(printer: Printer, broken: readonly BrokenCommit[]): void {
  for (const { id, error } of broken) {
    const { message, hint } = reportOf(error);
    printer.warn(`${showBytes(id)}: ${escapeForTerminal([message, hint].filter((text) => text !== null).join(' '))}`);
  }
}

/** For commands that only look: a crash, or a kill, left the host with a part of a commit, perhaps. */
export function sayInterrupted(printer: Printer, ids: readonly string[]): void {
  for (const id of ids) printer.warn(`The commit ${id} was interrupted: what it lands may be there in part. agentfw recover finishes it, or takes it back.`);
}
