import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes } from '../bytes.js';
import { isRefusal } from '../errors.js';
import { openOwn } from '../kernel/files.js';
import { AT_FDCWD, type Kernel, type Stat } from '../kernel/kernel.js';
import { frameOf, framesIn, type FrameWriter } from './journal/frames.js';
import { nodeDisk, type Disk } from './apply/disk.js';

/**
 * What the base had at a path when the agent first touched it. `absent`:
 * nothing. `unknown`: something, but it could not be stored soundly.
 */
export interface CapturedBase {
  readonly state: 'file' | 'symlink' | 'dir' | 'other' | 'absent' | 'unknown';
  readonly ino: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly btimeNs: bigint;
  /** see `attributesOf`; null: not looked at (of a symlink, or by an earlier build) */
  readonly attributes: string | null;
  /** `file`: its content's name in the base directory; `symlink`: its target; `unknown`: why; `absent`: the packed value of a git reference */
  readonly detail: Bytes;
}

/** By absolute path. */
export type Bases = ReadonlyMap<Bytes, CapturedBase>;

const INDEX = 'index' as Bytes;

/** How many versions of the host a sandbox has, and why not the others. */
export interface BaseCounts {
  readonly captured: number;
  /** by reason: `large`, `changed` (by the host, before it could be kept), or an errno */
  readonly uncaptured: Readonly<Record<string, number>>;
}

/** `uncaptured` by reason: `large`, `changed` or an errno. */
export function countBases(bases: Bases): BaseCounts {
  let captured = 0;
  const uncaptured: Record<string, number> = {};
  for (const { state, detail } of bases.values()) {
    if (state === 'unknown') uncaptured[detail] = (uncaptured[detail] ?? 0) + 1;
    else captured += 1;
  }
  return { captured, uncaptured };
}

/** Where a sandbox keeps what it captured; see docs/store.md. */
export function baseDir(sandboxDir: Bytes): Bytes {
  return joinBytes(sandboxDir, 'base' as Bytes);
}

/** By absolute path of the host. The first record of a path counts: later ones saw the agent's time. */
export function readBases(kernel: Kernel, sandboxDir: Bytes): Bases {
  const bases = new Map<Bytes, CapturedBase>();
  const file = joinBytes(baseDir(sandboxDir), INDEX);
  if (kernel.statOrNull(AT_FDCWD, file) === null) return bases;
  const fd = openOwn(kernel, file, constants.O_RDONLY);
  try {
    for (const { kind, body } of framesIn(fd)) {
      if (kind !== 'B') continue;
      for (let at = 0, end = 0; ; at = end + 1) {
        const path = body.indexOf('\0', at);
        const state = body.indexOf('\0', path + 1);
        const numbers = body.indexOf('\0', state + 1);
        end = body.indexOf('\0', numbers + 1);
        if (Math.min(path, state, numbers, end) < 0) break;
        const name = body.slice(at, path) as Bytes;
        if (!bases.has(name)) bases.set(name, new StoredBase(stateOf(body.slice(path + 1, state)), body, state + 1, numbers, end));
      }
    }
  } finally {
    kernel.close(fd);
  }
  return bases;
}

const STATES: readonly CapturedBase['state'][] = ['file', 'symlink', 'dir', 'other', 'absent', 'unknown'];

/** One string for all that have it. */
function stateOf(word: string): CapturedBase['state'] {
  return STATES.find((state) => state === word) ?? (word as CapturedBase['state']);
}

/** Cut out of its record when it is asked for: most captured bases never are, and there may be very many. */
class StoredBase implements CapturedBase {
  constructor(
    readonly state: CapturedBase['state'],
    private readonly text: string,
    private readonly from: number,
    private readonly to: number,
    private readonly end: number,
  ) {}
  get detail(): Bytes {
    return this.text.slice(this.to + 1, this.end) as Bytes;
  }
  get ino(): bigint {
    return BigInt(this.field(0));
  }
  get mode(): number {
    return Number(this.field(1));
  }
  get uid(): number {
    return Number(this.field(2));
  }
  get gid(): number {
    return Number(this.field(3));
  }
  get size(): number {
    return Number(this.field(4));
  }
  get mtimeNs(): bigint {
    return BigInt(this.field(5));
  }
  get btimeNs(): bigint {
    return BigInt(this.field(6));
  }
  get attributes(): string | null {
    const field = this.field(7);
    return field === '0' ? null : field === NONE ? '' : field;
  }
  private field(index: number): string {
    return this.text.slice(this.from, this.to).split(' ')[index] ?? '0';
  }
}

/** Opens the index to append to it, behind the last whole record. */
export function openIndex(kernel: Kernel, sandboxDir: Bytes, disk: Disk = nodeDisk): FrameWriter {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const fd = openOwn(kernel, joinBytes(baseDir(sandboxDir), INDEX), flags, 0o600);
  let at = 0;
  for (const frame of framesIn(fd)) at = frame.end;
  return { fd, disk, at };
}

/** One line of the list of bases; `path` is absolute. */
export interface BaseRecord {
  readonly path: Bytes;
  readonly base: CapturedBase;
}

/** All in one record, so all or none is there after a crash. Throws errno of the write, and for a record of 480 MiB. */
export function appendBases(writer: FrameWriter, records: readonly BaseRecord[]): void {
  const body = records.map(({ path, base }) => `${path}\0${base.state}\0${numbersOf(base)}\0${base.detail}\0`).join('');
  const frame = frameOf('B', body);
  writer.disk.write(writer.fd, frame, writer.at);
  writer.at += frame.length;
}

/** Attributes that aren't there, in the index. */
const NONE = '-';

function numbersOf({ ino, mode, uid, gid, size, mtimeNs, btimeNs, attributes }: CapturedBase): string {
  const plain = `${ino} ${mode} ${uid} ${gid} ${size} ${mtimeNs} ${btimeNs}`;
  return attributes === null ? plain : `${plain} ${attributes === '' ? NONE : attributes}`;
}

/** `detail`: of a file the name of its copy, of a symlink its target, of what is unknown why. Without a stat all numbers are 0. */
export function capturedOf(stat: Stat | null, state: CapturedBase['state'], detail: string = '', attributes: string | null = null): CapturedBase {
  const { ino = 0n, mode = 0, uid = 0, gid = 0, size = 0, mtimeNs = 0n, btimeNs = 0n } = stat ?? {};
  return { state, ino, mode, uid, gid, size, mtimeNs, btimeNs, attributes, detail: detail as Bytes };
}

/** The copy of a captured file; of use for state `file` alone. */
export function basePath(sandboxDir: Bytes, base: CapturedBase): Bytes {
  return joinBytes(baseDir(sandboxDir), base.detail);
}

/** The stored content of a captured file, open for reading; the caller closes it. */
export function openBase(kernel: Kernel, sandboxDir: Bytes, base: CapturedBase): number {
  return openOwn(kernel, basePath(sandboxDir, base), constants.O_RDONLY);
}

/** The stored content of a captured file. Null: it is longer (a clone may have any size), or no longer there to be read. */
export function readBase(kernel: Kernel, sandboxDir: Bytes, base: CapturedBase, longest: number): Buffer | null {
  if (base.size > longest) return null;
  try {
    const content = Buffer.alloc(base.size);
    return content.subarray(0, kernel.readFile(AT_FDCWD, basePath(sandboxDir, base), content));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}
