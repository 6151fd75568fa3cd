/**
 * An isolated area per test: own HOME, project, store and TMPDIR below one
 * temporary directory, and the command line run in it as root or as a plain
 * user.
 */
import { execa } from 'execa';
import { spawnSync } from 'node:child_process';
import { accessSync, chownSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spareId } from './needs.js';

export interface Identity {
  readonly name: 'root' | 'user';
  readonly uid: number;
  readonly gid: number;
}

export interface Outcome {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly timeout?: number;
}

export interface Area {
  readonly identity: Identity;
  readonly dir: string;
  readonly home: string;
  readonly project: string;
  readonly state: string;
  readonly env: Readonly<Record<string, string>>;
  /** `agentfw ARGS…` in the project */
  readonly cli: (args: readonly string[], options?: RunOptions) => Promise<Outcome>;
  /** any command in the project, without agentfw, as the same identity */
  readonly native: (argv: readonly string[], options?: RunOptions) => Promise<Outcome>;
  /** the words of `agentfw ARGS…`, for scripts that `native` runs */
  readonly argv: (args: readonly string[]) => readonly string[];
  /** any words, started by us as this identity */
  readonly as: (argv: readonly string[]) => readonly string[];
  readonly remove: () => Promise<void>;
}

/** The checkout, or what stands for it where a plain user can't enter it (reach.ts). */
export const repository = process.env['AGENTFW_TEST_REPOSITORY'] ?? resolve(dirname(fileURLToPath(import.meta.url)), '../..');
/** What was said but for the notice of a kernel before 6.12 at every start. */
export const unnoticed = (text: string): string => text.replace(/^agentfw: this kernel lacks signal-scope: .*\n/m, '');
export const helpers = join(repository, 'test/helpers');
/** the machine's own python: a version manager's shims are not readable by every user */
export const python = '/usr/bin/python3';
const entry = join(repository, 'bin/run.js');
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** As root: root and a plain user; else the one that we are. With AGENTFW_TEST_AS=root root alone: a plain user runs the same tests apart (`user`, there). */
export function identities(): readonly Identity[] {
  return process.env['AGENTFW_TEST_AS'] === 'root' ? allIdentities().slice(0, 1) : allIdentities();
}

/** The same for tests that only root can prepare: no plain user runs them apart. */
export function allIdentities(): readonly Identity[] {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  if (uid !== 0) return [{ name: 'user', uid, gid }];
  return [{ name: 'root', uid, gid }, { name: 'user', uid: spareId, gid: spareId }];
}

export function createArea(identity: Identity): Area {
  const dir = mkdtempSync(join(roomForAreas(), 'agentfw-test-'));
  const own = (name: string): string => {
    const path = join(dir, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chownSync(path, identity.uid, identity.gid);
    return path;
  };
  chownSync(dir, identity.uid, identity.gid);
  const home = own('home');
  const project = own('home/project');
  const state = own('state');
  const env = {
    PATH: [dirname(realpathSync(process.execPath)), searchPath].join(':'),
    HOME: home, TMPDIR: own('tmp'), AGENTFW_STATE_DIR: state, XDG_CACHE_HOME: own('home/.cache'),
    LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', TERM: 'xterm-256color', NO_COLOR: '1', SHELL: '/bin/bash',
    USER: identity.name, LOGNAME: identity.name,
    ...(process.env['AGENTFW_DEBUG'] === undefined ? {} : { AGENTFW_DEBUG: process.env['AGENTFW_DEBUG'] }),
  };
  const native: Area['native'] = (words, options = {}) => start(asIdentity(identity, words), { env, cwd: project, options });
  const argv: Area['argv'] = (args) => [process.execPath, entry, ...args];
  const as: Area['as'] = (words) => asIdentity(identity, words);
  const cli: Area['cli'] = (args, options) => native(argv(args), options);
  const remove = async (): Promise<void> => {
    // Node's start for each of hundreds of areas in which nothing runs any more would take a minute of the check.
    if (holdsRun(state)) await cli(['kill', '--all'], { cwd: '/' });
    await removeTree(dir);
    const left = mountsBelow(dir);
    if (left.length > 0) throw new Error(`mounts left in the host namespace:\n${left.join('\n')}`);
  };
  return { identity, dir, home, project, state, env, cli, native, argv, as, remove };
}

/** Whether a sandbox of the store runs or starts: the lock on it is held. True, too, where a test left what can't be looked into. */
function holdsRun(state: string): boolean {
  const sandboxes = join(state, 'sandboxes');
  if (!existsSync(sandboxes)) return false;
  const locks = readFileSync('/proc/locks', 'latin1');
  try {
    return readdirSync(sandboxes).some((tag) => locks.includes(`:${statSync(join(sandboxes, tag, 'running.lock')).ino} `));
  } catch {
    return true;
  }
}

/** Delete a tree with directories of any mode (an overlay's work directory has 000). */
export async function removeTree(dir: string): Promise<void> {
  if (process.getuid?.() !== 0) spawnSync('chmod', ['-R', 'u+rwx', dir], { stdio: 'ignore' });
  await rm(dir, { recursive: true, force: true, maxRetries: 3 });
}

/** Lines of this process's mountinfo that name `dir`. */
export function mountsBelow(dir: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(dir));
}

