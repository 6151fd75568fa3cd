/** Control groups: where they are made, what is written, on a stand-in of the hierarchies. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { groupUse, isGroupFrozen, isHullWhole, isInGroup, makeGroups, makeHull, removeGroups, treeOf } from '../../src/kernel/cgroup.js';
import { startTimeOf } from '../../src/kernel/process.js';
import { parseMountinfo } from '../../src/view/mountinfo.js';

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'agentfw-cgroup-'));
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

/** A group with the files that say what may be done in it. */
function group(path: string, enabled = ''): string {
  const dir = join(top, path);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'cgroup.procs'), '');
  writeFileSync(join(dir, 'cgroup.subtree_control'), enabled);
  return dir;
}

const two = (options = 'rw'): ReturnType<typeof parseMountinfo> => parseMountinfo(`30 20 0:26 / ${top} rw - cgroup2 cgroup2 ${options}\n` as Bytes);
const one = (controller: string, root = '/'): ReturnType<typeof parseMountinfo> => parseMountinfo(`31 20 0:27 ${root} ${top} rw - cgroup cgroup rw,${controller}\n` as Bytes);
const text = (...path: string[]): string => readFileSync(join(...path), 'utf8');

test('the nearest group above our own is taken that passes the controllers on', () => {
  group('', 'memory pids');
  group('user', 'memory pids');
  group('user/session');

  const [made] = makeGroups({ memory: 4096, pids: 7 }, { mounts: two(), own: '0::/user/session\n' });

  expect(made).toMatchObject({ version: 2, controllers: ['memory', 'pids'], back: join(top, 'user/session') });
  expect(made?.dir.startsWith(join(top, 'user/agentfw-'))).toBe(true);
  expect([text(made?.dir ?? '', 'memory.max'), text(made?.dir ?? '', 'pids.max')]).toEqual(['4096', '7']);
  expect(existsSync(treeOf(made!))).toBe(true);
});

test.each([
  ['no group above passes the controller on', '', '0::/a/b\n', 'rw'],
  ['the hierarchy is read-only', 'cpu', '0::/a/b\n', 'ro'],
  ['our own group is not in it', 'cpu', '5:pids:/a/b\n', 'rw'],
])('no group is made where %s', (_, enabled, own, options) => {
  for (const path of ['', 'a', 'a/b']) group(path, enabled);

  expect(makeGroups({ cpu: 1 }, { mounts: two(options), own })).toEqual([]);
});

test('a group that the kernel does not take a limit for is removed', () => {
  group('', 'memory');
  // A directory in the way of the value.
  mkdirSync(join(top, `agentfw-${process.pid}-${startTimeOf(process.pid)}`, 'memory.max'), { recursive: true });

  expect(makeGroups({ memory: 4096 }, { mounts: two(), own: '0::/\n' })).toEqual([]);
  expect(existsSync(join(top, `agentfw-${process.pid}-${startTimeOf(process.pid)}`))).toBe(false);
});

test('version 1 has a hierarchy per controller, and a container may see a part of it', () => {
  group('own');
  const [made] = makeGroups({ cpu: 1.5 }, { mounts: one('cpu', '/docker/x'), own: '3:cpu,cpuacct:/docker/x/own\n' });

  expect(made).toMatchObject({ version: 1, controllers: ['cpu'], back: join(top, 'own') });
  expect(text(made?.dir ?? '', 'cpu.cfs_quota_us')).toBe('150000');
});

test('root gets a group of its own in every hierarchy that has none, and it is known where that can not be', () => {
  group('own');
  const host = { mounts: one('cpu'), own: '3:cpu:/own\n' };
  const [made] = makeHull([], host, true);

  expect(made).toMatchObject({ version: 1, controllers: [], back: join(top, 'own') });
  expect(existsSync(treeOf(made!))).toBe(true);
  expect(isHullWhole([], host, true)).toBe(false);
  expect(isHullWhole([made!], host, true)).toBe(true);
  expect(makeHull([made!], host, true)).toEqual([]);
  // One that is mounted nowhere could be mounted by the agent.
  const more = { ...host, own: `${host.own}4:freezer:/own\n` };
  expect(makeHull([made!], more, true)).toEqual([]);
  expect(isHullWhole([made!], more, true)).toBe(false);
});

test('others need one only where their own group is delegated to them', () => {
  group('session');
  const host = { mounts: two(), own: '0::/session\n4:freezer:/x\n' };

  expect(makeHull([], host, false)).toHaveLength(1);
  rmSync(join(top, 'session/cgroup.procs'));
  expect(isHullWhole([], host, false)).toBe(true);
});

test('what a supervisor left that is gone is removed by the next, what runs stays', () => {
  group('', 'pids');
  for (const name of ['agentfw-999999999-1', 'agentfw-1-0', `agentfw-1-${startTimeOf(1)}`, 'agentfw-x']) mkdirSync(join(top, name, 'tree'), { recursive: true });

  makeGroups({ pids: 3 }, { mounts: two(), own: '0::/\n' });

  expect(['agentfw-999999999-1', 'agentfw-1-0', `agentfw-1-${startTimeOf(1)}`, 'agentfw-x'].map((name) => existsSync(join(top, name)))).toEqual([false, false, true, true]);
});

test.skipIf(process.getuid?.() === 0)('a group is made also where those beside it may not be listed', () => {
  chmodSync(group('', 'pids'), 0o300);

  const made = makeGroups({ pids: 3 }, { mounts: two(), own: '0::/\n' });
  chmodSync(top, 0o700);

  expect(made).toMatchObject([{ version: 2, controllers: ['pids'] }]);
});

test('use and events are read, and an empty group goes with all below it', () => {
  const dir = join(top, 'agentfw-1-1');
  mkdirSync(join(dir, 'tree/made/by-agent'), { recursive: true });
  expect(removeGroups([{ version: 2, controllers: ['memory'], dir, back: top }])).toBe(true);
  expect(existsSync(dir)).toBe(false);

  mkdirSync(dir);
  writeFileSync(join(dir, 'memory.current'), '12345\n');
  writeFileSync(join(dir, 'memory.events'), 'low 0\noom 3\noom_kill 2\n');
  expect(groupUse([{ version: 2, controllers: ['memory'], dir, back: top }])).toEqual({ memory: 12345, pids: null, oomKills: 2, refusedTasks: 0 });
});

test('a group stands still when the kernel says so, and only what is in it is', () => {
  const dir = group('own');
  const states = ['populated 1\nfrozen 0\n', 'populated 1\nfrozen 1\n'].map((events) => {
    writeFileSync(join(dir, 'cgroup.events'), events);
    return isGroupFrozen(dir);
  });

  expect(states).toEqual([false, true]);
  expect(isGroupFrozen(join(top, 'gone'))).toBe(false);
  expect(isInGroup(process.pid, '/sys/fs/cgroup/agentfw-1-2')).toBe(false);
});

test('a group that is gone already counts as removed', () => {
  expect(removeGroups([{ version: 2, controllers: [], dir: join(top, 'gone'), back: top }])).toBe(true);
});
