import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Change } from '../../src/changes/change.js';
import { type ContentReader, openContents } from '../../src/changes/content.js';
import { native } from '../../src/kernel/native.js';
import { renderPatch } from '../../src/render/patch.js';
import type { Omitted } from '../../src/render/source.js';
import { changesOf, type Planted } from '../changes/layers.js';

/** Every file and symlink below `root`: path to `mode content`. Directories that git would not know are left out. */
export function treeOf(root: string): Record<string, string> {
  const tree: Record<string, string> = {};
  const visit = (dir: Buffer, prefix: string): void => {
    for (const name of readdirSync(dir, { encoding: 'buffer' })) {
      const full = Buffer.concat([dir, Buffer.from('/'), name]);
      const path = `${prefix}${name.toString('latin1')}`;
      const stat = lstatSync(full);
      if (stat.isDirectory()) visit(full, `${path}/`);
      else if (stat.isSymbolicLink()) tree[path] = `link ${readlinkSync(full, 'latin1')}`;
      else if (stat.isFile()) tree[path] = `${(stat.mode & 0o100) === 0 ? 'file' : 'exec'} ${readFileSync(full, 'latin1')}`;
    }
  };
  visit(Buffer.from(root), '');
  return tree;
}

export function withContents<T>(planted: Planted, call: (contents: ContentReader) => T): T {
  const contents = openContents(native, [planted.layer]);
  try {
    return call(contents);
  } finally {
    contents.close();
  }
}

export function drain<T, R>(generator: Generator<T, R>): { pieces: T[]; result: R } {
  const pieces: T[] = [];
  for (;;) {
    const next = generator.next();
    if (next.done === true) return { pieces, result: next.value };
    pieces.push(next.value);
  }
}

export interface Patched {
  readonly text: string;
  readonly omitted: string[];
}

export function patchOf(planted: Planted, changes: readonly Change[] = changesOf(planted), more: { parts?: ReadonlyMap<Change, readonly Change[]>; limit?: number } = {}): Patched {
  return withContents(planted, (contents) => {
    const { pieces, result } = drain(renderPatch(changes, { root: planted.layer.base, contents, ...more }));
    const omitted = result.map(({ path, why }: Omitted) => `${path.slice(planted.base.length + 1)}: ${why}`);
    return { text: Buffer.concat(pieces).toString('latin1'), omitted };
  });
}

const QUIET = { HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', PATH: process.env['PATH'] ?? '' };

/** The host directory after `git apply --binary`, and after taking it back with `-R`. */
export function applied(planted: Planted, patch: string): { after: Record<string, string>; back: Record<string, string> } {
  const work = join(planted.dir, 'applied');
  mkdirSync(work);
  execFileSync('cp', ['-a', `${planted.base}/.`, work]);
  if (patch === '') return { after: treeOf(work), back: treeOf(work) };
  writeFileSync(join(planted.dir, 'patch'), patch, 'latin1');
  const apply = (...flags: string[]): void => {
    const git = spawnSync('git', ['apply', '--binary', '--unsafe-paths', '--whitespace=nowarn', ...flags, '../patch'], { cwd: work, env: QUIET });
    if (git.status !== 0) throw new Error(`git apply ${flags.join(' ')}: ${git.stderr.toString()}\n${patch.slice(0, 2000)}`);
  };
  apply();
  const after = treeOf(work);
  apply('-R');
  return { after, back: treeOf(work) };
}

/** What the agent sees: the host directory with the layer over it. For layers without opaque directories. */
export function viewOf(planted: Planted): Record<string, string> {
  const gone = new Set<string>();
  for (const { path, kind, from } of changesOf(planted)) {
    if (kind === 'delete' || kind === 'type') gone.add(path.slice(planted.base.length + 1));
    if (from !== null) throw new Error('renames are for mounted layers');
  }
  const view = Object.fromEntries(Object.entries(treeOf(planted.base)).filter(([name]) => !gone.has(name)));
  return { ...view, ...treeOf(planted.upper) };
}

