import { posix } from 'node:path';
import { settingOf, type CompiledPolicy, type CompiledRule, type Origin } from './compiled.js';
import { engineOf } from './engine.js';
import { refusal } from './holes.js';
import { judgeSocket, type Access, type Judgement } from './judge.js';
import { credentialIn } from './tokens.js';

/** A variable that the agent doesn't get. */
export interface DroppedVariable {
  readonly name: string;
  readonly why: string;
  /** `env.loader`, `env.strip`, `env.secret`, `environment.default`, or a rule's id */
  readonly rule: string;
}

/** The agent's environment, and what of the user's it does not get. Values are never reported. */
export interface BuiltEnvironment {
  readonly env: Readonly<Record<string, string>>;
  readonly kept: readonly string[];
  readonly set: readonly string[];
  readonly dropped: readonly DroppedVariable[];
  /** PATH entries in the project, now behind all others, and relative ones, left out */
  readonly path: { readonly moved: readonly string[]; readonly removed: readonly string[] };
}

/** Whether a variable of the caller passes. */
export interface EnvJudgement {
  readonly verdict: 'allow' | 'deny';
  readonly rule: string;
  readonly origin: Origin | null;
  readonly why: string;
}

/** Rebuilt from an allow-list, never filtered from a deny-list. Pure. */
export function buildEnvironment(policy: CompiledPolicy, host: Readonly<Record<string, string | undefined>>, cwd: string): BuiltEnvironment {
  const env: Record<string, string> = {};
  const dropped: DroppedVariable[] = [];
  for (const name of Object.keys(host).sort()) {
    const value = host[name];
    if (value === undefined) continue;
    const { verdict, rule, why } = judgeEnv(policy, name, value);
    if (verdict === 'allow') env[name] = value;
    else dropped.push({ name, rule, why });
  }
  const kept = Object.keys(env);
  const set: string[] = [];
  for (const { name, value, origin } of policy.variables) {
    const shipped = origin.layer === 'built-in' || origin.layer === 'profile';
    const [loader] = shipped ? [] : engineOf(policy).names(['environment.loader'], name);
    // A value of one's own is no hole in what the managed policy withholds either.
    const withheld = shipped || origin.layer === 'managed' ? undefined : engineOf(policy).names(['environment.strip', 'environment.secret'], name).find((rule) => rule.origin.layer === 'managed');
    if (withheld !== undefined) dropped.push({ name, rule: withheld.id, why: 'a rule of the managed policy withholds it' });
    else if (loader !== undefined) dropped.push({ name, rule: loader.id, why: 'it loads code into programs: set it in the command, as in `env NAME=VALUE agent`' });
    else {
      env[name] = value;
      set.push(name);
    }
  }
  // A home directory that is the working directory holds the user's own tools.
  const planted = [cwd, policy.project].filter((dir) => !`${policy.home}/`.startsWith(dir === '/' ? '/' : `${dir}/`));
  const path = sortPath(env['PATH'] ?? '', planted);
  if (env['PATH'] !== undefined) env['PATH'] = path.entries.join(':');
  return { env, kept, set, dropped, path: { moved: path.moved, removed: path.removed } };
}

/** loader > exact `keep` > strip > secret > `keep` pattern > default deny. */
export function judgeEnv(policy: CompiledPolicy, name: string, value: string): EnvJudgement {
  const engine = engineOf(policy);
  const [loader] = engine.names(['environment.loader'], name);
  if (loader !== undefined) return deny(loader, 'it loads code into programs');
  if (value.startsWith('() {')) return { verdict: 'deny', rule: 'env.loader', origin: null, why: 'it is an exported shell function' };
  const socket = socketNamed(policy, value);
  if (socket !== null) return { verdict: 'allow', rule: socket.rule, origin: socket.origin, why: 'it leads to a host socket that is allowed' };
  const keeps = engine.names(['environment.keep'], name);
  const exact = keeps.filter((rule) => rule.subjects.names.includes(name) && rule.origin.layer !== 'built-in');
  const withheld = engine.names(['environment.strip'], name).concat(dropsSecrets(policy) ? engine.names(['environment.secret'], name) : []);
  const holds = withheld.find((rule) => !exact.some((keep) => refusal(rule, keep.origin) === null));
  if (holds !== undefined) return deny(holds, holds.list === 'environment.strip' ? 'it leads to host services or changes how programs behave' : 'its name looks like a credential');
  const [named] = exact;
  if (named !== undefined) return allow(named, 'it is named');
  const shape = dropsSecrets(policy) ? credentialIn(value) : null;
  if (shape !== null) return { verdict: 'deny', rule: 'env.value', origin: null, why: `its value looks like ${shape}` };
  const [keep] = keeps;
  return keep === undefined ? { verdict: 'deny', rule: 'environment.default', origin: null, why: 'no rule keeps it' } : allow(keep, 'a rule keeps it');
}

/** `$SSH_AUTH_SOCK` and its like, when `sockets.allow` opens what they name. */
function socketNamed(policy: CompiledPolicy, value: string): Judgement<Access> | null {
  const path = value.replace(/^unix:(path=)?/, '').replace(/^\/\/(?=\/)/, '');
  if (!path.startsWith('/')) return null;
  const judged = judgeSocket(policy, path);
  return judged.verdict === 'allow' ? judged : null;
}

function dropsSecrets(policy: CompiledPolicy): boolean {
  return settingOf(policy, 'environment.secrets')?.value !== 'keep';
}

function deny(rule: CompiledRule, why: string): EnvJudgement {
  return { verdict: 'deny', rule: rule.id, origin: rule.origin, why };
}

function allow(rule: CompiledRule, why: string): EnvJudgement {
  return { verdict: 'allow', rule: rule.id, origin: rule.origin, why };
}

/** What lies in the project may have been planted by an earlier session: it comes last. Relative entries mean the project too. */
function sortPath(path: string, planted: readonly string[]): { entries: string[]; moved: string[]; removed: string[] } {
  const all = path === '' ? [] : path.split(':');
  const removed = all.filter((entry) => !entry.startsWith('/'));
  const isPlanted = (entry: string): boolean => planted.some((dir) => `${posix.normalize(entry)}/`.startsWith(`${dir}/`));
  const absolute = all.filter((entry) => entry.startsWith('/'));
  const moved = absolute.filter(isPlanted);
  return { entries: [...absolute.filter((entry) => !isPlanted(entry)), ...moved], moved, removed };
}
