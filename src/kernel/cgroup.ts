import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { toText } from '../bytes.js';
import type { Mount } from '../view/mountinfo.js';
import { isRealTime, startTimeOf } from './process.js';

/** What control groups limit, by the kernel's names. */
export type Controller = 'memory' | 'pids' | 'cpu';

/** Bytes, tasks, processors. */
export type GroupLimits = Readonly<Partial<Record<Controller, number>>>;

/** A control group of ours: limits at `dir`, processes in `dir`/tree. */
export interface Group {
  readonly version: 1 | 2;
  readonly controllers: readonly Controller[];
  readonly dir: string;
  /** the group that the supervisor is in */
  readonly back: string;
}

/** Where control groups are mounted and which this process is in: text of mountinfo and of /proc/self/cgroup. */
export interface Hierarchies {
  readonly mounts: readonly Mount[];
  readonly own: string;
}

/** Processes are in a group below the limited one: its files are out of reach from a namespace that begins there. */
export const TREE = 'tree';
const NAME = /^agentfw-(\d+)-(\d+)$/;
const PERIOD_US = 100_000;

interface Place {
  readonly version: 1 | 2;
  readonly parent: string;
  readonly back: string;
}

/**
 * Makes groups with these limits, as few as possible. What no hierarchy takes
 * is left out: the caller compares. Leftovers of supervisors that were killed
 * are removed on the way.
 */
export function makeGroups(limits: GroupLimits, host: Hierarchies): Group[] {
  const places = new Map<string, { place: Place; controllers: Controller[] }>();
  for (const controller of Object.keys(limits) as Controller[]) {
    const place = placeFor(controller, host);
    if (place === null) continue;
    const known = places.get(place.parent);
    if (known === undefined) places.set(place.parent, { place, controllers: [controller] });
    else known.controllers.push(controller);
  }
  return [...places.values()].flatMap(({ place, controllers }) => makeGroup(place, controllers, limits));
}

/**
 * Groups in every other hierarchy whose files the tree could write: a control
 * group namespace of its own begins where the tree is, and an agent of root,
 * or one to whom the group is delegated, owns what is there and below.
 */
export function makeHull(made: readonly Group[], host: Hierarchies, asRoot: boolean): Group[] {
  return openHierarchies(made, host, asRoot).flatMap(({ version, dir }) => (dir === null || !takesAny(dir, version) ? [] : makeGroup({ version, parent: dir, back: dir }, [], {})));
}

/** No hierarchy shows the tree more than itself. */
export function isHullWhole(made: readonly Group[], host: Hierarchies, asRoot: boolean): boolean {
  return openHierarchies(made, host, asRoot).length === 0;
}

/** Hierarchies without a group of ours whose files the tree could write; where none is mounted for us, only root's could. */
function openHierarchies(made: readonly Group[], { mounts, own }: Hierarchies, asRoot: boolean): { readonly version: 1 | 2; readonly dir: string | null }[] {
  return own.split('\n').flatMap((line) => {
    const [, names, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (names === undefined || path === undefined) return [];
    const version = names === '' ? 2 : 1;
    const shown = mounts.filter(({ type, options }) => (version === 2 ? type === 'cgroup2' : type === 'cgroup' && names.split(',').every((name) => options.includes(name))));
    const tops = shown.map(({ point }) => toText(point));
    if (made.some(({ dir }) => tops.some((top) => dir.startsWith(`${top}/`)))) return [];
    const places = shown.filter(({ readOnly }) => !readOnly).flatMap((mount) => placeIn(mount, path) ?? []);
    const dir = places.at(-1) ?? null;
    return asRoot || (dir !== null && takesAny(dir, version)) ? [{ version, dir } as const] : [];
  });
}

function placeIn({ root, point }: Mount, path: string): string | null {
  const above = toText(root);
  if (!(above === '/' || path === above || path.startsWith(`${above}/`))) return null;
  return posix.join(toText(point), above === '/' ? path : path.slice(above.length)).replace(/(?<=.)\/$/, '');
}

/** A group can be made here, and processes moved to it. */
function takesAny(dir: string, version: 1 | 2): boolean {
  if (version === 2 && !['domain', ''].includes((read(dir, 'cgroup.type') ?? '').trim())) return false;
  return isOurs(dir);
}

/** Version 1: a new group of processors has none, and takes no process. */
function inheritProcessors(dir: string): void {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    if (read(dir, name)?.trim() === '') writeFileSync(posix.join(dir, name), read(posix.dirname(dir), name) ?? '');
  }
}

