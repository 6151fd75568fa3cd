import { toText } from '../bytes.js';
import { settingOf, type BuiltEnvironment, type CompiledPolicy } from '../policy/index.js';
import { isProxyVariable } from '../policy/upstream.js';
import { isUnanswered } from '../view/user.js';
import { outOfReach } from './host-servers.js';
import type { NetworkWish } from './network.js';
import type { RunPolicy } from './policy.js';
import type { SandboxRecord } from './sandbox.js';

/** Worth a line: the agent is known, or the user should know why it isn't. */
function isTold({ profile: { name, why } }: CompiledPolicy): boolean {
  return name !== 'generic' || !why.startsWith('no profile for');
}

/** `claude-code 2.1.331 (matched @anthropic-ai/claude-code)` */
export function profileText({ profile: { name, version, why, unverified } }: Pick<CompiledPolicy, 'profile'>): string {
  return `${name}${version === null ? '' : ` ${version}`} (${why}${unverified ? '; not proven with the real agent yet' : ''})`;
}

/** Variables that the user may miss: they look like credentials and the agent doesn't get them. */
export function withheldIn({ dropped }: BuiltEnvironment): readonly string[] {
  return dropped.filter(({ rule }) => rule === 'env.secret' || rule === 'env.value').map(({ name }) => name);
}

/** The network that a run asks for. */
export type Reach = Pick<SandboxRecord, 'net'> & Pick<NetworkWish, 'connectHost'>;

/** What is worth knowing of a policy beside its rules, most important first: for `status`, and in short at the start. */
export function notesOf({ policy, hides, grants, sockets, notes }: RunPolicy, { path, env }: BuiltEnvironment, { net, connectHost }: Reach): readonly string[] {
  return [
    ...unenforced(policy, net),
    ...(net === 'ask' || net === 'deny' ? outOfReach(env, connectHost) : []),
    ...policy.loosened.map(({ what, why, origin }) => `not followed: ${what} in ${origin.file}${origin.line > 0 ? `:${origin.line}` : ''}: ${why}`),
    ...(hides.incomplete === null ? [] : [`the search for hidden files did not see everything: ${hides.incomplete}`]),
    ...hides.leaks.map(({ path: leak, why }) => `may be seen although hidden: ${toText(leak)}: ${why}`),
    ...grants.notes,
    ...sockets.notes,
    ...notes,
    ...path.moved.map((entry) => `moved behind the rest of PATH, because an agent may have written it: ${entry}`),
    ...path.removed.map((entry) => `left out of PATH, because it is relative: ${entry === '' ? '(empty)' : entry}`),
  ];
}

/** Parts of the policy language that this version reads and can't enforce yet. */
function unenforced({ rules, settings }: CompiledPolicy, net: string): string[] {
  const ofUser = (layer: string): boolean => layer !== 'built-in' && layer !== 'profile' && layer !== 'command line';
  const network = rules.some(({ list, origin }) => list.startsWith('network.') && ofUser(origin.layer)) || settings.some(({ key, origin }) => key === 'network.default' && ofUser(origin.layer));
  const found = [
    net === 'allow' && network ? 'network rules (the network is the host’s own)' : null,
  ].filter((what) => what !== null);
  return found.length === 0 ? [] : [`not enforced by this version: ${found.join(', ')}`];
}

/** What the user named and still can't have. */
function refusedNames({ rules, variables }: CompiledPolicy, { dropped }: BuiltEnvironment): string[] {
  const keeps = rules.filter(({ list, origin }) => list === 'environment.keep' && origin.layer === 'command line').flatMap(({ subjects }) => subjects.names);
  const named = new Set([...keeps, ...variables.filter(({ origin }) => origin.layer === 'command line').map(({ name }) => name)]);
  return dropped.filter(({ name }) => named.has(name)).map(({ name, why }) => `--env ${name} is not passed: ${why}`);
}

/** The gate goes through the proxy by itself: whoever passes the variable only gives the agent its login. */
function missedIn({ policy }: RunPolicy, built: BuiltEnvironment, { net }: Reach): readonly string[] {
  const isLed = (net === 'ask' || net === 'deny') && settingOf(policy, 'network.upstream') !== null;
  return withheldIn(built).filter((name) => !isLed || !isProxyVariable(name));
}

const MOST_NAMED = 4;

/** The lines at the start of a run. */
export function startLines(run: RunPolicy, built: BuiltEnvironment, { tag, mounts, ...reach }: Reach & Pick<SandboxRecord, 'tag' | 'mounts'>): readonly string[] {
  const withheld = missedIn(run, built, reach);
  const notes = notesOf(run, built, reach);
  const names = `${withheld.slice(0, MOST_NAMED).join(', ')}${withheld.length > MOST_NAMED ? ` and ${withheld.length - MOST_NAMED} more` : ''}`;
  const [first] = notes;
  const more = notes.length > 1 ? ` (and ${notes.length - 1} more: agentfw status ${tag})` : '';
  return [
    ...(isTold(run.policy) ? [`agentfw: profile ${profileText(run.policy)}`] : []),
    ...refusedNames(run.policy, built).map((line) => `agentfw: ${line}`),
    ...(withheld.length === 0 ? [] : [`agentfw: withheld ${names}: pass one with --env NAME`]),
    ...(first === undefined ? [] : [`agentfw: ${first}${more}`]),
    ...silentLines(mounts),
  ];
}

/** Files of the user's may lie there, so that their absence is no news for `status` alone. */
function silentLines(mounts: SandboxRecord['mounts']): string[] {
  const [first, ...others] = mounts.filter(isUnanswered).map(({ path }) => toText(path));
  if (first === undefined) return [];
  const [who, which] = others.length === 0 ? ['does', 'it is'] : [`and ${others.length} more do`, 'they are'];
  return [`agentfw: ${first} ${who} not answer: ${which} empty in the sandbox`];
}
