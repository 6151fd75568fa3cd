/**
 * Each commit is struck at its n-th call, for every n, on four filesystems,
 * and recovered: afterwards the host is wholly old or wholly new (I4, I10,
 * I13, I14; E95, CW16). CI takes every twelfth or so, others on each filesystem, and
 * one error of each kind on each, as they are told apart by kind alone; with
 * AGENTFW_CRASH=all each of them gets every n and every error.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inMemory } from '../helpers/memory.js';
import { needs } from '../helpers/needs.js';
import { bundleRunner } from './bundle.js';
import { tableOf, type Row } from './table.js';

const run = promisify(execFile);
const ALL = process.env['AGENTFW_CRASH'] === 'all';
const SCENES = 'whole,part,live,composed,dropped';
/** The strikes sync thousands of times. */
const TEMP = inMemory();
const MINUTES = 60_000;

let runner = '';
const rows: Row[] = [];
beforeAll(async () => {
  runner = await bundleRunner();
});
afterAll(() => {
  rmSync(dirname(runner), { recursive: true, force: true });
  process.stdout.write(`\n${tableOf(rows)}\n`);
});

interface Strikes {
  readonly faults: string;
  readonly what?: string;
  readonly stride: number;
  readonly offset?: number;
  readonly scenes?: string;
  readonly one?: number;
  readonly flagless?: boolean;
}

function flags({ faults, what = 'apply', stride, offset = 0, scenes = SCENES, one = 0, flagless = false }: Strikes): string[] {
  const plain = [...(flagless ? ['--flagless'] : []), '--scenes', scenes, '--faults', faults, '--what', what, '--one', `${one}`];
  return [...plain, '--stride', `${ALL ? 1 : stride}`, '--offset', `${ALL ? 0 : offset % stride}`];
}

function judge(filesystem: string, stdout: string): void {
  const found = stdout.trim().split('\n').map((line) => JSON.parse(line) as Omit<Row, 'filesystem'>);
  rows.push(...found.map((row) => ({ ...row, filesystem })));
  expect(found.flatMap(({ bad }) => bad)).toEqual([]);
  expect(found.every(({ runs }) => runs > 0)).toBe(true);
}

describe('in the temporary directory', () => {
  const strike = async (strikes: Strikes): Promise<void> => {
    const dir = mkdtempSync(join(TEMP, 'afw-crash-here-'));
    try {
      const { stdout } = await run(process.execPath, [runner, '--host', dir, ...flags(strikes)], { maxBuffer: 1 << 26 });
      judge('here', stdout);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

  test('SIGKILL at the n-th call', () => strike({ faults: 'kill', stride: 32, scenes: 'whole,composed' }), 10 * MINUTES);
  test('a batch of renames that is cut after n of them', () => strike({ faults: 'cut', stride: 1 }), 10 * MINUTES);
  test('a crash during an undo leaves it done or not begun (I14, E115)', () => strike({ faults: 'die,EIO', what: 'undo', stride: 12 }), 10 * MINUTES);
  test('a crash during a recovery is recovered', () => strike({ faults: 'die,EIO', what: 'recover', stride: 6, one: 240 }), 10 * MINUTES);
});

const IMAGES = [
  { name: 'ext4', needs: [], size: '96M', make: ['mkfs.ext4', '-q', '-F'], machine: 'EIO', path: 'EACCES' },
  { name: 'btrfs', needs: ['btrfs'], size: '160M', make: ['mkfs.btrfs', '-q', '-f'], machine: 'ENOSPC', path: 'EPERM' },
  { name: 'xfs', needs: ['xfs'], size: '320M', make: ['mkfs.xfs', '-q', '-f'], machine: 'EDQUOT', path: 'ETXTBSY' },
  { name: 'tmpfs', needs: [], size: '', make: [], machine: 'EROFS', path: 'EACCES' },
] as const;
const every = (kind: 'machine' | 'path'): string => [...new Set(IMAGES.map((image) => image[kind]))].join();

/** The mounts live and die with the process: nothing of them is seen outside. */
const MOUNTED = `
set -eu
mkdir "$1/m" "$1/other"
if [ "$2" = tmpfs ]; then mount -t tmpfs none "$1/m"; else mount -o loop "$1/image" "$1/m"; fi
mount -t tmpfs none "$1/other"
dir=$1; node=$3; runner=$4; shift 4
if [ "$1" = across ]; then shift; set -- --host "$dir/other" --store "$dir/m" "$@"; else set -- --host "$dir/m" "$@"; fi
"$node" "$runner" "$@"
`;

for (const [index, image] of IMAGES.entries()) {
  needs('loop', ...image.needs).describe(`on ${image.name}`, () => {
    const strike = async (strikes: Strikes, across = false): Promise<void> => {
      const dir = mkdtempSync(join(TEMP, 'afw-crash-image-'));
      try {
        if (image.size !== '') await run('truncate', ['-s', image.size, join(dir, 'image')]);
        const [make, ...rest] = image.make;
        if (make !== undefined) await run(make, [...rest, join(dir, 'image')]);
        const argv = ['--mount', '--propagation', 'private', 'sh', '-c', MOUNTED, 'sh', dir, image.name, process.execPath, runner];
        const { stdout } = await run('unshare', [...argv, ...(across ? ['across'] : []), ...flags(strikes)], { maxBuffer: 1 << 26 });
        judge(across ? `${image.name}→tmpfs` : image.name, stdout);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    };

    test('a death at the n-th call', () => strike({ faults: 'die', stride: 12, offset: index }), 20 * MINUTES);
    test('a machine error at the n-th call', () => strike({ faults: ALL ? every('machine') : image.machine, stride: 24, offset: 7 * index }), 20 * MINUTES);
    test('a path error at the n-th call', () => strike({ faults: ALL ? every('path') : image.path, stride: 30, offset: 8 * index }), 20 * MINUTES);
    test('SIGKILL at the n-th call', () => strike({ faults: 'kill', stride: 72, offset: 11 * index, scenes: 'part' }), 20 * MINUTES);
    test('a death or an error where, besides, renames know no flags', async () => {
      await strike({ faults: 'die,EIO', stride: 96, offset: 9 * index, scenes: 'whole,part', flagless: true }, true);
    }, 20 * MINUTES);
    test('a death when the layer is on another filesystem', () => strike({ faults: 'die', stride: 48, offset: 9 * index, scenes: 'whole,part' }, true), 20 * MINUTES);
  });
}