/** A new group has no share of what the kernel gives to processes of real time, and so takes none of them. */
function refusesRealTime(dir: string): boolean {
  return read(dir, 'cpu.rt_runtime_us')?.trim() === '0' && isRealTime();
}

function makeGroup({ version, parent, back }: Place, controllers: readonly Controller[], limits: GroupLimits): Group[] {
  sweepGroups(parent);
  const dir = posix.join(parent, `agentfw-${process.pid}-${startTimeOf(process.pid) ?? '0'}`);
  const made: Group = { version, controllers, dir, back };
  try {
    for (const place of [dir, posix.join(dir, TREE)]) {
      mkdirSync(place);
      if (version === 1) inheritProcessors(place);
    }
    if (version === 1 && refusesRealTime(dir)) throw new Error('a process of real time could not go there');
    for (const controller of controllers) setLimit(made, controller, limits[controller] ?? 0);
    return [made];
  } catch {
    removeGroups([made]);
    return [];
  }
}

/** The nearest group above our own, it included, that lets us make one that `controller` counts in. */
function placeFor(controller: Controller, { mounts, own }: Hierarchies): Place | null {
  for (const mount of [...mounts].reverse()) {
    const version = mount.type === 'cgroup2' ? 2 : mount.type === 'cgroup' && mount.options.includes(controller) ? 1 : null;
    if (version === null || mount.readOnly) continue;
    const back = ownGroup(mount, version, controller, own);
    const top = toText(mount.point);
    for (let at = back; at !== null; at = at.length > top.length ? posix.dirname(at) : null) {
      if (takes(at, version, controller)) return { version, parent: at, back: back ?? at };
    }
  }
  return null;
}

/** The directory of our own group below this mount, or null where the mount doesn't show it. */
function ownGroup(mount: Mount, version: 1 | 2, controller: Controller, own: string): string | null {
  const line = own.split('\n').map((text) => /^\d+:([^:]*):(\/.*)$/.exec(text)).find((found) => (version === 2 ? found?.[1] === '' : found?.[1]?.split(',').includes(controller)));
  const path = line?.[2];
  return path === undefined ? null : placeIn(mount, path);
}

function takes(dir: string, version: 1 | 2, controller: Controller): boolean {
  if (version === 2 && !(read(dir, 'cgroup.subtree_control') ?? '').split(/\s+/).includes(controller)) return false;
  return isOurs(dir);
}

