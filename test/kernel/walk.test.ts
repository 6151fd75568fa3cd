import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, constants, linkSync, lstatSync, mkdirSync, rmSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { WalkEntry, WalkOptions } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { inMemory } from '../helpers/memory.js';
import { isSecondRun } from '../helpers/needs.js';
import { plant } from './plant.js';
import { b, openDir, tempDir } from './temp.js';

function sides(upper: Record<string, string | null>, base: Record<string, string | null>): { up: string; down: string } {
  const dir = tempDir(inMemory());
  mkdirSync(join(dir, 'up'));
  mkdirSync(join(dir, 'down'));
  plant(join(dir, 'up'), upper);
  plant(join(dir, 'down'), base);
  return { up: join(dir, 'up'), down: join(dir, 'down') };
}

function walked(up: string, down: string | null, options: Partial<WalkOptions> = {}): WalkEntry[] {
  return [...native.walk(openDir(up), down === null ? null : openDir(down), { family: 'user', compare: true, ...options })];
}

const pathsOf = (entries: WalkEntry[]): string[] => entries.map((entry) => entry.path);
const entry = (entries: WalkEntry[], path: string): WalkEntry => {
  const found = entries.find((one) => one.path === path);
  if (!found) throw new Error(`no entry ${path}`);
  return found;
};

describe('order', () => {
  test('is pre-order by bytes, the root first', () => {
    const { up } = sides({ 'b/x': '', 'a/z/q': '', 'a/b': '', 'a.c': '', B: '', '\u00e9': '' }, {});

    expect(pathsOf(walked(up, null))).toEqual(['', 'B', 'a', 'a/b', 'a/z', 'a/z/q', 'a.c', 'b', 'b/x', b('\u00e9')]);
  });

  test.skipIf(isSecondRun)('is the same however many helpers take part', () => {
    const tree: Record<string, string> = {};
    for (let i = 0; i < 60; i++) for (let j = 0; j < 30; j++) tree[`d${i}/e${j % 7}/f${j}`] = `${i}${j}`;
    const { up, down } = sides(tree, tree);

    const first = walked(up, down);

    for (let i = 0; i < 20; i++) expect(pathsOf(walked(up, down))).toEqual(pathsOf(first));
    expect(pathsOf(first)).toHaveLength(1 + 60 + 60 * 7 + 60 * 30);
    expect(first.filter((one) => one.sameContent)).toHaveLength(60 * 30);
  });

  test.skipIf(isSecondRun)('holds in one flat directory of several segments', () => {
    const tree: Record<string, string> = {};
    for (let i = 0; i < 3000; i++) tree[`f${i}`] = '';
    const { up, down } = sides(tree, tree);

    const paths = pathsOf(walked(up, down));

    expect(paths).toEqual(['', ...Object.keys(tree).sort()]);
  });
});

