import { mkdirSync } from 'node:fs';
import { fromText, isWithin, joinBytes, nameOf, parentOf, toBuffer, toText, type Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { hostFacts } from '../kernel/facts.js';
import { refusedPlace, resolveHides, type CompiledPolicy, type CompiledRule, type Origin } from '../policy/index.js';

/** A path of this machine, and the rule that names it. */
export interface Granted {
  readonly path: Bytes;
  readonly rule: string;
  readonly layer: Origin['layer'];
}

/** What a policy gives or shows beside the copy-on-write view: existing real paths. */
export interface Grants {
  readonly passthrough: readonly Granted[];
  readonly readonly: readonly Granted[];
  readonly share: readonly Granted[];
  /** for people: what could not be done as the policy says */
  readonly notes: readonly string[];
}

/** Paths of this machine, now; what isn't there or can't be granted is among the notes. */
export async function grantsOf(policy: CompiledPolicy): Promise<Grants> {
  const notes: string[] = [];
  const passthrough = literals(policy, 'files.passthrough').flatMap(([rule, path]) => passedThrough(policy, rule, path, notes));
  const share = literals(policy, 'files.share').map(([rule, path]) => ({ path, rule: rule.id, layer: rule.origin.layer }));
  return { passthrough: outermost(passthrough), readonly: await readOnlyPaths(policy), share, notes };
}

type Named = readonly [CompiledRule, Bytes];

function literals(policy: CompiledPolicy, list: CompiledRule['list']): Named[] {
  return policy.rules
    .filter((rule) => rule.list === list)
    .flatMap((rule) => rule.subjects.paths.filter(({ glob }) => glob === '').map(({ base }): Named => [rule, fromText(base)]));
}

/**
 * The agent would make such a directory itself; it has to be there before the
 * agent is. One that the user names must exist, and none may be a link: where
 * it leads would be somebody else's choice.
 */
function passedThrough(policy: CompiledPolicy, rule: CompiledRule, path: Bytes, notes: string[]): Granted[] {
  const { layer } = rule.origin;
  const found = hostFacts.lstat(path);
  if (layer === 'command line') {
    if (found === null) throw new AgentfwError('AFW_VIEW', `Can't pass ${path} through: there is no such directory.`, { status: 125, hint: 'Create it first' });
    const real = hostFacts.realpath(path) ?? path;
    const why = refusedPlace(policy, rule, path, real);
    if (why !== null) throw new AgentfwError('AFW_VIEW', `Can't pass ${toText(path)} through: ${why}.`, { status: 125, hint: `If that is meant, name ${toText(real)} itself` });
    return [{ path: real, rule: rule.id, layer: rule.origin.layer }];
  }
  // Before it is made: nothing is made where a link leads.
  const refused = refusedPlace(policy, rule, path, placeOf(path));
  if (refused !== null) {
    notes.push(`${toText(path)} is not passed through: ${refused}`);
    return [];
  }
  if (found === null && !made(path)) return [];
  const parent = hostFacts.realpath(parentOf(path));
  const real = parent === null ? null : joinBytes(parent, nameOf(path));
  if (real !== null && hostFacts.lstat(real)?.type === 'dir') return [{ path: real, rule: rule.id, layer: rule.origin.layer }];
  notes.push(`${path} is not passed through: it is not a directory`);
  return [];
}

/** Where a path lies or would lie, a link at itself not followed. */
function placeOf(path: Bytes): Bytes {
  if (path === '/') return path;
  const parent = parentOf(path);
  return joinBytes(hostFacts.realpath(parent) ?? placeOf(parent), nameOf(path));
}

function made(path: Bytes): boolean {
  try {
    mkdirSync(toBuffer(path), { recursive: true, mode: 0o700 });
    return true;
  } catch {
    return false; // then its writes stay in the layer
  }
}

/** Paths with wildcards are looked for as hidden ones are. */
async function readOnlyPaths(policy: CompiledPolicy): Promise<Granted[]> {
  const rules = policy.rules.filter(({ list }) => list === 'files.readonly');
  const found = literals(policy, 'files.readonly').flatMap(([rule, path]): Granted[] => {
    const real = hostFacts.realpath(path);
    return real === null ? [] : [{ path: real, rule: rule.id, layer: rule.origin.layer }];
  });
  if (!rules.some((rule) => rule.subjects.paths.some(({ glob }) => glob !== '') || rule.except.paths.length > 0)) return outermost(found);
  const asHides = rules.map((rule) => ({ ...rule, list: 'files.hide' as const }));
  const others = policy.rules.filter(({ list }) => list === 'files.skip');
  const { hides } = await resolveHides({ ...policy, rules: [...others, ...asHides] });
  return outermost(hides.flatMap(({ path, kind, rule }) => (kind === 'dir' || kind === 'file' ? [{ path, rule, layer: 'built-in' as const }] : [])));
}

function outermost(all: readonly Granted[]): Granted[] {
  const sorted = [...all].sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted.filter(({ path }, at) => !sorted.some((other, i) => (other.path === path ? i < at : isWithin(path, other.path))));
}
