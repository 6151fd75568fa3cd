import { describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { encodeEnterSpec, encodeSpec, type Spec } from '../../src/sandbox/spec.js';

const base: Spec = {
  ...{ mode: 'user', uid: 1000, gid: 100, newroot: '/s/root' as Bytes, cwd: '/w' as Bytes, net: 'off', nested: 'allow', tty: true },
  ...{ detach: false, wait: false, audit: 'none', argv: ['sh', '-c', ''] as Bytes[], env: ['A=1', 'B='] as Bytes[], groups: [{ dir: '/g/tree', back: '/g' }], rlimits: [{ name: 'core', soft: '0', hard: '0' }], ops: [], sockets: [] },
};

function tokens(buffer: Buffer): readonly string[] {
  return buffer.toString('latin1').split('\0').slice(0, -1);
}

describe('a spec', () => {
  test('begins with its version and ends with `end`, each token ended by a NUL', () => {
    const spec = encodeSpec(base);

    expect(tokens(spec)).toEqual([
      'agentfw-spec 1', 'mode', 'user', 'ids', '1000', '100', 'cwd', '/w', 'net', 'off', 'nested', 'allow', 'tty', '1', 'newroot', '/s/root',
      'detach', '0', 'wait', '0', 'audit', 'none', 'arg', 'sh', 'arg', '-c', 'arg', '', 'env', 'A=1', 'env', 'B=', 'rlimit', 'core', '0', '0', 'cgroup', '/g/tree', '/g', 'end',
    ]);
    expect(spec.at(-1)).toBe(0);
  });

  test.each([
    [{ op: 'dir', dst: '/d', mode: 0o1777 }, ['dir', '/d', '1777']],
    [{ op: 'symlink', target: 'usr/bin', dst: '/bin' }, ['symlink', 'usr/bin', '/bin']],
    [{ op: 'file', dst: '/f', mode: 0o644, content: 'x\n' }, ['file', '/f', '644', 'x\n']],
    [{ op: 'bind', src: '/a', dst: '/b', write: false }, ['bind', '/a', '/b', 'ro']],
    [{ op: 'bind', src: '/a', dst: '/b', write: true }, ['bind', '/a', '/b', 'rw']],
    [{ op: 'overlay', dst: '/o', upper: '/u', work: '/k', options: ['user', 'volatile'], lowers: ['/x', '/y'] }, ['overlay', '/o', '/u', '/k', 'user,volatile', '2', '/x', '/y']],
    [{ op: 'tmpfs', dst: '/t', mode: 0, size: 4096, flags: ['ro'] }, ['tmpfs', '/t', '0', '4096', 'ro']],
    [{ op: 'tmpfs', dst: '/t', mode: 0o755, size: 0, flags: [] }, ['tmpfs', '/t', '755', '0', '']],
    [{ op: 'proc', dst: '/proc' }, ['proc', '/proc']],
    [{ op: 'remount-ro', dst: '/x' }, ['remount-ro', '/x']],
  ] as const)('writes %o', (step, expected) => {
    const written = tokens(encodeSpec({ ...base, ops: [step as unknown as Spec['ops'][number]] }));

    expect(written.slice(-expected.length - 1)).toEqual([...expected, 'end']);
  });

  test('names a brokered socket: where the driver listens, and the real one', () => {
    const written = tokens(encodeSpec({ ...base, sockets: [{ listen: '/s/sockets/0' as Bytes, target: '/run/x' as Bytes, isKeys: false }, { listen: '/s/sockets/1' as Bytes, target: '/run/y' as Bytes, isKeys: true }] }));

    expect(written.slice(-9)).toEqual(['socket', '/s/sockets/0', '/run/x', 'bytes', 'socket', '/s/sockets/1', '/run/y', 'keys', 'end']);
  });

  test('keeps every byte of a path', () => {
    const path = `/${fromText('ä')}\xff\n:,\\` as Bytes;

    expect(encodeSpec({ ...base, cwd: path }).includes(Buffer.from(path, 'latin1'))).toBe(true);
  });

  test('refuses a NUL: it would begin a token of somebody else\'s choosing', () => {
    expect(() => encodeSpec({ ...base, argv: ['a\0bind'] as Bytes[] })).toThrow(/NUL/);
  });

  test('of `enter` names the driver by pid and start time, and builds nothing', () => {
    const { newroot, detach, wait, audit, ops, sockets, ...rest } = base;
    void [newroot, detach, wait, audit, ops, sockets];
    const written = tokens(encodeEnterSpec({ ...rest, target: { pid: 42, start: '99' } }));

    expect(written).toEqual(expect.arrayContaining(['target', '42', '99']));
    expect(written).not.toContain('newroot');
  });
});