describe('comparing', () => {
  test('the base is the same path on the host, null when there is none', () => {
    const { up, down } = sides({ same: 'x', other: 'y', new: 'z', 'd/': '' }, { same: 'x', other: 'n', 'd/below': '' });
    const entries = walked(up, down);

    expect(entry(entries, 'same')).toMatchObject({ sameContent: true, sameXattrs: true, sameAcl: true });
    expect(entry(entries, 'other')).toMatchObject({ sameContent: false });
    expect(entry(entries, 'new')).toMatchObject({ base: null, sameContent: null, sameXattrs: null });
    expect(entry(entries, 'd').base?.ino).toBe(lstatSync(join(down, 'd'), { bigint: true }).ino);
    expect(pathsOf(entries)).not.toContain('d/below');
  });

  test('without `compare` only sizes speak', () => {
    const { up, down } = sides({ same: 'x', longer: 'yy' }, { same: 'x', longer: 'y' });
    const entries = walked(up, down, { compare: false });

    expect(entry(entries, 'same').sameContent).toBeNull();
    expect(entry(entries, 'longer').sameContent).toBe(false);
  });

  test('below a base ancestor that is a symlink there is no base (CW02)', () => {
    const { up, down } = sides({ 'd/f': 'x' }, { 'real/f': 'x', d: '-> real' });
    const entries = walked(up, down);

    expect(entry(entries, 'd').base).not.toBeNull();
    expect(entry(entries, 'd/f').base).toBeNull();
  });

  test('symlinks are compared by target and never followed', () => {
    const { up, down } = sides({ s: '-> one', t: '-> one', d: '-> /etc' }, { s: '-> one', t: '-> two' });
    const entries = walked(up, down);

    expect(entry(entries, 's')).toMatchObject({ sameContent: true, target: 'one' });
    expect(entry(entries, 't')).toMatchObject({ sameContent: false, target: 'one' });
    expect(pathsOf(entries)).toEqual(['', 'd', 's', 't']);
  });

  test("attributes are compared without the overlay's own, escaped ones included (E54, CW05)", () => {
    const { up, down } = sides({ f: '', g: '', h: '' }, { f: '', g: '', h: '' });
    const at = openDir(up);
    native.setXattr(at, b('f'), b('user.overlay.origin'), Buffer.alloc(0));
    native.setXattr(at, b('f'), b('user.overlay.overlay.opaque'), Buffer.from('y'));
    native.setXattr(at, b('g'), b('user.k'), Buffer.from('1'));
    native.setXattr(openDir(down), b('g'), b('user.k'), Buffer.from('2'));
    native.setXattr(at, b('h'), b('user.k'), Buffer.from('1'));
    const entries = walked(up, down);

    expect(entry(entries, 'f')).toMatchObject({ sameXattrs: true, copiedUp: true });
    expect(entry(entries, 'g')).toMatchObject({ sameXattrs: false, sameAcl: true });
    expect(entry(entries, 'h')).toMatchObject({ sameXattrs: false, copiedUp: false });
  });

  test('the origin mark is told of a file that has nothing else, with its value', () => {
    const { up, down } = sides({ only: '', more: '', empty: '', none: '', 'dir/x': '', s: '-> x' }, { only: '' });
    const at = openDir(up);
    const value = Buffer.from('00fb1d0001ff80', 'hex');
    for (const name of ['only', 'more', 'dir']) native.setXattr(at, b(name), b('user.overlay.origin'), value);
    native.setXattr(at, b('empty'), b('user.overlay.origin'), Buffer.alloc(0));
    native.setXattr(at, b('more'), b('user.k'), Buffer.from('1'));
    const entries = walked(up, down);

    expect(entry(entries, 'only')).toMatchObject({ origin: value.toString('latin1'), target: null, copiedUp: true });
    expect(entry(entries, 'empty')).toMatchObject({ origin: '', copiedUp: true });
    expect(['more', 'none', 'dir', 'dir/x', 's'].map((path) => entry(entries, path).origin)).toEqual([null, null, null, null, null]);
    expect(entry(entries, 's').target).toBe('x');
  });

  test('ACLs are compared apart (E55)', () => {
    const { up, down } = sides({ f: '' }, { f: '' });
    // version 2; user::rw-, user:1:r--, group::r--, mask::r--, other::---
    const acl = Buffer.from('02000000010006 00ffffffff0200040001000000040004 00ffffffff10000400ffffffff20000000ffffffff'.replaceAll(' ', ''), 'hex');
    native.setXattr(openDir(up), b('f'), b('system.posix_acl_access'), acl);

    expect(entry(walked(up, down), 'f')).toMatchObject({ sameXattrs: true, sameAcl: false });
  });

  test('a FIFO on either side is never opened (E62, E106)', () => {
    const { up, down } = sides({}, {});
    for (const dir of [up, down]) native.mknod(openDir(dir), b('p'), constants.S_IFIFO | 0o600, 0);

    expect(entry(walked(up, down), 'p')).toMatchObject({ sameContent: null, sameXattrs: true });
  });

  test('the host keeps its access times', () => {
    const { up, down } = sides({ f: 'x' }, { f: 'x' });
    const old = new Date(1_000_000);
    utimesSync(join(down, 'f'), old, old);

    walked(up, down);

    expect(lstatSync(join(down, 'f')).atimeMs).toBe(1_000_000);
  });
});

describe('marks of the overlay', () => {
  test('char 0:0 is a whiteout, also when hard-linked; `opaque` is read from directories', () => {
    const { up, down } = sides({ w: null, 'o/': '', 'n/': '' }, { w: 'x', v: 'y' });
    linkSync(join(up, 'w'), join(up, 'v'));
    native.setXattr(openDir(up), b('o'), b('user.overlay.opaque'), Buffer.from('y'));
    const entries = walked(up, down);

    expect(entries.filter((one) => one.whiteout).map((one) => one.path)).toEqual(['v', 'w']);
    expect(entry(entries, 'v').base?.size).toBe(1);
    expect(entry(entries, 'o').opaque).toBe(true);
    expect(entry(entries, 'n').opaque).toBe(false);
  });

  test.runIf(process.getuid?.() === 0)('only the marks of the given `family` count (needs root)', () => {
    const { up } = sides({ 'o/': '' }, {});
    native.setXattr(openDir(up), b('o'), b('trusted.overlay.opaque'), Buffer.from('y'));

    expect(entry(walked(up, null), 'o').opaque).toBe(false);
    expect(entry(walked(up, null, { family: 'trusted' }), 'o').opaque).toBe(true);
  });

  test.runIf(process.getuid?.() === 0)('a redirect leads to the base directory under its old name (needs root)', () => {
    const { up, down } = sides({ 'new/deep/f': '2', 'p/q/g': '' }, { 'old/deep/f': '1', 'old/r/g': '' });
    native.setXattr(openDir(up), b('new'), b('trusted.overlay.redirect'), Buffer.from('/old'));
    native.setXattr(openDir(join(up, 'p')), b('q'), b('trusted.overlay.redirect'), Buffer.from('/old/r'));
    const entries = walked(up, down, { family: 'trusted' });

    expect(entry(entries, 'new')).toMatchObject({ redirect: 'old' });
    expect(entry(entries, 'new/deep').redirect).toBeNull();
    expect(entry(entries, 'new/deep/f')).toMatchObject({ sameContent: false });
    expect(entry(entries, 'p/q/g')).toMatchObject({ sameContent: true });
    expect(entry(walked(up, down), 'new')).toMatchObject({ redirect: null, base: null });
  });
});