function isOurs(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    accessSync(posix.join(dir, 'cgroup.procs'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Sets a limit and reads it back: what the kernel did not take is no limit. */
function setLimit({ version, dir }: Group, controller: Controller, value: number): void {
  const set = (name: string, text: string): void => writeFileSync(posix.join(dir, name), text);
  const unlessMissing = (name: string, text: string): void => {
    if (read(dir, name) !== null) set(name, text);
  };
  if (controller === 'pids') {
    set('pids.max', String(value));
    expect(dir, 'pids.max', (text) => Number(text) === value);
  } else if (controller === 'memory') {
    const file = version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
    set(file, String(value));
    expect(dir, file, (text) => Number(text) <= value);
    // Swap would be memory beyond the limit.
    unlessMissing(version === 2 ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes', version === 2 ? '0' : String(value));
  } else {
    const quota = String(Math.max(1000, Math.round(value * PERIOD_US)));
    if (version === 2) set('cpu.max', `${quota} ${PERIOD_US}`);
    else {
      set('cpu.cfs_period_us', String(PERIOD_US));
      set('cpu.cfs_quota_us', quota);
    }
    expect(dir, version === 2 ? 'cpu.max' : 'cpu.cfs_quota_us', (text) => text.split(' ')[0] === quota);
  }
}

function expect(dir: string, name: string, holds: (text: string) => boolean): void {
  const text = read(dir, name)?.trim() ?? '';
  if (!holds(text)) throw new Error(`the kernel did not take ${dir}/${name}: ${text}`);
}

/** What a tree uses, and how often it met its limit; null where no group counts it. */
export interface GroupUse {
  readonly memory: number | null;
  readonly pids: number | null;
  /** processes that the kernel ended for want of memory */
  readonly oomKills: number;
  /** processes and threads that were refused */
  readonly refusedTasks: number;
}

/** Bytes, tasks, and how often each limit was hit, in either version (kernel, cgroup-v2 and cgroup-v1/memory). Null for what no group tells. */
export function groupUse(groups: readonly Group[]): GroupUse {
  const memory = groups.find(({ controllers }) => controllers.includes('memory'));
  const pids = groups.find(({ controllers }) => controllers.includes('pids'));
  const count = (group: Group | undefined, name: string): number | null => {
    const text = group === undefined ? null : read(group.dir, name);
    return text === null ? null : Number(text);
  };
  const event = (group: Group | undefined, name: string, key: string): number =>
    Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(group === undefined ? '' : (read(group.dir, name) ?? ''))?.[1] ?? 0);
  return {
    memory: count(memory, memory?.version === 2 ? 'memory.current' : 'memory.usage_in_bytes'),
    pids: count(pids, 'pids.current'),
    // Version 1 counts in the group of the process itself.
    oomKills: memory?.version === 2 ? event(memory, 'memory.events', 'oom_kill') : memory === undefined ? 0 : event({ ...memory, dir: treeOf(memory) }, 'memory.oom_control', 'oom_kill'),
    refusedTasks: event(pids, 'pids.events', 'max') + (pids === undefined ? 0 : event({ ...pids, dir: treeOf(pids) }, 'pids.events', 'max')),
  };
}

/** The one that the kernel can freeze, with all that the tree makes below it. */
export function freezable(groups: readonly Group[]): string | null {
  return groups.find(({ version }) => version === 2)?.dir ?? null;
}

/** By `cgroup.events` (kernel, cgroup-v2): all of it stands still. False also where it is gone. */
export function isGroupFrozen(dir: string): boolean {
  return /^frozen 1$/m.test(read(dir, 'cgroup.events') ?? '');
}

/** True for a process in that group or in one below it: no other group has its name. */
export function isInGroup(pid: number, dir: string): boolean {
  const path = /^0::(.*)$/m.exec(read(`/proc/${pid}`, 'cgroup') ?? '')?.[1];
  return path?.includes(`/${posix.basename(dir)}/`) ?? false;
}

/** Where the processes of a group go. */
export function treeOf({ dir }: Group): string {
  return posix.join(dir, TREE);
}

/** False while a process is left in one: a process that was killed takes a moment to go. */
export function removeGroups(groups: readonly Group[]): boolean {
  return groups.map(({ dir }) => removeDir(dir)).every((removed) => removed);
}

/** Groups of supervisors that are gone. One with processes in it can't be removed: its tree is about to end. */
function sweepGroups(parent: string): void {
  for (const name of namesIn(parent)) {
    const [, pid, start] = NAME.exec(name) ?? [];
    if (pid !== undefined && startTimeOf(Number(pid)) !== start) removeDir(posix.join(parent, name));
  }
}

/** None where it may not be listed: groups can be made there all the same. */
function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** The agent may have made groups of its own in its tree. */
function removeDir(dir: string): boolean {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) if (entry.isDirectory()) removeDir(posix.join(dir, entry.name));
    rmdirSync(dir);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function read(dir: string, name: string): string | null {
  try {
    return readFileSync(posix.join(dir, name), 'utf8');
  } catch {
    return null;
  }
}
