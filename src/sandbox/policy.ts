import { existsSync } from 'node:fs';
import { isText, toText, type Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError, usageError } from '../errors.js';
import { hostFacts, readMountinfo } from '../kernel/facts.js';
import { compilePolicy, literalPattern, policyRequest, resolveHides, type CompiledPolicy, type PolicyFlags, type ResolvedHides } from '../policy/index.js';
import { isRemote } from '../view/fstypes.js';
import { parseMountinfo } from '../view/mountinfo.js';
import type { Hidden } from '../view/plan.js';
import { grantsOf, type Grants } from './grants.js';
import { openCredentials } from './open-credentials.js';
import { socketsFor, type HostSockets } from './sockets.js';
import type { Store } from './store.js';

/** What the command line says about policy. */
export interface PolicyWish {
  readonly flags: PolicyFlags;
  /** `--policy` */
  readonly files: readonly string[];
  /** `--profile`; null: by the agent's command */
  readonly profile: string | null;
  readonly ci: boolean;
}

/** The policy of one run, and what it means on this machine at its start. */
export interface RunPolicy {
  readonly policy: CompiledPolicy;
  readonly hides: ResolvedHides;
  readonly grants: Grants;
  readonly sockets: HostSockets;
  /** for people */
  readonly notes: readonly string[];
}

/** Throws where a policy can't be read whole, and, with status 125, for what the command line asks for and can't have. `home` is the agent's. */
export async function policyForRun(store: Store, argv: readonly Bytes[], wish: PolicyWish, home: string): Promise<RunPolicy> {
  const { policy, notes } = await compileHere(store, argv, wish, home);
  refuseRefused(policy);
  const grants = await grantsOf(policy);
  const roots = handedIn(grants);
  // The agent works in the directory it starts in, also where a search of the project keeps out of it.
  const hides = await resolveHides(policy, { roots: [...roots, store.context.cwd], avoid: [store.dir, ...mountsOf((type) => type === 'autofs')], remote: mountsOf((type) => type !== 'autofs' && isRemote(type)) });
  return { policy, hides, grants, sockets: socketsFor(policy), notes: [...openCredentials(policy, roots), ...notes] };
}

/** Who hands in a directory has not named the secrets in it, wherever it lies. */
function handedIn({ share, passthrough }: Grants): Bytes[] {
  return [...share, ...passthrough].flatMap(({ path }) => {
    const real = hostFacts.realpath(path);
    return real !== null && hostFacts.lstat(real)?.type === 'dir' ? [real] : [];
  });
}

/** Compiles without looking at the machine's files, for `exec` in a sandbox of an earlier version. */
export function compileHere(store: Store, argv: readonly Bytes[], wish: PolicyWish, home: string): ReturnType<typeof compilePolicy> {
  const context: Context = { ...store.context, env: { ...store.context.env, HOME: home } };
  return compilePolicy(
    policyRequest(context, {
      ...{ argv: argv.map(toText), stateDir: toText(store.dir), profile: wish.profile, policyFiles: wish.files },
      ...{ flags: wish.flags, ci: wish.ci },
    }),
  );
}

/** What the user asks for on the command line and can't have is no note but an error. */
function refuseRefused({ loosened }: CompiledPolicy): void {
  const refused = loosened.find(({ origin }) => origin.layer === 'command line');
  if (refused === undefined) return;
  throw new AgentfwError('AFW_POLICY_REFUSED', `Refused: ${refused.what}: ${refused.why}.`, { status: 125, ...(refused.hint === null ? {} : { hint: refused.hint }) });
}

/** Looking through a network mount may take minutes, and at an automount point mounts something. */
function mountsOf(isOne: (type: string) => boolean): Bytes[] {
  return [...new Set(parseMountinfo(readMountinfo()).flatMap(({ point, type }) => (isOne(type) ? [point] : [])))];
}

/** A path typed by the user, for a flag that takes patterns too: what exists is meant literally. */
export function literalPath(path: Bytes, flag: string): string {
  if (path === '') throw usageError(`--${flag}: the path is empty.`, 'Is a variable empty? The directory you are in is .');
  if (!isText(path)) throw usageError(`--${flag}: the path is not valid UTF-8, so that no policy can name it.`, 'Name a directory above it');
  const text = toText(path);
  return existsSync(text) ? literalPattern(text) : text;
}

/** The places of what is to be hidden for one run; a link given on the command line hides what it leads to. */
export function hiddenFor({ policy, hides }: RunPolicy): Hidden[] {
  const named = new Set(policy.rules.filter(({ list, origin }) => list === 'files.hide' && origin.layer === 'command line').map(({ id }) => id));
  return hides.hides.flatMap(({ path, rule, kind }) => {
    const target = kind === 'symlink' && named.has(rule) ? hostFacts.realpath(path) : null;
    return [{ path, rule, absent: kind === 'absent' }, ...(target === null ? [] : [{ path: target, rule }])];
  });
}

