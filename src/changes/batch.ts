import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import { dirFd, type Rooms } from './rooms.js';
import { splitPath, type Ident, type Place, type Step } from './step.js';

/**
 * Most steps of a big commit are one rename with its checks. Those go to the
 * kernel seam in batches, a lane per directory; what is unusual in one of them
 * is left to `landStep`. Steps are independent of each other (I4), so neither
 * order nor an end in the middle matters.
 */
export type LandBatch = NonNullable<Kernel['landBatch']>;

/** native/batch.cc */
const ACT = { place: 0, swap: 1, take: 2 } as const;
const FLAG = { clean: 1, keepCapability: 2, overWhiteout: 4 } as const;
const STEP_BYTES = 88;
const DONE = 1;
/** Directories open at once: fewer than the rooms keep. */
const MOST_DIRS = 64;
const THREADS = 2;

/** The part of a step that a batch needs. */
type Packed = Pick<Step, 'host' | 'fresh' | 'old' | 'clean'> & { readonly act: keyof typeof ACT };

interface Simple {
  readonly index: number;
  readonly step: Packed;
  /** in the layer or the vault: where the new object comes from, or the old one goes */
  readonly other: Place;
}

export interface Batching {
  readonly rooms: Rooms;
  readonly steps: readonly Step[];
  readonly keepSpecial: boolean;
  readonly landBatch: LandBatch;
  /** called with the number of steps that are through */
  readonly onDone: (count: number) => void;
}

/** Lands what is simple; returns the numbers of the steps that are done. */
export function landSimple(batching: Batching): ReadonlySet<number> {
  const simple: Simple[] = [];
  batching.steps.forEach((step, index) => {
    const other = otherPlace(step);
    if (other !== null) simple.push({ index, step: step as Packed, other });
  });
  return runAll(batching, simple);
}

/** A file that goes from one place of ours to another. */
export interface Transfer {
  /** the number of its step */
  readonly index: number;
  readonly from: Place;
  readonly to: Place;
  readonly ident: Ident;
}

/** Moves files between layers and vaults, into directories that exist; returns the numbers of those that moved. */
export function moveSimple(batching: Batching, transfers: readonly Transfer[]): ReadonlySet<number> {
  const simple = transfers.map(({ index, from, to, ident }): Simple => {
    return { index, step: { act: 'place', host: to, fresh: ident, old: null, clean: null }, other: from };
  });
  return runAll(batching, simple);
}

function runAll(batching: Batching, simple: readonly Simple[]): ReadonlySet<number> {
  const done = new Set<number>();
  let window: Simple[][] = [];
  let dirs = 0;
  for (const lane of lanesOf(simple)) {
    window.push(lane);
    dirs += 1 + new Set(lane.map(({ other }) => splitPath(other.path).dir)).size;
    if (dirs < MOST_DIRS) continue;
    runWindow(batching, window, done);
    window = [];
    dirs = 0;
  }
  if (window.length > 0) runWindow(batching, window, done);
  return done;
}

/** By target directory, in the order in which they come. */
function lanesOf(all: readonly Simple[]): Iterable<Simple[]> {
  const lanes = new Map<string, Simple[]>();
  for (const simple of all) {
    const { root, path } = simple.step.host;
    const key = `${root}/${path.slice(0, Math.max(path.lastIndexOf('/'), 0))}`;
    const lane = lanes.get(key);
    if (lane === undefined) lanes.set(key, [simple]);
    else lane.push(simple);
  }
  return lanes.values();
}

/** null: not simple. */
function otherPlace({ act, group, tree, covers, clean, fresh, old, from, hold, link, twin }: Step): Place | null {
  if (act === 'meta' || act === 'write' || act === 'drop') return null;
  if (group !== 0 || link !== null || twin !== null || tree || covers.length > 0 || fresh?.fmt === constants.S_IFDIR || old?.fmt === constants.S_IFDIR) return null;
  if (clean !== null && clean.whiteouts.length + clean.modes.length > 0) return null;
  return act === 'take' ? hold : from;
}

