import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
