import { constants, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { AT_FDCWD, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { isAsMade, madeTop, makeTop } from '../../src/sandbox/layer-top.js';
import { hostMoved } from '../../src/sandbox/moved.js';
import { prepareView } from '../../src/sandbox/prepare.js';
import type { Outcome } from '../../src/sandbox/supervise.js';
import type { PlannedLayer, ViewPlan } from '../../src/view/plan.js';
import { tempDir } from '../kernel/temp.js';

const errno = (code: string): Error => Object.assign(new Error(code), { code });

/** A layer over a directory with one attribute, and its room. */
function planned(): { readonly kernel: Kernel; readonly at: number; readonly dir: string; readonly layer: PlannedLayer } {
  const dir = tempDir();
  mkdirSync(`${dir}/base`, { mode: 0o750 });
  native.setXattr(AT_FDCWD, fromText(`${dir}/base`), 'user.mine' as Bytes, Buffer.from('here'));
  const layer = {
    ...{ id: 0, base: fromText(`${dir}/base`), dir: fromText(dir), family: 'user' as const, covered: [], skeleton: false, shim: false, skeletonEntries: [] },
    ...{ mode: 0o750, owner: null, top: { mode: 0o750, uid: null, gid: null } },
  };
  return { kernel: native, at: native.open(AT_FDCWD, fromText(dir), constants.O_RDONLY | constants.O_DIRECTORY), dir, layer };
}

/** The kernel, but that one call fails. */
function failing(call: keyof Kernel, code: string): Kernel {
  return new Proxy(native, {
    get: (target, name) => {
      if (name === call) return () => { throw errno(code); };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

describe('the top of a layer', () => {
  test.each(['EOPNOTSUPP', 'ENOSPC', 'E2BIG'])('where the store can not hold an attribute (%s) it is made without, and that is no change', (code) => {
    const { at, dir, layer } = planned();
    makeTop(failing('setXattr', code), at, layer);
    const top = madeTop(native, layer);

    expect(native.xattrs(at, 'upper' as Bytes).filter(({ name }) => name.startsWith('user.'))).toEqual([]);
    expect(top?.attributes).toBe('');
    expect(isAsMade(native, { dir: layer.dir, top }, native.stat(AT_FDCWD, fromText(`${dir}/upper`)))).toBe(true);
    native.close(at);
  });

  test('what the host removed since it was planned ends no start here: the mount of it has it planned anew', () => {
    const { kernel, at, dir, layer } = planned();
    rmdirSync(`${dir}/base`);
    prepareView(kernel, { layers: [{ ...layer, skeleton: true, skeletonEntries: [{ name: 'link' as Bytes, kind: 'symlink', mode: 0o777 }] }], privateDirs: [], standIns: [] } as unknown as ViewPlan, layer.dir);

    expect(readdirSync(dir)).toEqual(expect.arrayContaining(['skeleton', 'upper', 'work']));
    expect(hostMoved({ started: false, failure: { code: 'mount', message: "can't mount: No such file or directory" } as NonNullable<Outcome['failure']> })).toBe(true);
    native.close(at);
  });

  test.each(['setXattr', 'chmod', 'rename'] as const)('a start that ends at its %s leaves none, and the next one makes it whole', (call) => {
    const { kernel, at, dir, layer } = planned();
    expect(() => makeTop(failing(call, 'EIO'), at, layer)).toThrow('EIO');
    expect(readdirSync(dir)).not.toContain('upper');

    makeTop(kernel, at, layer);
    expect(readdirSync(dir).sort()).toEqual(['base', 'upper']);
    expect(statSync(`${dir}/upper`).mode & 0o7777).toBe(0o750);
    expect(native.xattrs(at, 'upper' as Bytes).map(({ name }) => name)).toContain('user.mine');
    native.close(at);
  });
});