describe('size', () => {
  test.skipIf(isSecondRun)('4,000 levels deep: neither recursion nor PATH_MAX (CW20, E41)', () => {
    const { up, down } = sides({}, {});
    // Each side is built from the inside out by relative names.
    const build = `import os,sys
for root in sys.argv[1:]:
    os.chdir(root)
    for i in range(4000):
        os.mkdir('level'); os.chdir('level')
    open('leaf','w').write('x')`;
    execFileSync('python3', ['-c', build, up, down]);

    const entries = walked(up, down);

    expect(entries).toHaveLength(4002);
    expect(entries.at(-1)).toMatchObject({ sameContent: true });
    expect(entries.at(-1)?.path).toBe(`${'level/'.repeat(4000)}leaf`);
  });

  test.skipIf(isSecondRun)('thousands of sibling directories use few descriptors', () => {
    const tree: Record<string, string> = {};
    for (let i = 0; i < 3000; i++) tree[`d${i}/f`] = 'x';
    const { up, down } = sides(tree, tree);
    const limited = `ulimit -n 700; exec "$0" "$@"`;
    const code = `const a=require('./build/Release/agentfw.node'),fs=require('fs');
      const h=a.walkOpen(fs.openSync(process.argv[1]),fs.openSync(process.argv[2]),2);
      let c;while(typeof(c=a.walkNext(h))!=='number');if(c<0)throw c`;

    execFileSync('sh', ['-c', limited, process.execPath, '-e', code, up, down]);

    expect(walked(up, down)).toHaveLength(6001);
  });

  test('leaving the loop early frees everything', () => {
    const tree: Record<string, string> = {};
    for (let i = 0; i < 300; i++) tree[`d${i}/e/f`] = 'x';
    const { up, down } = sides(tree, tree);
    const [upper, base] = [openDir(up), openDir(down)];
    const before = native.list(openDir('/proc/self/fd')).length;

    for (let i = 0; i < 20; i++) for (const one of native.walk(upper, base, { family: 'user', compare: true })) if (one.path) break;

    expect(native.list(openDir('/proc/self/fd')).length).toBe(before + 1);
  });
});

describe.runIf(process.getuid?.() === 0)('as a plain user (needs root to become one)', () => {
  function asNobody<T>(call: () => T): T {
    process.setegid?.(65534);
    process.seteuid?.(65534);
    try {
      return call();
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  }

  function locked(): { up: string; down: string } {
    const { up, down } = sides({ 'd/e/f': 'x', secret: 'y' }, { secret: 'y', 'd/e/f': 'x' });
    for (const path of ['d/e/f', 'd/e', 'd', 'secret', '']) chownSync(join(up, path), 65534, 65534);
    chmodSync(join(up, 'secret'), 0);
    chmodSync(join(up, 'd/e'), 0o100);
    chmodSync(join(up, 'd'), 0);
    chmodSync(dirname(up), 0o755);
    return { up, down };
  }

  test('`unreadable: unlock` sees below chmod 000 and puts the modes back (E61)', () => {
    const { up, down } = locked();
    const [upper, base] = [openDir(up), openDir(down)];

    const entries = asNobody(() => [...native.walk(upper, base, { family: 'user', compare: true, unreadable: 'unlock' })]);

    expect(pathsOf(entries)).toEqual(['', 'd', 'd/e', 'd/e/f', 'secret']);
    expect(entry(entries, 'd').upper.mode & 0o777).toBe(0);
    expect(entry(entries, 'secret').sameContent).toBe(true);
    for (const [path, mode] of [['d', 0], ['d/e', 0o100], ['secret', 0]] as const) {
      expect(lstatSync(join(up, path)).mode & 0o777).toBe(mode);
    }
  });

  test('`unreadable: fail` throws with the path, `skip` goes on', () => {
    const { up, down } = locked();
    const [upper, base] = [openDir(up), openDir(down)];
    const walk = (unreadable: 'fail' | 'skip'): WalkEntry[] =>
      asNobody(() => [...native.walk(upper, base, { family: 'user', compare: true, unreadable })]);

    expect(() => walk('fail')).toThrow(expect.objectContaining({ code: 'EACCES', path: 'd' }));
    expect(pathsOf(walk('skip'))).toEqual(['', 'd', 'secret']);
    // It may be listed and not searched.
    chmodSync(join(up, 'd'), 0o444);
    expect(pathsOf(walk('skip'))).toEqual(['', 'd', 'secret']);
  });
});

test('a layer that changes during the walk is no error', () => {
  const tree: Record<string, string> = {};
  for (let i = 0; i < 500; i++) tree[`d${i}/f`] = 'x';
  const { up } = sides(tree, {});
  const seen: Bytes[] = [];

  for (const one of native.walk(openDir(up), null, { family: 'user', compare: true })) {
    if (one.path === 'd0') rmSync(join(up, 'd99'), { recursive: true });
    seen.push(one.path);
  }

  expect(seen.length).toBeGreaterThan(900);
});
