import type { Bytes } from '../../bytes.js';
import type { JudgedChange } from '../change.js';
import { memberOf } from './crowding.js';
import { judgedAs } from './told.js';

/** Each change by itself. */
export function unpacked(changes: readonly JudgedChange[]): JudgedChange[] {
  const all: JudgedChange[] = [];
  for (const change of changes) unpack(change, all);
  return all;
}

/** The same, but new files in new directories stay packed: they land with these. By path, if any of them will be listed. */
export function unpackedButNew(changes: readonly JudgedChange[]): readonly JudgedChange[] {
  const made = new Set<Bytes>();
  for (const { kind, type, path } of changes) if (kind === 'add' && type === 'dir') made.add(path);
  const all: JudgedChange[] = [];
  for (const change of changes) {
    if (change.crowd !== undefined && change.kind === 'add' && made.has(change.crowd.crowd.dir)) all.push(change);
    else unpack(change, all);
  }
  const isListed = all.some(({ class: risk, conflict }) => risk === 'control' || conflict !== null);
  return isListed ? all.sort((a, b) => (a.path < b.path ? -1 : 1)) : all;
}

function unpack(change: JudgedChange, all: JudgedChange[]): void {
  if (change.crowd === undefined) {
    all.push(change);
    return;
  }
  const { crowd } = change.crowd;
  all.push({ ...change, crowd: undefined });
  for (const at of crowd.at) all.push(judgedAs(memberOf(crowd, at), change));
}
