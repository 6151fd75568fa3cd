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
function otherPlace({ act, group, tree, covers, clean, fresh, old, from, hold }: Step): Place | null {
  if (act === 'meta' || act === 'write' || act === 'drop') return null;
  if (group !== 0 || tree || covers.length > 0 || fresh?.fmt === constants.S_IFDIR || old?.fmt === constants.S_IFDIR) return null;
  if (clean !== null && clean.whiteouts.length + clean.modes.length > 0) return null;
  return act === 'take' ? hold : from;
}

function runWindow(batching: Batching, window: readonly (readonly Simple[])[], done: Set<number>): void {
  const { landBatch } = batching;
  const packed: Simple[] = [];
  const lanes: number[] = [];
  const steps = Buffer.alloc(window.reduce((sum, lane) => sum + lane.length, 0) * STEP_BYTES);
  const names: string[] = [];
  let offset = 0;
  const name = (text: Bytes): number => {
    names.push(text);
    offset += text.length + 1;
    return offset - text.length - 1;
  };
  for (const lane of window) {
    for (const simple of lane) {
      if (pack(batching, simple, { steps, at: packed.length * STEP_BYTES, name })) packed.push(simple);
    }
    lanes.push(packed.length);
  }
  const status = new Uint8Array(packed.length);
  const text = Buffer.from(`${names.join('\0')}\0`, 'latin1');
  landBatch({ steps, names: text, lanes: Uint32Array.from(lanes), status, threads: THREADS, most: Number.MAX_SAFE_INTEGER });
  packed.forEach(({ index }, at) => {
    if (status[at] === DONE) done.add(index);
  });
  batching.onDone(done.size);
}

interface Slot {
  readonly steps: Buffer;
  readonly at: number;
  readonly name: (text: Bytes) => number;
}

/** False when a directory can't be opened: `landStep` will say why. */
function pack({ rooms, keepSpecial }: Batching, { step, other }: Simple, { steps, at, name }: Slot): boolean {
  const host = splitPath(step.host.path);
  const rest = splitPath(other.path);
  let fds: readonly [number, number];
  try {
    fds = [dirFd(rooms, step.host.root, host.dir), dirFd(rooms, other.root, rest.dir)];
  } catch {
    return false;
  }
  const over = step.act === 'take' && rooms.roots[other.root]?.role === 'layer' ? FLAG.overWhiteout : 0;
  const clean = (step.clean === null ? 0 : FLAG.clean) | (keepSpecial ? FLAG.keepCapability : 0);
  steps.writeUInt32LE(ACT[step.act], at);
  steps.writeUInt32LE(clean | over, at + 4);
  steps.writeInt32LE(fds[0], at + 8);
  steps.writeInt32LE(fds[1], at + 12);
  steps.writeUInt32LE(name(host.name), at + 16);
  steps.writeUInt32LE(name(rest.name), at + 20);
  packIdent(steps, at + 24, step.fresh);
  packIdent(steps, at + 56, step.old);
  return true;
}

function packIdent(steps: Buffer, at: number, ident: Ident | null): void {
  if (ident === null) return;
  steps.writeBigUInt64LE(ident.ino, at);
  steps.writeUInt32LE(ident.size % 0x1_0000_0000, at + 8);
  steps.writeUInt32LE(Math.floor(ident.size / 0x1_0000_0000), at + 12);
  steps.writeBigInt64LE(ident.mtimeNs, at + 16);
  steps.writeUInt32LE(ident.fmt, at + 24);
}
