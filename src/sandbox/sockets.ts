import { lstatSync, mkdirSync, readFileSync, realpathSync, rmSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { fromText, joinBytes, toBuffer, toText, type Bytes } from '../bytes.js';
import type { AuditEvent } from '../audit/event.js';
import { subjectOf } from '../gate/who.js';
import type { DriverEvent } from '../kernel/driver.js';
import { judgeSocket, type CompiledPolicy } from '../policy/index.js';

/** A host socket that the agent reaches through the driver's broker. */
export interface HostSocket {
  /** where it is on the host and in the view, its directory resolved; the last name is no symlink */
  readonly path: Bytes;
  /** what is reached by it */
  readonly target: Bytes;
  /** the key agent's: its keys are used and listed, nothing else is asked of it */
  readonly isKeys: boolean;
  readonly rule: string;
  readonly origin: string;
}

/** The host's sockets that a run brokers. */
export interface HostSockets {
  readonly sockets: readonly HostSocket[];
  /** what a rule names and the agent can't have, for people */
  readonly notes: readonly string[];
}

/** What of the filesystem is asked for here; a test has its own. */
export interface SocketFacts {
  readonly lstat: (path: string) => Pick<Stats, 'dev' | 'ino' | 'isSocket' | 'isSymbolicLink'> | null;
  readonly realpath: (path: string) => string | null;
  /** the text of /proc/net/unix */
  readonly bound: () => string;
}

export const socketFacts: SocketFacts = {
  lstat: (path) => {
    try {
      return lstatSync(path);
    } catch {
      return null; // below a file, or in somebody else's directory: `su` keeps root's XDG_RUNTIME_DIR
    }
  },
  realpath: (path) => {
    try {
      return realpathSync.native(path);
    } catch {
      return null;
    }
  },
  bound: () => readFileSync('/proc/net/unix', 'utf8'),
};

/** GnuPG's agent has this name wherever it is, also where a rule names its path and no variable does. */
const PGP = 'S.gpg-agent';

/** As many as the driver takes. */
const MOST = 32;

/**
 * The sockets that `sockets.allow` opens on this machine now. A name or path
 * may lead elsewhere: what it leads to must not be what a deny names, be it by
 * another path, a symlink or a hard link.
 */
export function socketsFor(policy: CompiledPolicy, facts: SocketFacts = socketFacts): HostSockets {
  const denied = deniedInodes(policy, facts);
  const keys = new Set((policy.sockets['ssh-agent'] ?? []).map((path) => resolved(path, facts)));
  const sockets = new Map<string, HostSocket>();
  const notes: string[] = [];
  for (const wanted of wantedPaths(policy)) {
    const { verdict, rule, origin } = judgeSocket(policy, wanted);
    let found = verdict === 'allow' ? lookAt(policy, wanted, facts, denied) : null;
    if (found !== null && 'path' in found && posix.basename(found.path) === PGP) found = restricted(found.path, lookAt(policy, `${found.path}.extra`, facts, denied));
    if (found === null) continue;
    if ('why' in found) notes.push(`the socket ${wanted} stays out: ${found.why}`);
    else if (sockets.size < MOST) sockets.set(found.path, { path: fromText(found.path), target: fromText(found.target), isKeys: keys.has(found.path), rule, origin: origin === null ? '' : `${origin.file}:${origin.line}` });
    else notes.push(`the socket ${wanted} is not opened: ${MOST} are open already`);
  }
  return { sockets: [...sockets.values()], notes };
}

function wantedPaths({ rules, sockets }: CompiledPolicy): readonly string[] {
  const subjects = rules.filter(({ list }) => list === 'sockets.allow').flatMap(({ subjects: { names } }) => names);
  return [...new Set(subjects.flatMap((name) => (name.startsWith('/') ? [name] : (Object.hasOwn(sockets, name) ? sockets[name] ?? [] : []))))];
}

function deniedInodes(policy: CompiledPolicy, { lstat, realpath }: SocketFacts): ReadonlySet<string> {
  const subjects = policy.rules.filter(({ list }) => list === 'sockets.deny').flatMap(({ subjects: { names } }) => names);
  const paths = [...Object.values(policy.sockets).flat(), ...subjects.filter((name) => name.startsWith('/'))];
  const inodes = paths.filter((path) => isDenied(policy, path)).flatMap((path) => {
    const stat = lstat(realpath(path) ?? path);
    return stat === null ? [] : [`${stat.dev}:${stat.ino}`];
  });
  return new Set(inodes);
}

/** By a rule: that no rule allows it is no reason against what an allowed name leads to. */
function isDenied(policy: CompiledPolicy, path: string): boolean {
  const { verdict, rule } = judgeSocket(policy, path);
  return verdict === 'deny' && rule !== 'sockets.default';
}

/** All but the last name, which may be a symlink. */
function resolved(path: string, { realpath }: SocketFacts): string | null {
  const dir = realpath(posix.dirname(path));
  return dir === null ? null : posix.join(dir, posix.basename(path));
}

type Looked = { readonly path: string; readonly target: string } | { readonly why: string };

/** Null: there is nothing, which is no news. */
function lookAt(policy: CompiledPolicy, wanted: string, facts: SocketFacts, denied: ReadonlySet<string>): Looked | null {
  const { lstat, realpath } = facts;
  const path = resolved(wanted, facts);
  const stat = path === null ? null : lstat(path);
  if (path === null || stat === null) return null;
  if (stat.isSymbolicLink()) return { why: `it is a symlink; allow what it leads to: ${realpath(path) ?? '(nothing)'}` };
  if (!stat.isSocket()) return { why: 'it is not a socket' };
  if (denied.has(`${stat.dev}:${stat.ino}`) || isDenied(policy, path)) return { why: 'it is one that a rule denies' };
  const type = typeOf(facts, path, stat);
  if (type !== undefined) return { why: `it is a ${type} socket, and the broker carries streams` };
  return { path, target: path };
}

/**
 * GnuPG's agent gives out and deletes secret keys at its first socket; at the one
 * for other machines it signs and decrypts (gpg-agent(1), `--extra-socket`).
 */
function restricted(path: string, extra: Looked | null): Looked {
  if (extra === null) return { why: `GnuPG's restricted socket ${path}.extra, which is used in its place, is not there` };
  return 'why' in extra ? extra : { path, target: extra.path };
}

const OTHER_TYPES: ReadonlyMap<string, string> = new Map([['0002', 'datagram'], ['0005', 'sequenced packet']]);

/** What a server bound there, where it is no stream. One that the kernel lists by another name fails when it is connected to. */
function typeOf({ bound, lstat }: SocketFacts, path: string, { dev, ino }: Pick<Stats, 'dev' | 'ino'>): string | undefined {
  const name = posix.basename(path);
  for (const line of bound().split('\n')) {
    const [, type = '', at = ''] = /^\S+: \S+ \S+ \S+ (\S+) \S+ +\d+ (\/.*)$/.exec(line) ?? [];
    const other = OTHER_TYPES.get(type);
    if (other === undefined || posix.basename(at) !== name) continue;
    const stat = lstat(at);
    if (stat?.dev === dev && stat.ino === ino) return other;
  }
  return undefined;
}

/** Where the driver will listen, emptied of what an earlier run left. */
export function makeSocketDir(dir: Bytes, { sockets }: HostSockets): readonly { readonly listen: Bytes; readonly target: Bytes; readonly isKeys: boolean; readonly path: Bytes }[] {
  const room = joinBytes(dir, 'sockets' as Bytes);
  if (lstatSync(toBuffer(room), { throwIfNoEntry: false }) !== undefined) rmSync(toBuffer(room), { recursive: true });
  if (sockets.length > 0) mkdirSync(toBuffer(room), { mode: 0o700 });
  return sockets.map(({ path, target, isKeys }, i) => ({ listen: joinBytes(room, String(i) as Bytes), target, isKeys, path }));
}

const WORDS: Readonly<Record<string, string>> = {
  open: 'it is brokered',
  rights: 'a descriptor was sent, which is refused: the connection was ended',
  keys: 'the key agent was asked for more than its list and signatures, which is refused: the connection was ended',
  failed: "the host's socket refused",
};

/** The record of what the broker tells. */
export function socketRecord(sockets: readonly HostSocket[], { socket, pid, what, why }: Extract<DriverEvent, { event: 'socket' }>): AuditEvent {
  const found = sockets[socket];
  if (found === undefined) return { kind: 'socket', verdict: 'deny', detail: { why: 'the broker has ended: no host socket can be reached any more' } };
  const said = what === 'failed' ? `${WORDS['failed'] ?? ''}: ${why}` : (WORDS[what] ?? what);
  return {
    kind: 'socket', subject: subjectOf(pid), object: { path: toText(found.path) },
    verdict: what === 'open' ? 'allow' : 'deny', rule: what === 'rights' || what === 'keys' ? `sockets.${what}` : found.rule, origin: found.origin, detail: { why: said },
  };
}
