import { isWithin, type Bytes } from '../../bytes.js';
import type { UsualKind, WalkPiece } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import type { Crowd } from './crowd.js';
import { start } from './told.js';

/** One of them as the scan would have told it. */
export function memberOf(crowd: Crowd, at: number): Change {
  const entry = crowd.piece.entryIn(at, crowd.path);
  const basePath = entry.path;
  if (crowd.kind === 'add') return start(crowd, entry, { basePath, content: true });
  if (crowd.kind === 'modify') return start(crowd, entry, { basePath, kind: 'modify', content: true });
  return start(crowd, entry, { basePath, kind: 'delete', gone: GONE });
}

const GONE = { type: 'file', target: null } as const;

/** Each member as a change by itself. */
export function membersOf(crowd: Crowd): Change[] {
  return crowd.at.map((at) => memberOf(crowd, at));
}

/** The first stands for all. Null for no members. */
export function representativeOf(crowd: Crowd): Change | null {
  const [first, ...rest] = crowd.at;
  if (first === undefined) return null;
  const representative = memberOf(crowd, first);
  if (rest.length === 0) return representative;
  let bytes = 0;
  if (crowd.kind !== 'delete') for (const at of rest) bytes += crowd.piece.upperSize(at);
  return { ...representative, crowd: { count: rest.length, bytes, crowd: { ...crowd, at: rest } } };
}

/** Puts the usual entries of a piece into crowds. */
export interface Crowding {
  readonly crowds: readonly Crowd[];
  /** false: it is a change by itself */
  readonly take: (at: number) => boolean;
}

/** The layer's directory; its entries are as they seem only if it has its base at its own place, and hides and moves nothing of that. */
export interface CrowdedDir {
  readonly path: Bytes;
  readonly dir: Bytes;
  readonly basePath: Bytes;
  readonly hides: boolean;
  readonly moved: boolean;
}

/** `frameOf` tells how a directory of the layer lies over its base; asked once a directory. */
export function crowdsIn(piece: WalkPiece, where: Pick<Crowd, 'layer' | 'index'>, frameOf: (path: Bytes) => CrowdedDir): Crowding {
  const crowds: Crowd[] = [];
  let path: Bytes | null = null;
  let make: ((kind: UsualKind) => number[]) | null = null;
  let current: Partial<Record<UsualKind, number[]>> = {};
  const enter = (to: Bytes): void => {
    [path, current, make] = [to, {}, null];
    // What lies at or near another layer is for the scan to tell.
    if (where.layer.covered.some((one) => to === '' || isWithin(to, one) || isWithin(one, to))) return;
    const { path: found, basePath, dir, hides, moved } = frameOf(to);
    if (found !== to || basePath !== to || hides || moved) return;
    make = (kind) => {
      const at: number[] = [];
      crowds.push({ ...where, dir, path: to, kind, piece, at });
      return (current[kind] = at);
    };
  };
  const take = (at: number): boolean => {
    const dir = piece.dir(at);
    if (dir !== path) enter(dir);
    if (make === null) return false;
    const kind = piece.usualKind(at);
    (current[kind] ?? make(kind)).push(at);
    return true;
  };
  return { crowds, take };
}