/** Host pids whose command line, joined by spaces, matches. */
export function processesWith(text: string | RegExp): readonly number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trimEnd();
      return pid !== process.pid && (typeof text === 'string' ? line.includes(text) : text.test(line));
    } catch {
      return false;
    }
  });
}

/** The words of a `sleep` that no other process of this machine has: runs of the tests see each other's. */
export function ownSleep(): string {
  sleeps += 1;
  return `sleep ${100_000 + sleeps}.${String(process.pid).padStart(8, '0')}`;
}

let sleeps = 0;

/** Poll until `ready` gives something other than undefined or false. */
export async function eventually<T>(what: string, ready: () => T | Promise<T>, seconds = 120): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await ready();
    if (value !== undefined && value !== false && value !== null) return value;
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

/** The one JSON value on stdout, or an error that shows all of the outcome. */
export function jsonOf<T>(outcome: Outcome): T {
  try {
    return JSON.parse(outcome.stdout) as T;
  } catch (cause) {
    throw new Error(`no JSON on stdout: ${JSON.stringify(outcome)}`, { cause });
  }
}

/**
 * Where areas are made: not below /tmp where that can be helped, because /tmp
 * is private to a sandbox and only the working directory shows through.
 */
export function roomForAreas(): string {
  const wanted = [process.env['AGENTFW_TEST_DIR'], '/srv', tmpdir()].find((dir) => dir !== undefined && writable(dir));
  return realpathSync(wanted ?? tmpdir());
}

/** False where areas have a disk of their own: the layers of what lies there are on it too, not in the store. */
export function onRootDisk(): boolean {
  return statSync(roomForAreas()).dev === statSync('/').dev;
}

function writable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function asIdentity(identity: Identity, argv: readonly string[]): readonly string[] {
  if (process.getuid?.() === identity.uid) return argv;
  return ['setpriv', '--reuid', String(identity.uid), '--regid', String(identity.gid), '--clear-groups', '--', ...argv];
}

interface Setting {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly options: RunOptions;
}

async function start(argv: readonly string[], { env, cwd, options }: Setting): Promise<Outcome> {
  const [file = '', ...args] = argv;
  const result = await execa(file, args, {
    cwd: options.cwd ?? cwd,
    env: { ...env, ...options.env },
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    maxBuffer: 1 << 28,
    timeout: options.timeout ?? 300_000,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
  });
  return {
    status: result.exitCode ?? null,
    signal: result.signal ?? null,
    stdout: result.stdout,
    stderr: result.timedOut ? `${result.stderr}\n(timed out)` : result.stderr,
  };
}
