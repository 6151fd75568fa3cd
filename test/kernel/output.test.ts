import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { openOutput } from '../../src/kernel/output.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentfw-output-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A filesystem without nameless files, such as NFS. */
const plain: Kernel = {
  ...native,
  open: (at, path, flags, ...rest) => {
    if (path === '.') throw new KernelError('EOPNOTSUPP', 95, 'openat2', path, 'EOPNOTSUPP: Operation not supported, openat2');
    return native.open(at, path, flags, ...rest);
  },
};

test.each([['nameless', native, 0], ['named', plain, 1]] as const)('a file that is %s until it is whole replaces another, and keeps its mode', (_, kernel, names) => {
  const file = join(dir, 'out');
  writeFileSync(file, 'old', { mode: 0o640 });
  const output = openOutput(kernel, fromText(file));
  output.write(Buffer.from('new'));
  // What Ctrl-C or SIGKILL would leave.
  expect(readdirSync(dir).filter((name) => name !== 'out')).toHaveLength(names);
  expect(readFileSync(file, 'utf8')).toBe('old');
  output.done();
  expect([readdirSync(dir), readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual([['out'], 'new', 0o640]);
});

test.each([['nameless', native], ['named', plain]] as const)('a %s file that is given up leaves nothing', (_, kernel) => {
  const output = openOutput(kernel, fromText(join(dir, 'out')));
  output.write(Buffer.from('half'));
  output.drop();
  expect(readdirSync(dir)).toEqual([]);
});

test.each([['nameless', native], ['named', plain]] as const)('what a link leads to is written, and the link stays (%s)', (_, kernel) => {
  writeFileSync(join(dir, 'target'), 'old and longer');
  symlinkSync('target', join(dir, 'out'));

  const output = openOutput(kernel, fromText(join(dir, 'out')));
  output.write(Buffer.from('new'));
  output.done();

  expect([readlinkSync(join(dir, 'out')), readFileSync(join(dir, 'target'), 'utf8')]).toEqual(['target', 'new']);
});

test('nothing is written through what stands where the file is named until it is whole', () => {
  writeFileSync(join(dir, 'target'), 'mine');
  symlinkSync('target', join(dir, `.out.${process.pid}.new`));

  expect(() => openOutput(plain, fromText(join(dir, 'out')))).toThrow(expect.objectContaining({ code: 'AFW_OUTPUT' }));
  expect(readFileSync(join(dir, 'target'), 'utf8')).toBe('mine');
});

test.each([['EMFILE', 24, 'EMFILE'], ['EIO', 5, 'AFW_OUTPUT']])('%s of the first call is told as what it is', (code, errno, told) => {
  const failing: Kernel = { ...native, open: (_at, path) => { throw new KernelError(code, errno, 'openat2', path, `${code}: injected`); } };

  expect(() => openOutput(failing, fromText(join(dir, 'out')))).toThrow(expect.objectContaining({ code: told }));
});
