import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { applyPlan } from '../../src/changes/apply.js';
import { commitStatus, type CommitResult } from '../../src/changes/result.js';
import { AT_FDCWD, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { look } from '../crash/look.js';
import { inMemory } from '../helpers/memory.js';
import { needs } from '../helpers/needs.js';
import { undoCommit } from '../../src/changes/undo.js';
import { at, changesIn, commit, contextFor, makeWorld, picture, planOf, refusalsIn, sh, singleCalls, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

const isRoot = process.getuid?.() === 0;
const setX = (path: string, name: string, value: string): void =>
  native.setXattr(AT_FDCWD, fromText(path), fromText(name), Buffer.from(value));
const xattrsOf = (path: string): string[] => native.xattrs(AT_FDCWD, fromText(path)).map(({ name }) => name);

describe('while somebody looked at the plan', () => {
  const late = (script: string): Record<string, string> => refusalsIn(world, lateResult(script));
  const lateResult = (script: string): CommitResult => {
    sh(world, 'mkdir $H/d $U/d; for f in a b d/x; do echo old >$H/$f; done; echo new >$U/a; wh $U/b; echo new >$U/d/x; echo n >$U/n');
    const plan = planOf(world);
    sh(world, script);
    return applyPlan(world.ctx, plan, { isLate: true });
  };

  test('a mode that the host changed keeps the new version out, and a file from being deleted', () => {
    expect(late('chmod 600 $H/a $H/b; chmod 700 $H/d')).toEqual({ a: 'changed', b: 'changed' });
    expect(picture(world.host)).toBe(['/ 755', '/a 600 x1 b2xkCg==', '/b 600 x1 b2xkCg==', '/d/ 700', '/d/x 644 x1 bmV3Cg==', '/n 644 x1 bgo='].join('\n'));
  });
  needs('attr').test('so does an attribute', () => {
    expect(late('setfattr -n user.x -v 1 $H/a')).toEqual({ a: 'changed' });
  });
  test('so does a further name, from which the new version would part the file (I12)', () => {
    const result = lateResult('ln $H/a $H/a2; ln $H/b $H/b2');

    expect([refusalsIn(world, result), result.refused[0]?.text]).toEqual([{ a: 'changed' }, 'the host gave it another name while you looked: commit again to write both']);
    expect(sh(world, 'cd $H; cat a a2 b2; test a -ef a2; ls')).toBe('old\nold\nold\na\na2\nb2\nd\nn\n');
  });
  test('new entries of a directory do not', () => {
    expect(late('echo h >$H/d/h')).toEqual({});
  });
});

describe('a commit of everything', () => {
  test('lands each kind of change and empties the layer (I9; CW07)', () => {
    sh(world, 'echo a >$H/a; echo b >$H/b; mkdir -p $H/d/e; echo x >$H/d/x; echo y >$H/d/e/y; ln -s a $H/l; mkdir $H/gone; echo g >$H/gone/g');
    sh(world, 'mkdir -p $U/d/e; echo A2 >$U/a; wh $U/b; echo new >$U/d/new; wh $U/d/e/y; mkdir -p $U/n/m; echo n >$U/n/m/n; ln -s t $U/n/l; wh $U/gone; chmod 700 $U/d');

    const result = commit(world);

    expect(result).toMatchObject({ state: 'landed', refused: [], counts: { add: 5, modify: 1, delete: 4, metadata: 1 } });
    expect(commitStatus(result)).toBe(0);
    expect(picture(world.host)).toBe([
      '/ 755', '/a 644 x1 QTIK', '/d/ 700', '/d/e/ 755', '/d/new 644 x1 bmV3Cg==', '/d/x 644 x1 eAo=',
      '/l -> a', '/n/ 755', '/n/l -> t', '/n/m/ 755', '/n/m/n 644 x1 bgo=',
    ].join('\n'));
    expect(changesIn(world)).toEqual([]);
    expect(picture(world.upper)).toBe('/ 755');
  });
  test('moves: the inode of the layer is the inode on the host, however big the file is', () => {
    sh(world, 'echo a >$H/a; truncate -s 4G $U/a');
    const { ino } = statSync(join(world.upper, 'a'));

    const result = commit(world);

    expect(result.state).toBe('landed');
    expect(statSync(join(world.host, 'a'))).toMatchObject({ ino, size: 4 * 1024 ** 3 });
  });
  test('takes a type change both ways, and dangling links (E103, E110)', () => {
    sh(world, 'echo f >$H/todir; mkdir $H/tofile; echo i >$H/tofile/i; ln -s nowhere $H/dangling; ln -s x $H/relinked');
    sh(world, 'mkdir $U/todir; echo in >$U/todir/in; echo now >$U/tofile; wh $U/dangling; ln -s y $U/relinked');

    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

    expect(picture(world.host)).toBe(['/ 755', '/relinked -> y', '/todir/ 755', '/todir/in 644 x1 aW4K', '/tofile 644 x1 bm93Cg=='].join('\n'));
  });
  test('an empty directory lands, and a deleted directory goes as a whole (E85, E86, E103)', () => {
    sh(world, 'mkdir -p $H/d/e/f; echo x >$H/d/e/f/x; wh $U/d; mkdir $U/empty');

    commit(world);

    expect(picture(world.host)).toBe('/ 755\n/empty/ 755');
  });
  test('a directory that was deleted and made anew leaves nothing of the old one (CW08, E65, E82)', () => {
    sh(world, 'mkdir -p $H/d/sub; echo 1 >$H/d/a; echo 2 >$H/d/b; echo 3 >$H/d/sub/c; mkdir $U/d; echo anew >$U/d/a');
    setX(join(world.upper, 'd'), 'user.overlay.opaque', 'y');

    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

    expect(picture(world.host)).toBe('/ 755\n/d/ 755\n/d/a 644 x1 YW5ldwo=');
    expect(changesIn(world)).toEqual([]);
  });
  test('an opaque directory that hides nothing does not delete what landed in it', () => {
    sh(world, 'mkdir $H/d; echo 1 >$H/d/a; echo 2 >$H/d/b; mkdir $U/d; echo anew >$U/d/a; cp -p $H/d/b $U/d/b');
    setX(join(world.upper, 'd'), 'user.overlay.opaque', 'y');

    commit(world);

    expect(changesIn(world)).toEqual([]);
    expect(readdirSync(join(world.host, 'd'))).toEqual(['a', 'b']);
  });
  test('nothing to do is no commit', () => {
    expect(commit(world)).toMatchObject({ state: 'nothing', id: null });
    expect(readdirSync(join(world.state, 'commits'))).toEqual([]);
  });
});

describe('what never reaches the host (I8)', () => {
  test('overlay marks and whiteouts, also inside new directories (E94, E99, CW05)', () => {
    sh(world, 'echo a >$H/a; echo b >$U/a; mkdir -p $U/n/m; echo x >$U/n/m/x; wh $U/n/m/w');
    for (const [path, name] of [['a', 'origin'], ['n', 'opaque'], ['n/m', 'impure'], ['n/m/x', 'origin'], ['n/m/x', 'overlay.opaque']] as const) {
      setX(join(world.upper, path), `user.overlay.${name}`, 'y');
    }
    if (isRoot) setX(join(world.upper, 'a'), 'trusted.overlay.redirect', '/x');
    setX(join(world.upper, 'n/m/x'), 'user.mine', 'kept');

    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

    const marks = ['a', 'n', 'n/m', 'n/m/x'].flatMap((path) => xattrsOf(join(world.host, path)));
    expect(marks).toEqual(['user.mine']);
    expect(existsSync(join(world.host, 'n/m/w'))).toBe(false);
  });
  test('sockets never, FIFOs only when asked for, and nobody opens them (E62, E106)', () => {
    sh(world, `mkfifo $U/fifo; mkdir $U/d; mkfifo $U/d/fifo; echo f >$U/d/f; python3 -c "import socket,os; os.chdir('$U'); socket.socket(socket.AF_UNIX).bind('sock')"`);

    const first = commit(world);

    expect(refusalsIn(world, first)).toEqual({ fifo: 'special', 'd/fifo': 'special', sock: 'special' });
    expect(commitStatus(first)).toBe(1);
    expect(picture(world.host)).toBe('/ 755\n/d/ 755\n/d/f 644 x1 Zgo=');

    const second = commit(world, { fifos: true });

    expect(refusalsIn(world, second)).toEqual({ sock: 'special' });
    expect(lstatSync(join(world.host, 'd/fifo')).isFIFO()).toBe(true);
  });
  test('setuid, setgid and file capabilities are taken off and told, unless they are to be kept (CW11)', () => {
    sh(world, 'echo a >$H/a; echo s >$U/a; chmod 6755 $U/a; mkdir $U/d; echo s >$U/d/s; chmod 4711 $U/d/s; chmod 2775 $U/d');

    const result = commit(world, { only: ['a', 'd', 'd/s'] });

    expect(Array.from(result.landed, ({ path, stripped }) => [path.slice(world.host.length + 1), stripped])).toEqual([
      ['d', ['setuid']], ['a', ['setuid', 'setgid']],
    ]);
    expect([statSync(join(world.host, 'a')).mode & 0o7777, statSync(join(world.host, 'd/s')).mode & 0o7777]).toEqual([0o755, 0o711]);
    expect(statSync(join(world.host, 'd')).mode & 0o7777).toBe(0o2775);
    sh(world, 'echo k >$U/k; chmod 4755 $U/k');
    commit(world, { keepSpecial: true });
    expect(statSync(join(world.host, 'k')).mode & 0o7777).toBe(0o4755);
  });
  test.runIf(isRoot)('file capabilities (CW11)', () => {
    sh(world, 'echo a >$H/a; echo s >$U/a; mkdir $U/d; echo s >$U/d/s');
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    for (const path of ['a', 'd/s']) native.setXattr(AT_FDCWD, fromText(join(world.upper, path)), fromText('security.capability'), capability);

    commit(world);

    expect([xattrsOf(join(world.host, 'a')), xattrsOf(join(world.host, 'd/s'))]).toEqual([[], []]);
  });
});

describe('fidelity', () => {
  needs('acl').test('modes, times in ns, xattrs, ACLs, links, sparse files and odd names survive (E101, E119)', () => {
    sh(world, `mkdir -p $U/d; cd $U/d; printf x >$'new\\nline'; printf x >$'tab\\t"quote'; printf x >-dash; printf x >$'\\xff\\xfe'; printf x >"$(printf 'n%.0s' {1..255})"
      echo l >l1; ln l1 l2; ln -s "$(printf 't%.0s' {1..4000})" long; truncate -s 100M sparse; mkdir -m 1777 sticky; echo m >m; chmod 0604 m; touch -d '2001-02-03 04:05:06.123456789' m; setfacl -m u:7:rw m; setfacl -d -m u:8:rx sticky`);
    setX(join(world.upper, 'd/m'), 'user.big', 'v'.repeat(2000));
    const old = look({ host: join(world.upper, 'd'), upper: world.upper }, 'host');

    commit(world);

    expect(look({ host: join(world.host, 'd'), upper: world.upper }, 'host')).toBe(old);
    expect(statSync(join(world.host, 'd/sparse')).blocks).toBeLessThan(64);
    expect(statSync(join(world.host, 'd/m'), { bigint: true }).mtimeNs).toBe(981173106123456789n);
  });
  needs('acl').test('the same when nothing can be moved', () => {
    sh(world, `mkdir -p $U/d/e; cd $U/d; echo l >l1; ln l1 e/l2; ln -s t s; truncate -s 100M sparse; mkdir -m 1777 sticky; echo m >m; chmod 0604 m; touch -d '2001-02-03 04:05:06.123456789' m; setfacl -m u:7:rw m; mkfifo e/f; touch -d 2002-01-01 e .`);
    const old = look({ host: join(world.upper, 'd'), upper: world.upper }, 'host');

    expect(commit(world, { live: true, fifos: true })).toMatchObject({ state: 'landed', refused: [] });

    expect(look({ host: join(world.host, 'd'), upper: world.upper }, 'host')).toBe(old);
    expect(statSync(join(world.host, 'd/sparse')).blocks).toBeLessThan(64);
    expect(statSync(join(world.host, 'd')).mtime.getFullYear()).toBe(2002);
    expect(changesIn(world)).toEqual([]);
  });
  test('a tree of 4,000 levels lands, moved and copied (CW20)', () => {
    world.remove();
    world = makeWorld({ under: inMemory() });
    execFileSync('python3', ['-c', `
import os,sys
for top in sys.argv[1:]:
    os.chdir(top)
    for _ in range(4000):
        os.mkdir('d'); os.chdir('d')
    open('f','w').write('deep')`, world.upper]);

    expect(commit(world, { live: true })).toMatchObject({ state: 'landed', refused: [] });
    expect(changesIn(world)).toEqual([]);
    execFileSync('rm', ['-rf', join(world.host, 'd')]);
    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

    const depth = execFileSync('find', [world.host, '-name', 'f', '-printf', '%d']).toString();
    expect(depth).toBe('4001');
    execFileSync('rm', ['-rf', join(world.host, 'd'), join(world.state, 'commits')]);
  });
  test('names of one host file that the agent gave different contents land with these, and an undo makes them one again (I12)', () => {
    sh(world, 'echo 1 >$H/a; for n in b c d; do ln $H/a $H/$n; done; echo A >$U/a; echo B >$U/b; echo 1 >$U/c; chmod 600 $U/c');
    const old = picture(world.host);

    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
    const own = (text: string): string => Buffer.from(text).toString('base64');
    expect(picture(world.host)).toMatch(new RegExp(`/a 644 x\\d ${own('A\n')}\n/b 644 x\\d ${own('B\n')}\n/c 600 x\\d ${own('1\n')}\n/d 600 x\\d ${own('1\n')}$`));
    expect(changesIn(world)).toEqual([]);

    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(picture(world.host).replace(/x\d/g, 'x')).toBe(old.replace(/x\d/g, 'x'));
    expect(sh(world, 'stat -c %i $H/? | sort -u | wc -l')).toBe('1\n');
  });
  test('a name that goes beside one that is written leaves nothing in the layer (I9)', () => {
    sh(world, 'echo 1 >$H/a; ln $H/a $H/b; ln $H/a $H/c; echo A >$U/a; wh $U/b');

    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
    expect(changesIn(world)).toEqual([]);
    expect(sh(world, 'cd $H; ls; cat a c; ls $U')).toBe('a\nc\nA\n1\n');
    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(sh(world, 'cd $H; cat a b c; stat -c %i a b c | sort -u | wc -l')).toBe('1\n1\n1\n1\n');
  });
  test("a host file with several names keeps them, and its old content (I12, CW19)", () => {
    sh(world, 'echo old >$H/a; ln $H/a $H/b; echo new, longer >$U/a; chmod 600 $U/a');
    const { ino } = statSync(join(world.host, 'a'));

    const result = commit(world);

    expect(statSync(join(world.host, 'a'))).toMatchObject({ ino, nlink: 2 });
    expect(readFileSync(join(world.host, 'b'), 'utf8')).toBe('new, longer\n');
    expect(readFileSync(join(world.state, 'commits', result.id ?? '', 'taken/0'), 'utf8')).toBe('old\n');
    expect(changesIn(world)).toEqual([]);
  });
  test('two names of one host inode that changed apart become two files', () => {
    sh(world, 'echo old >$H/a; ln $H/a $H/b; echo A >$U/a; echo B >$U/b');

    commit(world);

    expect(picture(world.host)).toBe('/ 755\n/a 644 x1 QQo=\n/b 644 x1 Qgo=');
  });
  test('an inode that keeps a name in the layer lands as a copy (I18)', () => {
    sh(world, 'echo x >$U/a; ln $U/a $U/b');
    const { ino } = statSync(join(world.upper, 'a'));

    commit(world, { only: ['a'] });

    expect(statSync(join(world.host, 'a')).ino).not.toBe(ino);
    expect(statSync(join(world.upper, 'b'))).toMatchObject({ ino });
  });
  test('metadata of directories and files land in place (E98)', () => {
    sh(world, 'mkdir $H/d; echo f >$H/d/f; mkdir $U/d; cp -p $H/d/f $U/d/f; chmod 700 $U/d; chmod 600 $U/d/f');
    setX(join(world.upper, 'd'), 'user.note', 'n');
    const { ino } = statSync(join(world.host, 'd/f'));

    expect(commit(world)).toMatchObject({ state: 'landed', counts: { metadata: 2 } });

    expect(picture(world.host)).toBe('/ 755\n/d/ 700\n/d/f 600 x1 Zgo=');
    expect(statSync(join(world.host, 'd/f')).ino).toBe(ino);
    expect(xattrsOf(join(world.host, 'd'))).toEqual(['user.note']);
    expect(changesIn(world)).toEqual([]);
  });
});

describe('a part of the changes', () => {
  test('a child of new directories brings its parents, and the rest stays (E97, I9)', () => {
    sh(world, 'mkdir -p $U/a/b; echo c >$U/a/b/c; echo d >$U/a/b/d; echo e >$U/e');
    setX(join(world.upper, 'a'), 'user.overlay.opaque', 'y');

    commit(world, { only: ['a', 'a/b', 'a/b/c'] });

    expect(picture(world.host)).toBe('/ 755\n/a/ 755\n/a/b/ 755\n/a/b/c 644 x1 Ywo=');
    expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'a/b/d'), at(world, 'e')]);
  });
  test('a file in a deleted directory', () => {
    sh(world, 'mkdir $H/d; echo 1 >$H/d/1; echo 2 >$H/d/2; wh $U/d');

    expect(commit(world, { only: ['d/1'] })).toMatchObject({ state: 'landed', refused: [] });

    expect(picture(world.host)).toBe('/ 755\n/d/ 755\n/d/2 644 x1 Mgo=');
    expect(changesIn(world).map(({ path, kind }) => [path, kind])).toEqual([[at(world, 'd'), 'delete'], [at(world, 'd/2'), 'delete']]);
  });
  test('a part of a replaced directory', () => {
    sh(world, 'mkdir $H/d; echo 1 >$H/d/1; echo 2 >$H/d/2; mkdir $U/d; echo 3 >$U/d/3; echo 4 >$U/d/4');
    setX(join(world.upper, 'd'), 'user.overlay.opaque', 'y');

    commit(world, { only: ['d/1', 'd/3'] });

    expect(readdirSync(join(world.host, 'd'))).toEqual(['2', '3']);
    expect(changesIn(world).map(({ path, kind }) => [path.slice(world.host.length), kind])).toEqual([
      ['/d/4', 'add'], ['/d', 'modify'], ['/d/2', 'delete'],
    ]);
  });
  test('composed content lands; the agent\'s version stays, or is spent', () => {
    sh(world, 'echo old >$H/a; echo old >$H/b; echo agent >$U/a; echo agent >$U/b; chmod 640 $U/a');
    const composed = new Map([
      [at(world, 'a'), { content: Buffer.from('some hunks\n'), consume: false }],
      [at(world, 'b'), { content: Buffer.from('merged\n'), consume: true }],
    ]);

    commit(world, { composed });

    expect(picture(world.host)).toBe(`/ 755\n/a 640 x1 ${Buffer.from('some hunks\n').toString('base64')}\n/b 644 x1 ${Buffer.from('merged\n').toString('base64')}`);
    expect(readdirSync(world.upper)).toEqual(['a']);
  });
  needs('attr').test('composed content lands with the metadata that goes with it, of the host\'s file with several names too', () => {
    sh(world, 'echo old >$H/a; chmod 600 $H/a; setfattr -n user.own -v host $H/a; echo old >$H/b; chmod 600 $H/b; ln $H/b $H/c; for f in a b; do echo agent >$U/$f; chmod 755 $U/$f; done');
    const meta = { mode: statSync(join(world.host, 'a')).mode, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const composed = new Map(['a', 'b'].map((name) => [at(world, name), { content: Buffer.from('some hunks\n'), consume: false, meta }]));

    commit(world, { composed });

    expect(sh(world, 'stat -c "%a %h" $H/a $H/b $H/c; cat $H/a $H/c; getfattr --only-values -n user.own $H/a')).toBe('600 1\n600 2\n600 2\nsome hunks\nsome hunks\nhost');
    expect(changesIn(world).map(({ path, meta: parts }) => [path.slice(world.host.length), parts.includes('mode')])).toEqual([['/a', true], ['/b', true]]);
  });
});

