import { userInfo } from 'node:os';
import type { Bytes } from '../bytes.js';
import { fromText, isWithin, toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { silentPaths } from '../kernel/background.js';
import { boundSockets, hostFacts, planningFacts, readMountinfo } from '../kernel/facts.js';
import { hasAllIds, hasOwnTerminal, hasSysAdmin } from '../kernel/process.js';
import { isRemote } from '../view/fstypes.js';
import { parseMountinfo } from '../view/mountinfo.js';
import { planView } from '../view/mounts.js';
import { PlanError, type PlannedLayer, type ViewOptions, type ViewPlan } from '../view/plan.js';
import { buildEnvironment, settingOf, type BuiltEnvironment, type CompiledPolicy } from '../policy/index.js';
import { environmentOf, isPrivate, type EnvironmentOptions } from './environment.js';
import { makeGateFiles } from './gatefiles.js';
import { prepareView } from './prepare.js';
import { mayNestGroups, placesOf, rlimitsOf, type LimitPlan } from './limits.js';
import { programPaths, projectOf, sharedGitDirs } from './program.js';
import { hiddenFor, type RunPolicy } from './policy.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import { makeSocketDir } from './sockets.js';
import { encodeSpec, type Spec } from './spec.js';
import { makeStandIns } from './standins.js';
import { foreignLayerDir, sandboxDir, type Store } from './store.js';

/** What a run is asked to be. */
export interface Wanted {
  readonly argv: readonly Bytes[];
  readonly policy: RunPolicy;
  readonly limits: LimitPlan;
  readonly detach: boolean;
  /** doors are opened before the agent starts */
  readonly wait: boolean;
}

/** A sandbox that can be started: its record is written, the driver's spec is ready. */
export interface Start {
  readonly record: SandboxRecord;
  readonly spec: Buffer;
  readonly environment: BuiltEnvironment;
}

/** Root with its rights over mounts builds the view as root; anybody else in a user namespace. */
export function modeOf(context: Context): 'user' | 'root' {
  return context.uid === 0 && hasSysAdmin() && hasAllIds() ? 'root' : 'user';
}

/** Mounts brought by programs or other machines that don't answer: the planner must not ask them. */
function silentMounts(mountinfo: Bytes): ReadonlySet<Bytes> {
  return silentPaths(parseMountinfo(mountinfo).flatMap(({ point, type }) => (isRemote(type) && type !== 'autofs' ? [point] : [])));
}

/** Plans the view, makes what it needs in the store, and writes the spec. The caller writes the record. */
export function prepareStart(store: Store, record: SandboxRecord, wanted: Wanted): Start {
  const account = accountOf(store.context);
  const { policy } = wanted.policy;
  const built = buildEnvironment(policy, store.context.env, toText(record.cwd));
  const env = environmentFor(store.context, built, { tag: record.tag, cwd: record.cwd }, account);
  const dir = sandboxDir(store, record.tag);
  const sockets = makeSocketDir(dir, wanted.policy.sockets);
  const plan = planOf(store, record, wanted, { account, searchPath: valueIn(env, 'PATH'), sockets });
  const made = prepareView(store.kernel, plan, dir);
  const { limited: _limited, ...rest } = record;
  const planned: SandboxRecord = {
    ...rest,
    layers: made.layers.map(bareLayer),
    mounts: [...plan.mounts, ...plan.paths].filter(({ decision }) => decision !== 'overlay'),
    ...limitsIn(wanted.limits),
    policy: { digest: policy.digest, profile: policy.profile.name, version: policy.profile.version },
  };
  const spec = encodeSpec({
    ...{ mode: record.mode, ...idsOf(store.context), newroot: made.newroot, cwd: record.cwd, nested: nestedOf(policy, wanted.limits.groups, record.mode) },
    ...{ net: netOf(record), tty: hasOwnTerminal() && !wanted.detach, detach: wanted.detach, wait: wanted.wait },
    ...{ argv: wanted.argv, env: env.map(fromText), rlimits: rlimitsOf(wanted.limits.limits), groups: placesOf(wanted.limits.groups), ops: plan.ops, sockets },
    audit: settingOf(policy, 'audit.exec')?.value === 'on' ? 'exec' : 'none',
  });
  return { record: planned, spec, environment: built };
}

function limitsIn({ limits, groups, lacking }: LimitPlan): Pick<SandboxRecord, 'limits' | 'groups' | 'degraded'> {
  return { limits, groups, degraded: lacking.map(({ name, why }) => ({ name, why, accepted: true })) };
}

/** The driver's word for the network that a record tells of. */
export function netOf({ net }: Pick<SandboxRecord, 'net'>): 'off' | 'host' | 'gate' {
  return net === 'off' ? 'off' : net === 'allow' ? 'host' : 'gate';
}

/** `no-cgroup`: every namespace but those of control groups, see `mayNestGroups`. */
export function nestedOf(policy: CompiledPolicy, groups: SandboxRecord['groups'], mode: SandboxRecord['mode']): Spec['nested'] {
  if (settingOf(policy, 'nested')?.value === 'deny') return 'deny';
  return mayNestGroups(groups ?? [], mode) ? 'allow' : 'no-cgroup';
}

interface Surroundings {
  readonly account: Account;
  readonly searchPath: string;
  readonly sockets: ReturnType<typeof makeSocketDir>;
}

function planOf(store: Store, record: SandboxRecord, wanted: Wanted, { account, searchPath, sockets }: Surroundings): ViewPlan {
  const { context } = store;
  const { cwd } = record;
  const project = projectOf(cwd, []);
  const home = hostFacts.realpath(fromText(account.home));
  const trees = [project, ...sharedGitDirs(project), ...(home === null || home === '/' ? [] : [home])];
  const { grants, hides } = wanted.policy;
  const rules = wanted.policy.sockets.sockets;
  const standIns = makeStandIns(sandboxDir(store, record.tag), hides);
  const options: ViewOptions = {
    ...{ mode: record.mode, ...idsOf(context), cwd, home, trees, stateDir: store.dir },
    ...{ programs: programPaths(wanted.argv[0] ?? ('' as Bytes), cwd, searchPath), durable: record.durable },
    sandboxDir: sandboxDir(store, record.tag),
    runtimeDir: runtimeDirOf(context),
    hide: hiddenFor(wanted.policy).map((hidden) => ({ ...hidden, ...optional('standIn', standIns.get(hidden.path)) })),
    readonly: grants.readonly,
    passthrough: grants.passthrough.map(({ path, rule, layer }) => ({ path, why: layer === 'profile' ? 'the profile lets writes through to the host' : `you let writes through to the host (${rule})` })),
    share: grants.share.map(({ path }) => path),
    sockets: sockets.map(({ listen, path }, i) => ({ path, source: listen, rule: rules[i]?.rule ?? '' })),
    hostSockets: boundSockets(),
    ...(netOf(record) === 'gate' ? { gate: makeGateFiles(sandboxDir(store, record.tag)) } : {}),
    previous: record.layers,
    foreignLayerDir: foreignPlaces(store, record),
  };
  try {
    const mountinfo = readMountinfo();
    return planView(mountinfo, options, planningFacts(silentMounts(mountinfo)));
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    throw new AgentfwError('AFW_VIEW', error.message, { status: 125, hint: error.hint });
  }
}

/** All new layers on one mount share the sandbox's directory there. */
function foreignPlaces(store: Store, record: SandboxRecord): ViewOptions['foreignLayerDir'] {
  const around = new Map<Bytes, string>();
  return (mountRoot, id) => {
    const first = around.get(mountRoot) ?? foreignLayerDir(store, mountRoot, record.tag, id).replace(/\/\d+$/, '');
    around.set(mountRoot, first);
    return `${first}/${id}` as Bytes;
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}

/** Only what the record keeps. */
function bareLayer({ id, base, dir, family, covered, skeleton, top }: PlannedLayer): Layer {
  return { id, base, dir, family, covered, skeleton, top };
}

function runtimeDirOf({ env, uid }: Context): Bytes | null {
  const given = env['XDG_RUNTIME_DIR'];
  return fromText(given?.startsWith('/') === true ? given : `/run/user/${uid}`);
}

/** Whose ids the agent has: the caller's own. */
export function idsOf(context: Context): { readonly uid: number; readonly gid: number } {
  return { uid: context.uid, gid: process.getgid?.() ?? -1 };
}

/** The user's entry in passwd(5). */
export type Account = EnvironmentOptions['account'];

/** Who runs: from the environment where it says so, else from the account database. */
export function accountOf({ env, uid }: Context): Account {
  const { USER: name, HOME: home, SHELL: shell } = env;
  if (name !== undefined && shell !== undefined && home?.startsWith('/') === true) return { name, home, shell };
  const known = attempt(() => userInfo());
  return {
    name: name ?? known?.username ?? `uid${uid}`,
    home: home?.startsWith('/') === true ? home : (known?.homedir ?? '/'),
    shell: shell ?? known?.shell ?? '/bin/sh',
  };
}

/** An account that no database knows is no error. */
function attempt<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch {
    return null;
  }
}

/** `NAME=VALUE` each. `PWD` is the shell's own name for the directory as long as it leads there. */
export function environmentFor(
  context: Context,
  built: BuiltEnvironment,
  { tag, cwd }: { readonly tag: string; readonly cwd: Bytes },
  account: Account,
): readonly string[] {
  // The shell's own name for the directory, symlinks and all, as long as it leads there, inside too.
  const named = context.env['PWD'];
  const same = named?.startsWith('/') === true && !isPrivate(named) && hostFacts.realpath(fromText(named)) === cwd;
  const home = hostFacts.realpath(fromText(account.home));
  return environmentOf({ built, tag, account, realHome: home === null ? account.home : toText(home), cwd: same ? named : toText(cwd) });
}

function valueIn(env: readonly string[], name: string): string {
  return env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
}

/** True when the agent can't write its working directory: worth a line before it finds out. */
export function isReadOnlyAt(record: SandboxRecord): boolean {
  return !record.layers.some((layer) => isWithin(record.cwd, layer.base));
}
