/** A control group of version 2 that is handed to whoever a test runs as, in a mount namespace of the test's own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Area } from './sandbox.js';

export interface Unified {
  /** the words that run `argv` in that group, as the area's identity */
  readonly argv: (argv: readonly string[]) => readonly string[];
  /** what `script` prints, as root, in the directory where the groups are */
  readonly look: (script: string) => string;
  readonly remove: () => void;
}

export async function makeUnified(area: Area): Promise<Unified> {
  const top = join(area.dir, 'groups');
  mkdirSync(top);
  const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', `
    mount -t cgroup2 none "$1"; d="$1/agentfw-test-$$"; mkdir "$d"
    chown ${area.identity.uid}:${area.identity.gid} "$d" "$d"/cgroup.procs "$d"/cgroup.subtree_control "$d"/cgroup.threads
    echo "$d"; exec sleep 100000`, 'sh', top], { stdio: ['ignore', 'pipe', 'inherit'] });
  const dir = await firstLine(holder);
  const inside = ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, `--wd=${area.project}`];
  const look = (script: string): string => execFileSync(inside[0]!, [inside[1]!, 'sh', '-ec', `cd "$1"; ${script}`, 'sh', dir], { encoding: 'utf8', env: { ...area.env } });
  return {
    argv: (argv) => [...inside, 'sh', '-ec', 'echo $$ >"$1"/cgroup.procs; shift; exec "$@"', 'sh', dir, ...area.as(argv)],
    look,
    remove: () => {
      look('rmdir */tree */ 2>/dev/null || :; cd ..; rmdir "$1"');
      holder.kill('SIGKILL');
    },
  };
}

/** The kernel holds all of that sandbox: nothing of it runs, and no signal stopped it. */
export function isHeldByGroup(area: Area, tag: string): boolean {
  const group = groupOf(area, tag);
  return group !== null && readFileSync(join(group, 'cgroup.events'), 'utf8').includes('frozen 1');
}

/** The group by which a sandbox can be frozen, where this machine gives it one. */
export function groupOf(area: Area, tag: string): string | null {
  const { groups } = JSON.parse(readFileSync(join(area.state, 'sandboxes', tag, 'sandbox.json'), 'utf8')) as { groups?: readonly { version: number; dir: string }[] };
  return groups?.find(({ version }) => version === 2)?.dir ?? null;
}

/** Where this kernel has none, or lets nobody mount it. */
export function whyNotUnified(): string | null {
  if (process.getuid?.() !== 0) return 'not running as root';
  if (!/^0::/m.test(readFileSync('/proc/self/cgroup', 'utf8'))) return 'no control groups of version 2';
  try {
    execFileSync('unshare', ['--mount', 'sh', '-c', 'mount -t cgroup2 none /mnt && [ -w /mnt/cgroup.procs ]'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'control groups of version 2 can not be mounted';
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((done, fail) => {
    child.stdout?.once('data', (data: Buffer) => done(data.toString('utf8').trim()));
    child.once('exit', (code) => fail(new Error(`no control group: status ${code}`)));
  });
}
