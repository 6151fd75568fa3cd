import { chmodSync, chownSync, constants, lchownSync, linkSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { scan } from '../../src/changes/scan.js';
import { namesOf } from '../../src/changes/scan/hostlink.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { b, openDir } from '../kernel/temp.js';
import { changesOf, isRoot, layerOf, mark, mountedLayer, scanned, told, uid } from './layers.js';

describe('kinds', () => {
  test('add, modify, delete, type and nothing for what is equal', () => {
    const planted = layerOf(
      { new: 'n', changed: '2', same: 's', gone: null, 'turned/': '', link: '-> b' },
      { changed: '1', same: 's', gone: 'g', turned: 'file', link: '-> a', untouched: 'u' },
    );

    expect(scanned(planted)).toEqual(['add new', 'delete gone', 'modify changed', 'modify link', 'type turned']);
  });

  test('a change has both sides, its place in the layer and its target', () => {
    const planted = layerOf({ 'd/f': 'new!', 'd/s': '-> there' }, { 'd/f': 'old' });

    const [file, link] = changesOf(planted);

    expect(file).toMatchObject({
      path: b(join(planted.base, 'd/f')), kind: 'modify', type: 'file', oldType: null, from: null, content: true, implied: false,
      at: { layer: 0, path: 'd/f' }, upper: { size: 4 }, base: { size: 3 },
    });
    expect(file?.basePath).toBeUndefined();
    expect(link).toMatchObject({ kind: 'add', type: 'symlink', target: 'there', base: null });
  });

  test('time alone is no change, nor is a copied-up file that was not written', () => {
    const planted = layerOf({ f: 'x' }, { f: 'x' });
    mark(planted.upper, 'f', 'user.overlay.origin');
    utimesSync(join(planted.upper, 'f'), 1, 1);

    expect(scanned(planted)).toEqual([]);
  });

  test('mode, xattr and ACL changes are named, of directories too (E98, E55)', () => {
    const planted = layerOf({ 'd/f': 'x', 'e/': '', g: 'x' }, { 'd/f': 'x', 'e/': '', g: 'x' });
    chmodSync(join(planted.upper, 'd'), 0o700);
    chmodSync(join(planted.upper, 'd/f'), 0o600);
    mark(planted.upper, 'e', 'user.mine', '1');
    mark(planted.upper, 'd/f', 'user.mine', '1');
    const acl = '0200000001000600ffffffff0200040001000000040004 00ffffffff10000400ffffffff20000000ffffffff'.replaceAll(' ', '');
    native.setXattr(openDir(planted.upper), b('g'), b('system.posix_acl_access'), Buffer.from(acl, 'hex'));
    chmodSync(join(planted.base, 'g'), 0o640);

    expect(scanned(planted)).toEqual([
      'metadata d (mode)', 'metadata d/f (mode xattr)', 'metadata e (xattr)', 'metadata g (acl)',
    ]);
  });

  test('setuid, setgid and sticky bits count (E38, CW11)', () => {
    const planted = layerOf({ f: 'x' }, { f: 'x' });
    chmodSync(join(planted.upper, 'f'), 0o4755);
    chmodSync(join(planted.base, 'f'), 0o755);

    expect(scanned(planted)).toEqual(['metadata f (mode)']);
  });

  test('FIFOs and sockets are told, never opened (E62, E106)', () => {
    const planted = layerOf({}, {});
    native.mknod(openDir(planted.upper), b('p'), constants.S_IFIFO | 0o600, 0);

    expect(changesOf(planted)).toMatchObject([{ kind: 'add', type: 'fifo' }]);
  });

  test('names are bytes (E101)', () => {
    const name = 'n\xff\n\x1b[31m\u00a0"' as Bytes;
    const planted = layerOf({}, {});
    native.symlink(b('x'), openDir(planted.upper), name);

    expect(changesOf(planted)[0]?.path).toBe(`${planted.base}/${name}`);
  });

  test("the overlay's own attributes never show, escaped ones neither (E54, E99, CW05)", () => {
    const planted = layerOf({ f: 'x' }, { f: 'x' });
    for (const name of ['origin', 'protattr', 'overlay.opaque', 'overlay.redirect']) mark(planted.upper, 'f', `user.overlay.${name}`, 'y');
    if (isRoot) mark(planted.upper, 'f', 'trusted.overlay.origin', 'y');

    expect(scanned(planted)).toEqual([]);
  });
});

describe('deleted directories', () => {
  test('list everything below as implied (E65, E85, E86)', () => {
    const planted = layerOf({ d: null }, { 'd/a': '1', 'd/e/f': '2', 'd/e/s': '-> x', 'd/empty/': '' });
    const changes = changesOf(planted);

    expect(scanned(planted)).toEqual(['[delete d/a]', '[delete d/e/f]', '[delete d/e/s]', '[delete d/e]', '[delete d/empty]', 'delete d']);
    expect(changes[0]).toMatchObject({ kind: 'delete', type: 'dir', implied: false, upper: null });
    for (const change of changes) expect(change.at.path).toBe('d');
    expect(changes.find((one) => one.type === 'symlink')?.target).toBe('x');
  });

  test('a deleted symlink has its old target and is not followed (E103)', () => {
    const planted = layerOf({ 'd/dangling': null, toDir: null }, { 'd/dangling': '-> nowhere', toDir: '-> d' });

    expect(changesOf(planted)).toMatchObject([
      { kind: 'delete', type: 'symlink', target: 'nowhere' },
      { kind: 'delete', type: 'symlink', target: 'd', implied: false },
    ]);
  });

  test('a symlink that the host removes while one looks ends nothing', () => {
    const planted = layerOf({ dir: null, link: null, 'opaque/new': 'n' }, { 'dir/x': '', link: '-> t', 'opaque/link': '-> t', 'opaque/old': '' });
    mark(planted.upper, 'opaque', 'user.overlay.opaque', 'y');
    const kernel: Kernel = {
      ...native,
      readlink: (at, name) => {
        native.unlink(at, name);
        return native.readlink(at, name);
      },
    };

    const changes = [...scan({ kernel, layers: [planted.layer], mode: 'root', uid })];

    expect(told(planted, changes).sort()).toEqual(['[delete dir/x]', '[delete opaque/old]', 'add opaque/new', 'delete dir', 'delete link', 'modify opaque']);
  });

  test('a whiteout for what the host no longer has is no change', () => {
    const planted = layerOf({ 'd/gone': null, never: null }, { 'd/': '' });

    expect(scanned(planted)).toEqual([]);
  });

  test('whiteouts that share an inode are each a deletion', () => {
    const planted = layerOf({ a: null }, { a: '1', b: '2' });
    linkSync(join(planted.upper, 'a'), join(planted.upper, 'b'));

    expect(scanned(planted)).toEqual(['delete a', 'delete b']);
  });

  test('what other mounts cover is not ours', () => {
    const planted = layerOf(
      { 'd/mnt/x': 'x', 'gone/': '' },
      { 'd/mnt/y': 'y', 'gone/mnt/z': '', 'gone/own': '' },
      { covered: [b('d/mnt'), b('gone/mnt')] },
    );
    mark(planted.upper, 'gone', 'user.overlay.opaque', 'y');

    expect(scanned(planted)).toEqual(['[delete gone/own]', 'modify gone']);
  });
});

describe('opaque and replaced directories', () => {
  test('an opaque directory lists what it hides (E82, CW08)', () => {
    const planted = layerOf({ 'd/kept': 'k', 'd/new': 'n' }, { 'd/kept': 'k', 'd/hidden': 'h', 'd/sub/deep': 'x' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');
    const changes = changesOf(planted);

    expect(scanned(planted)).toEqual(['[delete d/hidden]', '[delete d/sub/deep]', '[delete d/sub]', 'add d/new', 'modify d']);
    expect(changes.find((one) => one.kind === 'modify')).toMatchObject({ opaque: true, type: 'dir', content: false, meta: [] });
    for (const change of changes.filter((one) => one.implied)) expect(change.at.path).toBe('d');
  });

  test('a directory below an opaque one hides too (E75)', () => {
    const planted = layerOf({ 'a/b/c/mine': '' }, { 'a/x': '', 'a/b/y': '', 'a/b/c/z': '' });
    mark(planted.upper, 'a', 'user.overlay.opaque', 'y');

    expect(scanned(planted)).toEqual(['[delete a/b/c/z]', '[delete a/b/y]', '[delete a/x]', 'add a/b/c/mine', 'modify a']);
  });

  test('a file in a place that an opaque directory hides is compared with the host', () => {
    const planted = layerOf({ 'd/f': 'new' }, { 'd/f': 'old' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');

    expect(scanned(planted)).toEqual(['modify d/f']);
  });

  test('an opaque directory that is made anew as it was is no change', () => {
    const planted = layerOf({ 'd/e/f': 'x' }, { 'd/e/f': 'x' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');

    expect(scanned(planted)).toEqual([]);
    chmodSync(join(planted.upper, 'd'), 0o700);
    expect(changesOf(planted)).toMatchObject([{ kind: 'metadata', opaque: true, meta: ['mode'] }]);
  });

  test('whiteouts inside an opaque directory change nothing (E74)', () => {
    const planted = layerOf({ 'd/gone': null, 'd/never': null, 'd/e/sub': null }, { 'd/gone': '1', 'd/e/sub/f': '2' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');

    expect(scanned(planted)).toEqual(['[delete d/e/sub/f]', '[delete d/e/sub]', '[delete d/gone]', 'modify d']);
  });

  test('stray marks are ignored: opaque without a base, whiteouts in new directories (E78)', () => {
    const planted = layerOf({ 'n/w': null, 'n/f': 'x', 'o/f': 'x' }, { o: 'file' });
    mark(planted.upper, 'n', 'user.overlay.opaque', 'y');
    mark(planted.upper, 'o', 'user.overlay.opaque', 'y');

    expect(changesOf(planted).filter((one) => one.opaque)).toEqual([]);
    expect(scanned(planted)).toEqual(['add n', 'add n/f', 'add o/f', 'type o']);
  });

  test('file to directory and directory to file (CW07)', () => {
    const planted = layerOf({ 'up/in': 'x', down: 'y' }, { up: 'file', 'down/a/b': '' });

    expect(scanned(planted)).toEqual(['[delete down/a/b]', '[delete down/a]', 'add up/in', 'type down', 'type up']);
    expect(changesOf(planted).find((one) => one.kind === 'type' && one.type === 'file')).toMatchObject({ oldType: 'dir' });
  });

  test('a directory replaced by a symlink lists what it had and is not followed (CW02)', () => {
    const planted = layerOf({ d: '-> /etc' }, { 'd/f': '' });

    expect(scanned(planted)).toEqual(['[delete d/f]', 'type d']);
  });

  test('a directory of the agent over a symlink of the host is a type change', () => {
    const planted = layerOf({ 'd/f': 'x' }, { 'real/f': 'x', d: '-> real' });

    expect(scanned(planted)).toEqual(['add d/f', 'type d']);
  });
});

describe('layers', () => {
  test('several are told in their order, each against its own base', () => {
    const [one, two] = [layerOf({ f: '1' }, {}), layerOf({ g: '2' }, {}, { skeleton: true })];

    const changes = [...scan({ kernel: native, layers: [one.layer, two.layer], mode: 'root', uid })];

    expect(changes.map((change) => [change.at.layer, change.path])).toEqual([[0, `${one.base}/f`], [1, `${two.base}/g`]]);
  });

  test('a layer that held nothing at the end of its run may be gone', () => {
    const planted = layerOf({}, { f: '' }, { bare: true });
    rmSync(planted.upper, { recursive: true });

    expect(scanned(planted)).toEqual([]);
  });

  test('an empty layer over a base that is gone is no change', () => {
    const planted = layerOf({}, { f: 'x' });
    rmSync(planted.base, { recursive: true });

    expect(scanned(planted)).toEqual([]);
  });

  test('a base that is gone, or became a symlink, makes all an addition (CW14)', () => {
    const planted = layerOf({ f: 'x' }, { f: 'x' });
    rmSync(planted.base, { recursive: true });
    expect(scanned(planted)).toEqual(['add .', 'add f']);

    symlinkSync('/', planted.base);
    expect(scanned(planted)).toEqual(['add .', 'add f']);
  });

  test('the order is the same each time and by bytes within a layer', () => {
    const planted = layerOf({ b: '', 'a/z': '', 'a.x': '', B: '' }, {});

    const paths = changesOf(planted).map((change) => change.path.slice(planted.base.length + 1));

    expect(paths).toEqual(['B', 'a', 'a/z', 'a.x', 'b']);
  });

  test('no descriptor stays open, also when the reader stops early', () => {
    const planted = layerOf({ a: '', b: '', d: null }, { 'd/x': '', 'd/y': '' });
    const count = (): number => native.list(openDir('/proc/self/fd')).length;
    const before = count();

    changesOf(planted);
    for (const change of scan({ kernel: native, layers: [planted.layer], mode: 'root', uid })) if (change.implied) break;

    expect(count()).toBe(before + 1);
  });
});

describe.runIf(isRoot)('owners (needs root)', () => {
  test('in root mode a change of owner or group is told', () => {
    const planted = layerOf({ f: 'x', s: '-> x' }, { f: 'x', s: '-> x' });
    chownSync(join(planted.upper, 'f'), 0, 7);
    lchownSync(join(planted.upper, 's'), 9, 0);

    expect(scanned(planted)).toEqual(['metadata f (owner)', 'metadata s (owner)']);
  });

  test('in user mode what the one-uid map does to owners is no change', () => {
    const planted = layerOf({ f: 'x', 'd/': '' }, { f: 'x', 'd/': '' });
    chownSync(join(planted.base, 'f'), 7, 7);
    chownSync(join(planted.base, 'd'), 7, 7);
    chmodSync(join(planted.upper, 'd'), 0o700);

    expect(scanned(planted, 'user')).toEqual([]);
  });

  test('in user mode a changed owner of an own file is told', () => {
    const planted = layerOf({ f: 'x' }, { f: 'x' });
    chownSync(join(planted.upper, 'f'), 7, 0);

    expect(scanned(planted, 'user')).toEqual(['metadata f (owner)']);
  });
});

describe.runIf(isRoot)('layers that the kernel made (needs root)', () => {
  test('edit, append, chmod, delete, replace and recreate', () => {
    const base = { edit: '1', same: 's', mode: 'm', gone: 'g', 'dir/a': '', 'dir/b': '', 'tree/x/y': '', 'keep/k': '' };
    const script = `echo 2 >edit; exec 3<>same; exec 3>&-; chmod 600 mode; rm gone; rm -r dir; mkdir dir; echo >dir/b; rm -r tree; echo new >new; mkdir -p p/q; touch keep/l`;
    const planted = mountedLayer(base, script);
    chmodSync(join(planted.base, 'mode'), 0o644);

    expect(scanned(planted)).toEqual([
      '[delete dir/a]', '[delete tree/x/y]', '[delete tree/x]', 'add keep/l', 'add new', 'add p', 'add p/q',
      'delete gone', 'delete tree', 'metadata mode (mode)', 'modify dir', 'modify dir/b', 'modify edit',
    ]);
  });

  test('rm -r a; mkdir -p a/b/c (E73, E75)', () => {
    const planted = mountedLayer({ 'a/b/x': '', 'a/y': '' }, 'rm -r a; mkdir -p a/b/c');

    expect(scanned(planted)).toEqual(['[delete a/b/x]', '[delete a/y]', 'add a/b/c', 'modify a']);
  });

  test('rm f; ln -s t f (E71) and mv over a deleted name (E70, E77)', () => {
    const planted = mountedLayer({ f: 'x', a: 'a', b: 'b' }, 'rm f; ln -s t f; rm b; mv a b');

    expect(scanned(planted)).toEqual(['delete a', 'modify b', 'type f']);
  });

  test('mv of a lower directory keeps its files: by copy in user mode (E66, E87)', () => {
    const planted = mountedLayer({ 'old/f': '1', 'old/g/h': '2' }, 'mv old new');

    expect(scanned(planted)).toEqual(['[delete old/f]', '[delete old/g/h]', '[delete old/g]', 'add new', 'add new/f', 'add new/g', 'add new/g/h', 'delete old']);
  });

  test('mv of a lower directory is a rename with redirect_dir, files listed (E66, E91)', () => {
    const planted = mountedLayer({ 'old/f': '1', 'old/g/h': '2', 'old/rm': '' }, 'mv old new; echo 2 >new/f; rm new/rm; touch new/g/added', 'trusted');

    expect(scanned(planted)).toEqual(['[rename new/g/h from old/g/h]', 'add new/g/added', 'delete new/rm', 'modify new/f', 'rename new from old']);
    const modified = changesOf(planted).find((one) => one.kind === 'modify');
    expect(modified?.basePath).toBe(`${planted.base}/old/f`);
  });

  test('rename a tree, recreate the old name, delete, recreate (E91)', () => {
    const planted = mountedLayer({ 'd/f': '1', 'd/g': '' }, 'mv d e; mkdir d; touch d/x; rm -r d; mkdir d; touch d/y', 'trusted');

    expect(scanned(planted)).toEqual(['[rename e/f from d/f]', '[rename e/g from d/g]', 'add d', 'add d/y', 'rename e from d']);
  });

  test('a directory moved out of a deleted one is not deleted', () => {
    const planted = mountedLayer({ 'a/keep/f': '', 'a/drop': '' }, 'mv a/keep kept; rm -r a', 'trusted');

    expect(scanned(planted)).toEqual(['[delete a/drop]', '[rename kept/f from a/keep/f]', 'delete a', 'rename kept from a/keep']);
  });

  test('a/b deleted while a/c is added (E83)', () => {
    const planted = mountedLayer({ 'a/b/x': '' }, 'rm -r a/b; touch a/c');

    expect(scanned(planted)).toEqual(['[delete a/b/x]', 'add a/c', 'delete a/b']);
  });

  test('one of two hard-linked names, written, is one change (CW19)', () => {
    const planted = layerOf({}, { h1: 'x' });
    linkSync(join(planted.base, 'h1'), join(planted.base, 'h2'));
    writeFileSync(join(planted.upper, 'h1'), 'y');

    expect(scanned(planted)).toEqual(['modify h1']);
    expect(changesOf(planted).map(namesOf)).toEqual([2]);
  });
});

test('20,000 files in one deleted directory come one by one (CW20)', () => {
  const planted = layerOf({ d: null }, { 'd/': '' });
  for (let i = 0; i < 200; i++) {
    mkdirSync(join(planted.base, `d/${i}`));
    for (let j = 0; j < 100; j++) writeFileSync(join(planted.base, `d/${i}/${j}`), '');
  }

  let count = 0;
  for (const change of scan({ kernel: native, layers: [planted.layer], mode: 'root', uid })) count += change.kind === 'delete' ? 1 : 0;

  expect(count).toBe(1 + 200 + 20_000);
});

test('the top of a layer is a change only if the agent changed it, whatever is at the base by now', () => {
  const top = { mode: 0o755, uid: null, gid: null };
  const planted = layerOf({ f: 'new' }, {}, { top });
  chmodSync(planted.base, 0o700); // a mount that is gone
  const before = scanned(planted);
  chmodSync(planted.upper, 0o750);

  expect([before, scanned(planted)]).toEqual([['add f'], ['add f', 'metadata . (mode)']]);
});
