import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toText, type Bytes } from '../../src/bytes.js';
import type { Change } from '../../src/changes/change.js';
import { scan } from '../../src/changes/scan.js';
import { native } from '../../src/kernel/native.js';
import type { Layer } from '../../src/sandbox/sandbox.js';
import { plant, type Tree } from '../kernel/plant.js';
import { b, openDir, tempDir } from '../kernel/temp.js';

/** One layer over one host directory. */
export interface Planted {
  readonly dir: string;
  readonly upper: string;
  readonly base: string;
  readonly layer: Layer;
}

export const uid = process.getuid?.() ?? 0;
export const isRoot = uid === 0;

/** A layer made by hand: whiteouts are nulls, see `plant`. */
export function layerOf(upper: Tree, base: Tree, overrides: Partial<Layer> = {}): Planted {
  const dir = tempDir();
  for (const name of ['upper', 'work', 'host']) mkdirSync(join(dir, name));
  plant(join(dir, 'host'), base);
  plant(join(dir, 'upper'), upper);
  const layer: Layer = { id: 0, base: b(join(dir, 'host')), dir: b(dir), family: 'user', covered: [], skeleton: false, ...overrides };
  return { dir, upper: join(dir, 'upper'), base: join(dir, 'host'), layer };
}

/** A layer as the kernel makes it: `script` runs in the mounted overlay (needs root). */
export function mountedLayer(base: Tree, script: string, family: 'user' | 'trusted' = 'user'): Planted {
  const planted = layerOf({}, base, { family });
  const options = family === 'user' ? 'userxattr' : 'redirect_dir=on,index=off';
  const mount = `mount -t overlay overlay -o "${options},lowerdir=$1/host,upperdir=$1/upper,workdir=$1/work" "$1/merged"`;
  mkdirSync(join(planted.dir, 'merged'));
  execFileSync('unshare', ['-m', 'sh', '-ec', `${mount}; cd "$1/merged"; ${script}`, 'sh', planted.dir]);
  return planted;
}

export function mark(root: string, path: string, name: string, value = ''): void {
  native.setXattr(openDir(root), b(path), b(name), Buffer.from(value));
}

export function changesOf(planted: Planted, mode: 'user' | 'root' = 'root'): Change[] {
  return [...scan({ kernel: native, layers: [planted.layer], mode, uid })];
}

/** `kind path` per change, relative to the host directory; implied ones in brackets. */
export function told(planted: Planted, changes: readonly Change[]): string[] {
  const relative = (path: Bytes): string => toText(path).slice(planted.base.length + 1) || '.';
  return changes.map((change) => {
    const from = change.from === null ? '' : ` from ${relative(change.from)}`;
    const line = `${change.kind} ${relative(change.path)}${from}${change.meta.length > 0 ? ` (${change.meta.join(' ')})` : ''}`;
    return change.implied ? `[${line}]` : line;
  });
}

export const scanned = (planted: Planted, mode: 'user' | 'root' = 'root'): string[] =>
  told(planted, changesOf(planted, mode)).sort();
