/** Exports of a sandbox's changes, and how far what they make of the host is its view. */
import type { Bytes } from '../../src/bytes.js';
import type { Gathered } from '../../src/changes/gather.js';
import { renderArchive } from '../../src/render/archive.js';
import { renderPatch } from '../../src/render/patch.js';
import type { Omitted } from '../../src/render/source.js';
import { pathsOf } from './expect.js';
import type { Entry, Tree } from './server.js';

export interface Exported {
  readonly bytes: Buffer;
  readonly omitted: readonly Omitted[];
}

export function exportOf({ shown, parts, contents }: Gathered, kind: 'patch' | 'tar', root: Bytes): Exported {
  const single = shown.flatMap((change) => parts.get(change) ?? [change]);
  const pieces = kind === 'patch' ? renderPatch(shown, { root, contents, parts }) : renderArchive(single, { root, contents });
  const all: Buffer[] = [];
  let next = pieces.next();
  for (; next.done !== true; next = pieces.next()) all.push(next.value);
  return { bytes: Buffer.concat(all), omitted: next.value };
}

/** Paths where the two differ in what the format can hold. */
export function unlike(kind: 'patch' | 'tar', view: Tree, made: Tree): readonly string[] {
  const held = kind === 'patch' ? asPatch : asArchive;
  return pathsOf(view, made).filter((path) => held(view[path]) !== held(made[path]));
}

/** git knows no directories, and one bit of modes. */
function asPatch(entry: Entry | undefined): string {
  if (entry === undefined || entry['type'] === 'dir') return '';
  const runs = entry['type'] === 'file' && (Number(entry['mode']) & 0o100) !== 0;
  return JSON.stringify([entry['type'], entry['sha'], entry['target'], runs]);
}

function asArchive(entry: Entry | undefined): string {
  if (entry === undefined) return '';
  return JSON.stringify([entry['type'], entry['sha'], entry['target'], entry['mode'], entry['uid'], entry['gid']]);
}
