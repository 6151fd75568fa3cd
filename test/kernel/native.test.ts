import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, constants, lstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { AT_FDCWD, KernelError, RENAME, RESOLVE } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { b, openDir, tempDir } from './temp.js';

function errorOf(call: () => unknown): KernelError {
  try {
    call();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error('expected a KernelError');
}

describe('open', () => {
  test('an error has `code`, `errno`, `syscall` and `path` as Node has', () => {
    const at = openDir(tempDir());

    const error = errorOf(() => native.open(at, b('none'), constants.O_RDONLY));

    expect(error).toMatchObject({ code: 'ENOENT', errno: 2, syscall: 'openat2', path: 'none' });
    expect(error.message).toBe("ENOENT: No such file or directory, openat2 'none'");
  });

  test('`resolve` refuses symlinks in the middle and leaving the directory (CW01)', () => {
    const dir = tempDir();
    const at = openDir(dir);
    mkdirSync(join(dir, 'real'));
    writeFileSync(join(dir, 'real/f'), 'x');
    symlinkSync('real', join(dir, 'link'));
    const inside = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagiclinks;

    expect(errorOf(() => native.open(at, b('link/f'), constants.O_RDONLY, 0, inside)).code).toBe('ELOOP');
    expect(errorOf(() => native.open(at, b('../x'), constants.O_RDONLY, 0, inside)).code).toBe('EXDEV');
    native.close(native.open(at, b('real/f'), constants.O_RDONLY, 0, inside));
  });

  test('never follows a symlink in the last component', () => {
    const dir = tempDir();
    symlinkSync('/etc/passwd', join(dir, 'link'));

    expect(errorOf(() => native.open(openDir(dir), b('link'), constants.O_RDONLY)).code).toBe('ELOOP');
  });

  test('paths longer than PATH_MAX work (E41, CW20)', () => {
    const root = openDir(tempDir());
    const name = b('n'.repeat(200));
    let at = root;
    for (let depth = 0; depth < 60; depth++) {
      native.mkdir(at, name, 0o755);
      at = openDir(`/proc/self/fd/${at}/${name}`);
    }
    const long = Array(60).fill(name).join('/') as Bytes;

    const fd = native.open(root, `${long}/file` as Bytes, constants.O_CREAT | constants.O_WRONLY, 0o644, RESOLVE.beneath);

    expect(native.stat(fd, b('')).ino).toBe(native.stat(at, b('file')).ino);
    native.close(fd);
  });

  test('a name of 255 bytes works, one of 256 is ENAMETOOLONG (E41)', () => {
    const at = openDir(tempDir());

    native.mkdir(at, b('x'.repeat(255)), 0o700);

    expect(errorOf(() => native.mkdir(at, b('x'.repeat(256)), 0o700)).code).toBe('ENAMETOOLONG');
  });

  test('closing twice is EBADF', () => {
    const fd = native.open(AT_FDCWD, b('/'), constants.O_RDONLY);
    native.close(fd);

    expect(errorOf(() => native.close(fd)).code).toBe('EBADF');
  });
});

test('what is looked at keeps the time of its last access', () => {
  const dir = mkdtempSync('/dev/shm/afw-native-');
  try {
    const at = openDir(dir);
    for (const name of ['one', 'other']) {
      writeFileSync(join(dir, name), 'text');
      utimesSync(join(dir, name), 1_000_000, 2_000_000);
    }
    const accessed = (name: string): number => lstatSync(join(dir, name)).atimeMs / 1000;

    expect(native.readFile(at, b('one'), Buffer.alloc(8))).toBe(4);
    readFileSync(join(dir, 'other'));
    // Where a filesystem notes no access at all nothing is proven.
    expect(accessed('other')).toBeGreaterThan(1_000_000);
    expect(accessed('one')).toBe(1_000_000);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

describe('names', () => {
  test('are bytes: invalid UTF-8, newline and quote go and come unchanged (E101)', () => {
    const at = openDir(tempDir());
    const names = ['\xff\xfe', 'a\nb', '"q"', '-rf', b('ä\u202e')] as Bytes[];

    for (const name of names) native.mkdir(at, name, 0o755);

    expect(native.list(at).sort()).toEqual([...names].sort());
    expect(native.list(at)).toHaveLength(names.length);
  });

  test('`list` is empty for an empty directory', () => {
    expect(native.list(openDir(tempDir()))).toEqual([]);
  });

  test('symlink, readlink, link, unlink, rmdir', () => {
    const dir = tempDir();
    const at = openDir(dir);
    writeFileSync(join(dir, 'f'), 'x');
    mkdirSync(join(dir, 'd'));

    native.symlink(b('to \xff'), at, b('s'));
    native.link(at, b('f'), at, b('g'));
    expect(native.readlink(at, b('s'))).toBe(b('to \xff'));
    expect(native.stat(at, b('g'))).toMatchObject({ nlink: 2, size: 1 });

    native.unlink(at, b('g'));
    native.rmdir(at, b('d'));
    native.unlink(at, b('s'));
    expect(native.list(at)).toEqual(['f']);
  });

  test('`link` with an empty name gives an O_TMPFILE its name', () => {
    const dir = tempDir();
    const at = openDir(dir);
    const fd = native.open(at, b('.'), 0o20200000 | constants.O_WRONLY, 0o600);

    native.link(fd, b(''), at, b('named'));

    expect(lstatSync(join(dir, 'named')).isFile()).toBe(true);
    native.close(fd);
  });

  test('`mknod` makes whiteouts and FIFOs', () => {
    const at = openDir(tempDir());

    native.mknod(at, b('w'), constants.S_IFCHR, 0);
    native.mknod(at, b('p'), constants.S_IFIFO | 0o600, 0);

    expect(native.stat(at, b('w')).mode & constants.S_IFMT).toBe(constants.S_IFCHR);
    expect(native.stat(at, b('w')).rdev).toBe(0n);
    expect(native.stat(at, b('p')).mode & constants.S_IFMT).toBe(constants.S_IFIFO);
  });
});

describe('rename', () => {
  test('`exchange` swaps, `noReplace` refuses', () => {
    const dir = tempDir();
    const at = openDir(dir);
    writeFileSync(join(dir, 'a'), 'A');
    writeFileSync(join(dir, 'b'), 'B');

    native.rename(at, b('a'), at, b('b'), RENAME.exchange);

    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('B');
    expect(errorOf(() => native.rename(at, b('a'), at, b('b'), RENAME.noReplace)).code).toBe('EEXIST');
    native.rename(at, b('a'), at, b('b'), RENAME.replace);
    expect(native.list(at)).toEqual(['b']);
  });
});

describe('metadata', () => {
  test('stat agrees with Node', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), 'hello');
    const node = lstatSync(join(dir, 'f'), { bigint: true });

    const ours = native.stat(openDir(dir), b('f'));

    expect(ours).toEqual({
      dev: node.dev, ino: node.ino, mode: Number(node.mode), nlink: 1, uid: Number(node.uid), gid: Number(node.gid),
      rdev: node.rdev, size: 5, blocks: Number(node.blocks), atimeNs: node.atimeNs, mtimeNs: node.mtimeNs,
      ctimeNs: node.ctimeNs, btimeNs: node.birthtimeNs,
    });
  });

  test('`statOrNull` is null for ENOENT and ENOTDIR only', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    const at = openDir(dir);

    expect(native.statOrNull(at, b('none'))).toBeNull();
    expect(native.statOrNull(at, b('f/below'))).toBeNull();
    expect(errorOf(() => native.statOrNull(at, b('x'.repeat(300)))).code).toBe('ENAMETOOLONG');
  });

  test.each([0o644, 0o4755, 0o1777, 0o2750, 0])('chmod %o', (mode) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    const at = openDir(dir);

    native.chmod(at, b('f'), mode);

    expect(native.stat(at, b('f')).mode & 0o7777).toBe(mode);
  });

  test('chmod of a symlink is refused and leaves its target alone', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    chmodSync(join(dir, 'f'), 0o600);
    symlinkSync('f', join(dir, 's'));

    expect(errorOf(() => native.chmod(openDir(dir), b('s'), 0o777)).code).toBe('ENOTSUP');
    expect(lstatSync(join(dir, 'f')).mode & 0o777).toBe(0o600);
  });

  test('an O_PATH fd takes chmod, utimes and xattrs by the empty name', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    const fd = native.open(openDir(dir), b('f'), 0o10000000);

    native.chmod(fd, b(''), 0o711);
    native.utimes(fd, b(''), 5n, 1_700_000_000_123_456_789n);
    native.setXattr(fd, b(''), b('user.k'), Buffer.from('v'));

    expect(native.stat(fd, b(''))).toMatchObject({ atimeNs: 5n, mtimeNs: 1_700_000_000_123_456_789n });
    expect(native.xattrs(fd, b(''))).toEqual([{ name: 'user.k', value: Buffer.from('v') }]);
    native.close(fd);
  });

  test('utimes takes times before 1970 and changes a symlink itself', () => {
    const dir = tempDir();
    symlinkSync('nowhere', join(dir, 's'));
    const at = openDir(dir);

    native.utimes(at, b('s'), -1n, -1_500_000_000n);

    expect(native.stat(at, b('s'))).toMatchObject({ atimeNs: -1n, mtimeNs: -1_500_000_000n });
  });

  test.runIf(process.getuid?.() === 0)('chown changes a symlink itself (needs root)', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    symlinkSync('f', join(dir, 's'));
    const at = openDir(dir);

    native.chown(at, b('s'), 7, 8);

    expect(native.stat(at, b('s'))).toMatchObject({ uid: 7, gid: 8 });
    expect(native.stat(at, b('f'))).toMatchObject({ uid: 0 });
  });
});