function runWindow(batching: Batching, window: readonly (readonly Simple[])[], done: Set<number>): void {
  const { landBatch } = batching;
  const count = window.reduce((sum, lane) => sum + lane.length, 0);
  const packing: Packing = { batching, view: viewOf(count), names: [], offset: 0, packed: [], last: null };
  const lanes: number[] = [];
  for (const lane of window) {
    for (const simple of lane) pack(packing, simple);
    lanes.push(packing.packed.length);
  }
  const { packed, names, view } = packing;
  const status = new Uint8Array(packed.length);
  const text = Buffer.from(`${names.join('\0')}\0`, 'latin1');
  const steps = Buffer.from(view.narrow.buffer, 0, packed.length * STEP_BYTES);
  landBatch({ steps, names: text, lanes: Uint32Array.from(lanes), status, threads: THREADS, most: Number.MAX_SAFE_INTEGER });
  packed.forEach((index, at) => {
    if (status[at] === DONE) done.add(index);
  });
  batching.onDone(done.size);
}

/** The same memory as the widths that its fields have. */
interface View {
  readonly narrow: Uint32Array;
  readonly unsigned: BigUint64Array;
  readonly signed: BigInt64Array;
}

function viewOf(count: number): View {
  const memory = new ArrayBuffer(count * STEP_BYTES);
  return { narrow: new Uint32Array(memory), unsigned: new BigUint64Array(memory), signed: new BigInt64Array(memory) };
}

interface Packing {
  readonly batching: Batching;
  readonly view: View;
  readonly names: string[];
  /** of the next name among all */
  offset: number;
  /** numbers of the packed steps */
  readonly packed: number[];
  /** the directories of the step before: most steps have the same */
  last: { readonly roots: string; readonly host: string; readonly other: string; readonly fds: readonly [number, number] } | null;
}

/** Left out when a directory can't be opened: `landStep` will say why. */
function pack(packing: Packing, { index, step, other }: Simple): void {
  const { batching, view, packed } = packing;
  const { rooms, keepSpecial } = batching;
  const host = splitPath(step.host.path);
  const rest = splitPath(other.path);
  const fds = dirsOf(packing, { root: step.host.root, path: host.dir }, { root: other.root, path: rest.dir });
  if (fds === null) return;
  const over = step.act === 'take' && rooms.roots[other.root]?.role === 'layer' ? FLAG.overWhiteout : 0;
  const clean = (step.clean === null ? 0 : FLAG.clean) | (keepSpecial ? FLAG.keepCapability : 0);
  const at = (packed.length * STEP_BYTES) / 4;
  const { narrow } = view;
  narrow[at] = ACT[step.act];
  narrow[at + 1] = clean | over;
  narrow[at + 2] = fds[0];
  narrow[at + 3] = fds[1];
  narrow[at + 4] = nameAt(packing, host.name);
  narrow[at + 5] = nameAt(packing, rest.name);
  packIdent(view, at + 6, step.fresh);
  packIdent(view, at + 14, step.old);
  packed.push(index);
}

function nameAt(packing: Packing, name: Bytes): number {
  const at = packing.offset;
  packing.names.push(name);
  packing.offset += name.length + 1;
  return at;
}

/** Null where one can't be opened. */
function dirsOf(packing: Packing, host: Place, other: Place): readonly [number, number] | null {
  const { last, batching } = packing;
  const roots = `${host.root} ${other.root}`;
  if (last !== null && last.host === host.path && last.other === other.path && last.roots === roots) return last.fds;
  try {
    const fds = [dirFd(batching.rooms, host.root, host.path), dirFd(batching.rooms, other.root, other.path)] as const;
    packing.last = { roots, host: host.path, other: other.path, fds };
    return fds;
  } catch {
    return null;
  }
}

function packIdent({ narrow, unsigned, signed }: View, at: number, ident: Ident | null): void {
  if (ident === null) return;
  unsigned[at / 2] = ident.ino;
  narrow[at + 2] = ident.size % 0x1_0000_0000;
  narrow[at + 3] = Math.floor(ident.size / 0x1_0000_0000);
  signed[at / 2 + 2] = ident.mtimeNs;
  narrow[at + 6] = ident.fmt;
}
