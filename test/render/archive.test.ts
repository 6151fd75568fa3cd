import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, constants, linkSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as tar from 'tar';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { Change } from '../../src/changes/change.js';
import { native } from '../../src/kernel/native.js';
import { renderArchive } from '../../src/render/archive.js';
import { renderOci } from '../../src/render/oci.js';
import { tarEnd, tarHeader } from '../../src/render/tar-entry.js';
import { changesOf, isRoot, layerOf, mark, mountedLayer, type Planted } from '../changes/layers.js';
import { b, openDir } from '../kernel/temp.js';
import { drain, treeOf, viewOf, withContents } from './trees.js';

interface Archived {
  readonly bytes: Buffer;
  readonly omitted: string[];
}

function archived(planted: Planted): Archived {
  return withContents(planted, (contents) => {
    const { pieces, result } = drain(renderArchive(changesOf(planted), { root: planted.layer.base, contents }));
    return { bytes: Buffer.concat(pieces), omitted: result.map(({ path, why }) => `${path.slice(planted.base.length + 1)}: ${why}`) };
  });
}

interface Listed {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly link: string;
  readonly size: number;
}

/** As the `tar` package reads it. */
function listed(bytes: Buffer): Listed[] {
  const entries: Listed[] = [];
  const parser = new tar.Parser({
    strict: true,
    onReadEntry: (entry) => {
      entries.push({ path: entry.path, type: entry.type, mode: entry.mode ?? -1, link: entry.linkpath ?? '', size: entry.size });
      entry.resume();
    },
  });
  parser.end(bytes);
  return entries;
}

const names = (bytes: Buffer): string[] => listed(bytes).map(({ path }) => path);

/** The host directory with the archive over it, as a container runtime applies a layer, but with GNU tar. */
function unpacked(planted: Planted, bytes: Buffer): string {
  const work = join(planted.dir, 'unpacked');
  mkdirSync(work);
  execFileSync('cp', ['-a', `${planted.base}/.`, work]);
  for (const name of names(bytes).filter((path) => /(^|\/)\.wh\.[^/]*$/.test(path))) {
    rmSync(join(work, dirname(name), name.slice(name.lastIndexOf('/') + 1).slice('.wh.'.length)), { recursive: true });
  }
  // A file in the place of a directory, and the reverse.
  for (const { path, type } of listed(bytes)) {
    const there = lstatSync(join(work, path.replace(/\/$/, '')), { throwIfNoEntry: false });
    if (there !== undefined && there.isDirectory() !== (type === 'Directory')) rmSync(join(work, path.replace(/\/$/, '')), { recursive: true });
  }
  execFileSync('tar', ['-x', '--overwrite', '--exclude=.wh.*', '-f', '-', '-C', work], { input: bytes });
  return work;
}