describe('xattrs', () => {
  test('are sorted, keep big values (E54) and go away', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    const at = openDir(dir);
    const big = Buffer.alloc(3000, 0xfe);

    native.setXattr(at, b('f'), b('user.z'), Buffer.alloc(0));
    native.setXattr(at, b('f'), b('user.a'), big);
    expect(native.xattrs(at, b('f'))).toEqual([
      { name: 'user.a', value: big },
      { name: 'user.z', value: Buffer.alloc(0) },
    ]);

    native.removeXattr(at, b('f'), b('user.a'));
    expect(native.xattrs(at, b('f')).map((one) => one.name)).toEqual(['user.z']);
    expect(errorOf(() => native.removeXattr(at, b('f'), b('user.a'))).code).toBe('ENODATA');
  });

  test('of a symlink are its own', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'f'), '');
    symlinkSync('f', join(dir, 's'));
    const at = openDir(dir);
    native.setXattr(at, b('f'), b('user.k'), Buffer.from('v'));

    expect(native.xattrs(at, b('s'))).toEqual([]);
    expect(errorOf(() => native.setXattr(at, b('s'), b('user.k'), Buffer.from('v'))).code).toBe('EPERM');
  });
});

describe('flock', () => {
  test('is false when another open file has the lock, and free after `unlock`', () => {
    const file = join(tempDir(), 'lock');
    writeFileSync(file, '');
    const [one, two] = [openSync(file, 'r'), openSync(file, 'r')];

    expect(native.flock(one, 'exclusive', false)).toBe(true);
    expect(native.flock(two, 'shared', false)).toBe(false);
    native.flock(one, 'unlock', false);
    expect(native.flock(two, 'shared', true)).toBe(true);
    expect(native.flock(one, 'shared', false)).toBe(true);

    native.close(one);
    native.close(two);
  });

  test('what is no refusal is thrown, also by who would not wait', () => {
    expect(errorOf(() => native.flock(1_000_000, 'exclusive', false)).code).toBe('EBADF');
  });

  test('who waits gets it when its holder ends', async () => {
    const file = join(tempDir(), 'lock');
    // It ends by itself once somebody waits: we do nothing else then, and can't tell it.
    const script = 'exec 9> "$1"; flock 9; echo held; n=0; until grep -q -- "-> FLOCK .* $PPID " /proc/locks || [ $n = 2000 ]; do n=$((n + 1)); done';
    const holder = spawn('sh', ['-c', script, 'sh', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      const fd = openSync(file, 'r');

      expect(native.flock(fd, 'exclusive', false)).toBe(false);
      expect(native.flock(fd, 'exclusive', true)).toBe(true);
      native.close(fd);
    } finally {
      holder.kill('SIGKILL');
    }
  });
});

describe('durability', () => {
  test('fsync and syncfs take directories', () => {
    const at = openDir(tempDir());

    native.fsync(at);
    native.syncfs(at);
  });
});

describe('memory', () => {
  test('pages of the program file are let go, and come back as they were', () => {
    const code = `const {readFileSync,statSync}=require('fs');const m=require(${JSON.stringify(join(process.cwd(), 'build/Release/agentfw.node'))});
      const file=()=>Number(/RssFile:\\s+(\\d+)/.exec(readFileSync('/proc/self/status','latin1'))[1]);
      const hash=()=>require('crypto').createHash('sha256').update(require('zlib').gzipSync('a'.repeat(1e5))).digest('hex');
      const said=hash(),before=file(),bytes=m.forgetProgram(),after=file();
      // A distribution may have Node in a library: then there is little to let go.
      const much=statSync('/proc/self/exe').size>2e7;
      console.log(hash()===said,much?bytes>1e7&&after<before/2:after<=before,new Function('return 6*7')(),m.forgetProgram()===bytes)`;

    expect(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' })).toBe('true true 42 true\n');
  });
});

describe('loading', () => {
  test('the addon loads in a second context of the same process', () => {
    const code = `const {Worker}=require('worker_threads');const m=${JSON.stringify(join(process.cwd(), 'build/Release/agentfw.node'))};
      require(m);new Worker('require('+JSON.stringify(m)+')',{eval:true}).on('exit',c=>process.exit(c))`;

    execFileSync(process.execPath, ['-e', code]);
  });
});