describe('order of durability', () => {
  test('content, journal, renames, sync, done record, removal (I1, I2, I7)', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; echo b >$U/b; mkdir $H/c; echo c >$H/c/c; wh $U/c');
    const calls: string[] = [];
    const recorded = Object.fromEntries(Object.entries(singleCalls(native)).map(([name, call]) => [
      name, (...args: unknown[]): unknown => {
        calls.push(name === 'rename' ? `rename ${String(args[1])} ${String(args[3])}` : name);
        return (call as (...args: unknown[]) => unknown)(...args);
      },
    ])) as unknown as Kernel;

    applyPlan(contextFor(world, recorded), planOf(world));

    const syncs = calls.flatMap((call, index) => (call === 'syncfs' ? [index] : []));
    const fsyncs = calls.flatMap((call, index) => (call === 'fsync' ? [index] : []));
    const renames = calls.flatMap((call, index) => (call.startsWith('rename') && !call.includes('result') && !call.includes('no-such') ? [index] : []));
    const [content = -1, landed = -1] = syncs;
    const journal = fsyncs.find((index) => index > content) ?? -1;
    expect(syncs).toHaveLength(2);
    expect(content).toBeLessThan(journal);
    expect(fsyncs.filter((index) => index > content && index < (renames[0] ?? 0))).toHaveLength(3);
    expect(journal).toBeLessThan(renames[0] ?? -1);
    expect(renames.at(-1)).toBeLessThan(landed);
    expect(landed).toBeLessThan(fsyncs.find((index) => index > landed) ?? -1);
    expect(calls.slice(0, fsyncs.find((index) => index > landed)).includes('unlink')).toBe(false);
  });
});

test('a second commit goes on where the first ended: what landed is not host-changed (I17)', () => {
  sh(world, 'echo a >$H/a; echo A >$U/a; mkdir $U/n; echo n >$U/n/n');
  const t0 = native.stat(AT_FDCWD, fromText(join(world.host, 'a'))).ctimeNs + 1n;
  const ctx = contextFor(world, native, t0);
  const later = { ...world, ctx };
  expect(commit(later)).toMatchObject({ state: 'landed', refused: [] });

  sh(world, 'mkdir -p $U/n; echo B >$U/a; wh $U/n/n');
  expect(commit(later)).toMatchObject({ state: 'landed', refused: [] });
  sh(world, 'echo C >$U/a');
  sh(world, 'sleep 0.02; echo host >$H/a');

  expect(refusalsIn(world, commit(later))).toEqual({ a: 'changed' });
});