describe('over the host it gives the view', () => {
  test('files, directories, links, deletions and replacements (CW07, E117)', () => {
    const planted = layerOf(
      { 'new/deep/f': 'x', changed: '2', gone: null, tree: null, 's/link': '-> ../changed', '.hidden': 'h', turned: 'file', 'was/in': 'y' },
      { changed: '1', gone: 'g', 'tree/a/b': '', 'keep/me': 'k', 'turned/x': '', was: 'file' },
    );
    const { bytes, omitted } = archived(planted);

    expect(omitted).toEqual([]);
    expect(treeOf(unpacked(planted, bytes))).toEqual(viewOf(planted));
  });

  test('one whiteout for a deleted directory, none for what it held', () => {
    const planted = layerOf({ d: null }, { 'd/a/b': '', 'd/c': '' });

    expect(names(archived(planted).bytes)).toEqual(['.wh.d']);
  });

  test('an opaque directory keeps what is equal on both sides (CW08)', () => {
    const planted = layerOf({ 'd/same': 's', 'd/new': 'n' }, { 'd/same': 's', 'd/gone': 'g', 'd/e/f': '' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');
    const { bytes } = archived(planted);

    expect(names(bytes).filter((name) => name.includes('.wh.')).sort()).toEqual(['d/.wh.e', 'd/.wh.gone']);
    expect(treeOf(unpacked(planted, bytes))).toEqual({ 'd/same': 'file s', 'd/new': 'file n' });
  });

  test.runIf(isRoot)('a directory that the kernel renamed has all its files (needs root)', () => {
    const planted = mountedLayer({ 'old/f': '1', 'old/g/h': '2' }, 'mv old new', 'trusted');
    const { bytes } = archived(planted);

    expect(treeOf(unpacked(planted, bytes))).toEqual({ 'new/f': 'file 1', 'new/g/h': 'file 2' });
  });

  test('hard links stay links (E119)', () => {
    const planted = layerOf({ a: 'same' }, {});
    linkSync(join(planted.upper, 'a'), join(planted.upper, 'b'));
    const { bytes } = archived(planted);

    expect(listed(bytes)).toMatchObject([{ path: 'a', type: 'File' }, { path: 'b', type: 'Link', link: 'a', size: 0 }]);
    const work = unpacked(planted, bytes);
    expect(statSync(join(work, 'a')).ino).toBe(statSync(join(work, 'b')).ino);
  });

  // A header has 33 bits, and no sign.
  test.each([-86_400, 0o77777777777 + 1000])('a time of %d is told as it is', (seconds) => {
    const planted = layerOf({ f: 'x' }, {});
    const file = join(planted.upper, 'f');
    const time = new Date(seconds * 1000);
    utimesSync(file, time, time);

    expect(statSync(join(unpacked(planted, archived(planted).bytes), 'f')).mtimeMs).toBe(seconds * 1000);
  });

  test('mode, time and big content', () => {
    const planted = layerOf({ f: 'x'.repeat(300_000) }, {});
    chmodSync(join(planted.upper, 'f'), 0o750);
    utimesSync(join(planted.upper, 'f'), 1_500_000_000, 1_500_000_000);

    const stat = statSync(join(unpacked(planted, archived(planted).bytes), 'f'));

    expect([stat.mode & 0o7777, stat.mtimeMs, stat.size]).toEqual([0o750, 1_500_000_000_000, 300_000]);
  });

  test('long names and targets, and names that are no UTF-8 (E101, E41)', () => {
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(200)}`;
    const planted = layerOf({ [long]: 'x', s: `-> ${'t/'.repeat(200)}`, 'größe': 'y', 'a\nb': 'z' }, {});
    native.symlink(b('t'), openDir(planted.upper), 'n\xff' as Bytes);

    expect(treeOf(unpacked(planted, archived(planted).bytes))).toEqual(viewOf(planted));
  });
});

describe('CW04', () => {
  test('all names are relative and normalised, all types harmless, no link is followed', () => {
    const planted = layerOf({ 'a/abs': '-> /etc/passwd', 'a/up': '-> ../../../x', f: 'x', 'd/': '' }, {});
    native.mknod(openDir(planted.upper), b('fifo'), constants.S_IFIFO | 0o600, 0);
    const { bytes, omitted } = archived(planted);

    expect(omitted).toEqual(["fifo: an archive can't hold a fifo"]);
    for (const { path, type } of listed(bytes)) {
      expect(path).not.toMatch(/^\/|(^|\/)\.\.?(\/|$)|\/\//);
      expect(['File', 'Directory', 'SymbolicLink', 'Link']).toContain(type);
    }
    expect(listed(bytes).find(({ path }) => path === 'a/abs')).toMatchObject({ type: 'SymbolicLink', link: '/etc/passwd', size: 0 });
  });

  test.runIf(isRoot)('devices stay out (needs root)', () => {
    const planted = layerOf({}, {});
    execFileSync('mknod', [join(planted.upper, 'null'), 'c', '1', '3']);

    expect(archived(planted)).toMatchObject({ omitted: ["null: an archive can't hold a char"] });
  });

  test('set-id bits are taken off, and that is said (CW11)', () => {
    const planted = layerOf({ f: 'x' }, {});
    chmodSync(join(planted.upper, 'f'), 0o6755);

    const { bytes, omitted } = archived(planted);
    expect(listed(bytes)[0]?.mode).toBe(0o755);
    expect(omitted).toEqual(['f: of its mode the set-id bits']);
  });

  test('a file that is called like a whiteout can not delete anything', () => {
    const planted = layerOf({ '.wh.victim': '', '.wh..wh..opq': '', 'd/.wh.x/f': '' }, { victim: 'v' });
    const { bytes, omitted } = archived(planted);

    expect(names(bytes)).toEqual(['d/']);
    expect(omitted).toHaveLength(4);
  });

  test("the overlay's attributes and whiteout devices never get in (E94, E99)", () => {
    const planted = layerOf({ f: 'x', gone: null }, { gone: '' });
    mark(planted.upper, 'f', 'user.overlay.origin');

    expect(archived(planted).bytes.includes('overlay')).toBe(false);
  });

  test('outside the root and the root itself are omitted, with the reason', () => {
    const planted = layerOf({ 'in/f': 'x', out: 'y' }, {});
    const { pieces, result } = withContents(planted, (contents) => drain(renderArchive(changesOf(planted), { root: b(`${planted.base}/in`), contents })));

    expect(names(Buffer.concat(pieces))).toEqual(['f']);
    expect(result.map(({ why }) => why)).toEqual(['it is the directory of the archive itself', 'outside the directory of the archive']);
  });
});

test('the order of the changes is of no account', () => {
  const planted = layerOf({ 'was/in': 'y', 'a/b/c': '', z: null, turned: 'f' }, { was: 'file', z: '', 'turned/x': '' });
  const render = (changes: Change[]): Buffer =>
    withContents(planted, (contents) => Buffer.concat(drain(renderArchive(changes, { root: planted.layer.base, contents })).pieces));

  expect(render(changesOf(planted).reverse())).toEqual(render(changesOf(planted)));
});

/** Whoever exports from a running sandbox meets it: no error of agentfw itself. */
const changed = expect.objectContaining({ code: 'AFW_NOT_STILL', message: expect.stringContaining('changed while it was read') as string }) as Error;

test('content that grew since the scan is an error, not a broken archive', () => {
  const planted = layerOf({ f: 'x' }, {});
  const changes = changesOf(planted);
  writeFileSync(join(planted.upper, 'f'), 'longer');

  expect(() => withContents(planted, (contents) => drain(renderArchive(changes, { root: planted.layer.base, contents })))).toThrow(changed);
});

test('what the octal fields of a header can not hold is read all the same', () => {
  const big = { uid: 4_000_000_001, gid: 4_000_000_002, size: 0o77777777777 + 1 };
  let read: object = {};
  const parser = new tar.Parser({
    strict: true,
    onReadEntry: ({ uid, gid, size }) => {
      read = { uid, gid, size };
    },
  });
  parser.write(tarHeader({ path: b('f'), type: 'file', mode: 0o600, mtime: 0, link: b(''), ...big }));

  expect(read).toEqual(big);
});

test('renderOci: a layer that changed between its digest and its bytes is an error', () => {
  let asked = 0;
  const layer = function* (): Generator<Buffer, []> {
    yield Buffer.concat([Buffer.alloc(512, (asked += 1)), tarEnd()]);
    return [];
  };

  expect(() => drain(renderOci(layer, { architecture: 'amd64', created: '', ref: 'x' }))).toThrow(changed);
});

test('renderOci: an image layout whose digests are right', () => {
  const planted = layerOf({ 'd/f': 'x', gone: null }, { gone: '' });
  const { pieces } = withContents(planted, (contents) => {
    const layer = (): ReturnType<typeof renderArchive> => renderArchive(changesOf(planted), { root: planted.layer.base, contents });
    return drain(renderOci(layer, { architecture: 'amd64', created: '2026-01-01T00:00:00Z', ref: 'fix-login' }));
  });
  const dir = join(planted.dir, 'image');
  mkdirSync(dir);
  execFileSync('tar', ['-x', '-f', '-', '-C', dir], { input: Buffer.concat(pieces) });
  const blob = (digest: string): Buffer => {
    const content = readFileSync(join(dir, 'blobs', digest.replace(':', '/')));
    expect(`sha256:${createHash('sha256').update(content).digest('hex')}`).toBe(digest);
    return content;
  };
  interface Ref { digest: string; size: number }
  const json = <T>(content: Buffer): T => JSON.parse(content.toString()) as T;

  const index = json<{ manifests: [Ref & { annotations: Record<string, string> }] }>(readFileSync(join(dir, 'index.json')));
  const manifest = json<{ config: Ref; layers: [Ref] }>(blob(index.manifests[0].digest));
  const config = json<{ rootfs: { diff_ids: string[] } }>(blob(manifest.config.digest));
  const layer = blob(manifest.layers[0].digest);

  expect(json(readFileSync(join(dir, 'oci-layout')))).toEqual({ imageLayoutVersion: '1.0.0' });
  expect(index.manifests[0].annotations['org.opencontainers.image.ref.name']).toBe('fix-login');
  expect(config.rootfs.diff_ids).toEqual([manifest.layers[0].digest]);
  expect(layer.length).toBe(manifest.layers[0].size);
  expect(names(layer).sort()).toEqual(['.wh.gone', 'd/', 'd/f']);
});
