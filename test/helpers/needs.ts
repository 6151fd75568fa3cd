/**
 * Named prerequisites of tests. A missing one skips with its reason in the
 * title; when AGENTFW_REQUIRE (a comma list) names it, the tests fail instead.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { makeGroups, removeGroups } from '../../src/kernel/cgroup.js';
import { parseMountinfo } from '../../src/view/mountinfo.js';
import { whyNotUnified } from './unified.js';

export type Prerequisite =
  | 'root' | 'userns' | 'overlay' | 'loop' | 'python' | 'git' | 'tmux' | 'vim' | 'less' | 'setpriv' | 'gcc' | 'curl' | 'ssh' | 'btrfs' | 'xfs' | 'acl' | 'attr' | 'cgroup' | 'cgroup2' | 'fuse' | 'scopes' | 'registry' | RealAgent;

/** Packages of npm: learnt at run time. */
type RealAgent = 'claude' | 'codex' | 'gemini' | 'opencode' | 'newer-node';

/** An id that no account on a usual machine has. */
export const spareId = 64_123;

type Probe = () => string | null;

const probes: Record<Exclude<Prerequisite, RealAgent>, Probe> = {
  root: () => (process.getuid?.() === 0 ? null : 'not running as root'),
  userns: () => (asPlainUser(['unshare', '--user', '--map-current-user', 'true']) ? null : 'user namespaces are refused'),
  overlay: () => (asPlainUser(['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', overlayScript])
    ? null
    : 'no overlay mount in a user namespace'),
  loop: () => (process.getuid?.() === 0 && existsSync('/dev/loop-control') && isThere('mkfs.ext4') ? null : 'no loop mounts (needs root)'),
  python: () => (run(['/usr/bin/python3', '-c', 'import ctypes, mmap, sqlite3']) ? null : 'no /usr/bin/python3'),
  git: () => program('git'),
  tmux: () => program('tmux'),
  vim: () => program('vim'),
  less: () => program('less'),
  setpriv: () => program('setpriv'),
  gcc: () => program('gcc'),
  curl: () => program('curl'),
  ssh: () => program('ssh'),
  btrfs: () => program('mkfs.btrfs'),
  xfs: () => program('mkfs.xfs'),
  acl: () => program('setfacl'),
  attr: () => program('setfattr'),
  scopes: () => (hasScopes() ? null : 'no Landlock scopes for signals and abstract sockets (Linux 6.12)'),
  registry: () => (run(['npm', 'view', 'is-number', 'version', '--fetch-retries=0', '--fetch-timeout=10000']) ? null : 'npm reaches no registry'),
  fuse: () => (existsSync('/dev/fuse') ? null : 'no /dev/fuse'),
  cgroup2: whyNotUnified,
  cgroup: () => canMakeGroups() ? null : 'no control group can be made that limits processes',
};

const overlayScript = [
  'd=$(mktemp -d)', 'mount -t tmpfs none "$d"', 'mkdir "$d/l" "$d/u" "$d/w" "$d/m"',
  'mount -t overlay none -o "userxattr,lowerdir=$d/l,upperdir=$d/u,workdir=$d/w" "$d/m"',
  's=$?', 'umount "$d/m"; umount "$d"; rmdir "$d"', 'exit $s',
].join('\n');

/** Prerequisites whose state is learnt at run time (an installed agent). */
const found = new Map<Prerequisite, string | null>();

/** Record that `name` is there (`null`) or why it is not. */
export function report(name: Prerequisite, reason: string | null): void {
  found.set(name, reason);
}

export interface Gated {
  readonly test: (title: string, body: () => void | Promise<void>, timeout?: number) => void;
  /** `retry`: how often a failed test is tried again, for what polls a screen on a busy machine */
  readonly describe: (title: string, body: () => void, retry?: number) => void;
}

/** `needs('userns', 'overlay').test('…', () => …)` */
export function needs(...names: readonly Prerequisite[]): Gated {
  const missing = names.flatMap((name) => {
    const reason = reasonOf(name);
    return reason === null ? [] : [{ name, reason }];
  });
  if (missing.length === 0) {
    return {
      test: (title, body, timeout) => void test(title, body, timeout),
      // An option that is said, 0 too, would count before the check's own.
      describe: (title, body, retry) => void describe(title, retry === undefined ? {} : { retry }, body),
    };
  }

  const text = missing.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  if (!missing.some(({ name }) => required(name))) {
    return {
      test: (title) => test.skip(`${title} (skipped, needs ${text})`, () => undefined),
      describe: (title, body) => describe.skip(`${title} (skipped, needs ${text})`, body),
    };
  }
  const fail = (title: string): void => test(title, () => {
    throw new Error(`AGENTFW_REQUIRE names a prerequisite that is missing: ${text}`);
  });
  return { test: fail, describe: fail };
}

/** Whether it is there. */
export function has(name: Prerequisite): boolean {
  return reasonOf(name) === null;
}

/** The check tries the sandbox tests once more as a plain user: what takes long and is the same for every user has been tried. */
export const isSecondRun = process.env['AGENTFW_TEST_AS'] === 'user';

/** True when AGENTFW_REQUIRE names it. */
export function required(name: Prerequisite): boolean {
  return (process.env['AGENTFW_REQUIRE'] ?? '').split(',').map((word) => word.trim()).includes(name);
}

function reasonOf(name: Prerequisite): string | null {
  const known = found.get(name);
  if (known !== undefined) return known;
  const reason = isAgent(name) ? 'not installed' : probes[name]();
  found.set(name, reason);
  return reason;
}

function hasScopes(): boolean {
  const driver = new URL('../../driver/build/agentfw-driver', import.meta.url).pathname;
  return spawnSync(driver, ['--probe'], { encoding: 'utf8', timeout: 20_000 }).stdout.includes('"name":"signal-scope","ok":true');
}

function canMakeGroups(): boolean {
  const groups = makeGroups({ pids: 100, memory: 1 << 30 }, { mounts: parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1') as Bytes), own: readFileSync('/proc/self/cgroup', 'utf8') });
  return groups.length > 0 && removeGroups(groups);
}

function isAgent(name: Prerequisite): name is RealAgent {
  return name === 'claude' || name === 'codex' || name === 'gemini' || name === 'opencode' || name === 'newer-node';
}

function program(name: string): string | null {
  return isThere(name) ? null : `no ${name} in PATH`;
}

function isThere(name: string): boolean {
  return run(['sh', '-c', 'command -v "$1"', 'sh', name]);
}

function run(argv: readonly [string, ...string[]]): boolean {
  return spawnSync(argv[0], argv.slice(1), { stdio: 'ignore', timeout: 20_000, cwd: '/' }).status === 0;
}

function asPlainUser(argv: readonly [string, ...string[]]): boolean {
  if (process.getuid?.() !== 0) return run(argv);
  const id = String(spareId);
  return run(['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--', ...argv]);
}
