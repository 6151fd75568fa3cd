import { createHash, type Hash } from 'node:crypto';
import type { Bytes } from '../bytes.js';
import type { Stat } from '../kernel/kernel.js';
import type { Change } from './change.js';
import type { Composed } from './draft.js';
import type { Take } from './refusal.js';

interface Bound {
  readonly composed?: ReadonlyMap<Bytes, Composed>;
  readonly take?: ReadonlyMap<Bytes, Take>;
  readonly options: { readonly keepSpecial: boolean; readonly fifos: boolean };
}

/** Pieces are joined before they are hashed: one call per piece costs more than the hash. */
const PIECE = 1024;

/**
 * I16: binds what lands to what was shown. Each side of each change goes in
 * with inode, size, mode and times; ctime can't be set, so any write after the
 * review gives another digest. What depends on where or when the commit is
 * made (ids, methods) stays out.
 */
export function digestOf(changes: readonly Change[], bound: Bound): string {
  const hash = createHash('sha256');
  const { keepSpecial, fifos } = bound.options;
  hash.update(`agentfw plan 1\n${keepSpecial} ${fifos}\n`);
  const sorted = [...changes].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  let lines: string[] = [];
  for (const change of sorted) {
    lines.push(lineOf(change));
    const composed = bound.composed?.get(change.path);
    if (composed !== undefined) lines.push(`composed ${createHash('sha256').update(composed.content).digest('hex')}`);
    if (bound.take?.has(change.path) === true) lines.push(`take ${bound.take.get(change.path)}`);
    if (lines.length >= PIECE) lines = flush(hash, lines);
  }
  flush(hash, lines);
  return `sha256:${hash.digest('hex')}`;
}

function flush(hash: Hash, lines: readonly string[]): string[] {
  hash.update(lines.join('\n'), 'latin1');
  hash.update('\n');
  return [];
}

function lineOf(change: Change): string {
  const { path, kind, type, from, target, upper, base, opaque, meta } = change;
  // NUL ends each part that may hold anything else.
  return `${kind} ${type} ${opaque ? 1 : 0} ${path}\0${from ?? ''}\0${target ?? ''}\0${side(upper)} ${side(base)} ${meta.join()}`;
}

function side(stat: Stat | null): string {
  if (stat === null) return '-';
  return `${stat.ino}.${stat.size}.${stat.mode}.${stat.uid}.${stat.gid}.${stat.mtimeNs}.${stat.ctimeNs}`;
}
