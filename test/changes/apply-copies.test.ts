/** A commit where what is new can not be moved to its place by one rename. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { AT_FDCWD, KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { undoCommit } from '../../src/changes/undo.js';
import { at, changesIn, commit, contextFor, isStaged, makeWorld, picture, refusalsIn, sh, singleCalls, withoutFlags, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** As sshfs: a second name has an inode number of its own. */
function numbered(kernel: Kernel): Kernel {
  const at = (dir: number, name: string): string => `/proc/${process.pid}/fd/${dir}/${name}`;
  return { ...kernel, link: (from, name, to, newName) => void execFileSync('cp', ['-a', at(from, name), at(to, newName)]) };
}

describe('where nothing can be renamed', () => {
  let other: World;
  beforeEach(() => {
    other = makeWorld({ storeUnder: existsSync('/dev/shm') ? '/dev/shm' : '/tmp' });
  });
  afterEach(() => other.remove());

  test('copies land beside their targets, and nothing of them is left', () => {
    sh(other, 'echo a >$H/a; mkdir -p $H/gone/in; echo g >$H/gone/in/g; echo A2 >$U/a; wh $U/gone; mkdir -p $U/n/m; echo n >$U/n/m/n; ln $U/n/m/n $U/n/l; chmod 700 $U/n');

    const result = commit(other);

    expect(result).toMatchObject({ state: 'landed', refused: [] });
    expect(picture(other.host)).toBe('/ 755\n/a 644 x1 QTIK\n/n/ 700\n/n/l 644 x2 bgo=\n/n/m/ 755\n/n/m/n 644 x2 bgo=');
    expect(changesIn(other)).toEqual([]);
    expect(readdirSync(other.upper)).toEqual([]);
  });

  test('nothing stays beside a target that was refused while it was copied', () => {
    sh(other, 'echo a >$H/a; echo A2 >$U/a; mkdir $U/n; echo n >$U/n/n; echo secret >$U/n/x; echo ok >$U/ok');
    const shut: Kernel = {
      ...singleCalls(native),
      open: (at, name, ...rest) => {
        if (name === 'x') throw new KernelError('EACCES', 13, 'openat2', name, 'EACCES: injected');
        return native.open(at, name, ...rest);
      },
    };

    expect(Object.keys(refusalsIn(world, commit({ ...other, ctx: contextFor(other, shut) })))).toHaveLength(1);
    expect(picture(other.host)).toBe('/ 755\n/a 644 x1 QTIK\n/ok 644 x1 b2sK');
  });

  test.each([['refuses', 'permission'], ['ignores', 'failed']] as const)('where a filesystem %s modes, content lands with what it gives, a mode alone is refused, and nothing is left half way', (does, why) => {
    const ask = 'for f in a d; do echo old >$H/$f; cp -p $H/$f $U/$f; done; chmod 600 $U/d; echo more >>$U/a; echo n >$U/n; chmod 755 $U/n';
    sh(other, ask);
    const lax: Kernel = {
      ...singleCalls(native),
      open: (dir, path, flags, mode, resolve) => native.open(dir, path, flags, mode === 0o600 ? 0o777 : mode, resolve),
      chmod: (...args) => {
        if (native.stat(args[0], '' as Bytes).dev !== native.stat(AT_FDCWD, fromText(other.host)).dev) return native.chmod(...args);
        if (does === 'refuses') throw new KernelError('EPERM', 1, 'fchmodat2', args[1], 'EPERM: injected');
      },
    };
    const own = { ...other, ctx: contextFor(other, lax) };

    const result = commit(own);

    expect(result).toMatchObject({ state: 'landed', refused: [{ path: at(other, 'd'), why }] });
    expect(sh(other, 'stat -c %a $H/d; cat $H/a $H/n')).toBe('644\nold\nmore\nn\n');
    expect(undoCommit(own.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(sh(other, 'ls -A $H; cat $H/a $H/d')).toBe('a\nd\nold\nold\n');
  });

  test('a refusal of another kind lands nothing with the mode that it was made with', () => {
    sh(other, 'echo old >$H/a; cp -p $H/a $U/a; echo more >>$U/a; echo n >$U/n');
    let left = 1;
    const once: Kernel = {
      ...singleCalls(native),
      chmod: (...args) => {
        if ((left -= 1) === 0) throw new KernelError('EPERM', 1, 'fchmodat2', args[1], 'EPERM: injected');
        native.chmod(...args);
      },
    };

    expect(commit({ ...other, ctx: contextFor(other, once) })).toMatchObject({ state: 'landed', refused: [{ why: 'permission' }] });
    expect(sh(other, 'stat -c %a $H/*')).toMatch(/^644\n(644\n)?$/);
    expect(commit(other)).toMatchObject({ state: 'landed', refused: [] });
    expect(sh(other, 'stat -c %a $H/*; cat $H/*')).toBe('644\n644\nold\nmore\nn\n');
  });

  test('on a slow disk, too, what went away beside targets is no change of the host\'s to a later undo (I17)', () => {
    const tick = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12);
    const slow: Kernel = {
      ...native,
      fsync: (fd) => {
        native.fsync(fd);
        // Of the kernel's clock, which file times are taken from.
        tick();
      },
    };
    const world = { ...other, ctx: contextFor(other, slow) };
    sh(other, 'mkdir $U/d; echo 1 >$U/d/f; echo 1 >$U/d/g');
    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
    sh(other, 'mkdir -p $U/d; echo 2 >$U/d/f; wh $U/d/g');
    expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(picture(other.host)).toBe('/ 755');
  });

  describe.each([['with', true], ['without', false], ['each with a number of its own,', true]])('on a filesystem whose renames know no flags, %s links', (name, links) => {
    const own = (kernel: Kernel): Kernel => (name.startsWith('each') ? numbered(kernel) : kernel);
    const flagless = (kernel: Kernel): World => ({ ...other, ctx: contextFor(other, withoutFlags(own(singleCalls(kernel)), isStaged, links)) });

    test('all lands, goes back, and comes again', () => {
      sh(other, 'echo a >$H/a; echo f >$H/todir; ln -s x $H/l; mkdir -p $H/gone/in $H/tofile; echo g >$H/gone/in/g; echo d >$H/del; chmod 600 $H/a');
      sh(other, 'echo A2 >$U/a; mkdir $U/todir; echo i >$U/todir/i; ln -s y $U/l; wh $U/gone; wh $U/del; echo now >$U/tofile; mkdir -p $U/n/m; echo n >$U/n/m/n');
      const before = picture(other.host);
      const world = flagless(native);

      const result = commit(world);
      expect(result).toMatchObject({ state: 'landed', refused: [] });
      const after = '/ 755\n/a 644 x1 QTIK\n/l -> y\n/n/ 755\n/n/m/ 755\n/n/m/n 644 x1 bgo=\n/todir/ 755\n/todir/i 644 x1 aQo=\n/tofile 644 x1 bm93Cg==';
      expect(picture(other.host)).toBe(after);
      expect(changesIn(other)).toEqual([]);

      const undone = undoCommit(world.ctx, null);
      expect(undone).toMatchObject({ state: 'landed', refused: [] });
      expect(picture(other.host)).toBe(before);
      expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
      expect(picture(other.host)).toBe(after);
    });

    test('who saves while a file is being exchanged keeps what he saved', () => {
      sh(other, 'echo a >$H/a; echo b >$H/b; echo A2 >$U/a; echo B2 >$U/b; echo n >$U/n');
      let saved = false;
      const racing: Kernel = {
        ...native,
        // The old version has just been put aside.
        statOrNull: (at, name) => {
          const found = native.statOrNull(at, name);
          if (name === 'a' && found === null && !saved) {
            saved = true;
            sh(other, 'echo SAVED >$H/a');
            return native.statOrNull(at, name);
          }
          return found;
        },
      };
      const result = commit(flagless(racing));

      expect(saved).toBe(true);
      expect(result.refused.map(({ path, conflict }) => [path.slice(other.host.length + 1), conflict])).toEqual([['a', 'created']]);
      expect(picture(other.host)).toBe('/ 755\n/a 644 x1 U0FWRUQK\n/b 644 x1 QjIK\n/n 644 x1 bgo=');
      expect(changesIn(other).map(({ kind, path }) => `${kind} ${path.slice(other.host.length + 1)}`)).toEqual(['modify a']);
    });
  });
});
