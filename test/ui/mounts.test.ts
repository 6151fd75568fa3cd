import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { Layer, SandboxRecord } from '../../src/sandbox/sandbox.js';
import { mountText } from '../../src/ui/mounts.js';

type Row = SandboxRecord['mounts'][number];
const row = (decision: string, path: string, why = 'a reason'): Row => ({ path: path as Bytes, decision, why });
const text = (mounts: readonly Row[], bases: readonly string[] = []): string[] =>
  mountText({ mounts, layers: bases.map((base) => ({ base: base as Bytes }) as Layer) }).split('\n').filter((line) => line.startsWith('  ')).map((line) => line.trim().replace(/ {2,}/g, ' '));

test('what a listed directory says of all below it is not said again', () => {
  expect(text([row('read-only', '/usr'), row('read-only', '/usr/share/host'), row('hide', '/usr/share/key')])).toEqual(['read-only /usr a reason', 'hide /usr/share/key a reason']);
});

test('something read-only inside a layer is said, though the layer lies in a read-only directory', () => {
  const mounts = [row('read-only', '/srv'), row('read-only', '/srv/me/project/locked', 'files.readonly'), row('read-only', '/srv/me/project/locked/mount')];
  expect(text(mounts, ['/srv/me'])).toEqual(['read-only /srv a reason', 'read-only /srv/me/project/locked files.readonly']);
});

test('of many hidden files of one rule twelve stand for all, and the rest is counted', () => {
  const lines = text(Array.from({ length: 20 }, (_, i) => row('hide', `/home/me/${i}.pem`, 'secrets.pem')));
  expect(lines).toHaveLength(13);
  expect(lines.at(-1)).toBe('hide and 8 more secrets.pem');
});

test('a view of layers alone has no such list', () => {
  expect(mountText({ mounts: [row('skip', '/mnt')], layers: [] })).toBe('');
});
