import { fromText, isWithin, joinBytes, nameOf, parentOf, toText, type Bytes } from '../bytes.js';
import { hostFacts } from '../kernel/facts.js';
import type { CompiledPolicy } from './compiled.js';
import { explain, type Explanation, type Question } from './explain.js';

/** The same on this machine: what is reached through a symlink is judged where it really lies, as a run does. */
export function explainHere(policy: CompiledPolicy, question: Question): Explanation {
  const asked = explain(policy, question);
  if (question.kind !== 'path') return asked;
  if (asked.verdict === 'deny') return { ...asked, why: `${asked.why}${question.op === 'commit' ? '' : ifFound(policy, asked, question.cwd)}` };
  const real = realPlace(fromText(asked.subject));
  const there = toText(real) === asked.subject ? asked : explain(policy, { ...question, subject: toText(real) });
  const closed = there.verdict === 'deny' || question.op === 'commit' ? null : closedAbove(policy, real);
  return closed === null ? there : { ...there, verdict: 'deny', rule: 'agentfw.closed', origin: null, why: `you may not search ${toText(closed)} yourself: what is in it can’t be known`, lands: null, also: [] };
}

/** What a rule hides at any depth is hidden where a run's search finds it: words for where that doesn't come to; else none. */
function ifFound(policy: CompiledPolicy, { subject, rule }: Explanation, cwd: string): string {
  const patterns = policy.rules.filter(({ list, id }) => list === 'files.hide' && id === rule).flatMap(({ subjects }) => subjects.paths);
  if (patterns.length === 0 || patterns.some(({ base, glob }) => base !== '/' || !glob.startsWith('**/'))) return '';
  const path = realPlace(fromText(subject));
  const roots = [policy.home, ...(policy.homes ?? []), policy.project, cwd].map(fromText).filter((root) => root !== path && isWithin(path, root));
  if (roots.length === 0) return ' in home, project and working directory, and this is in none of them';
  const barriers = roots.map((root) => skippedBetween(policy, root, path));
  return barriers.includes(null) ? '' : `, but the search for it keeps out of ${toText(barriers.at(-1) ?? path)}`;
}

/** The directory that a search from `root` doesn't enter on the way to a path, or null. */
function skippedBetween(policy: CompiledPolicy, root: Bytes, path: Bytes): Bytes | null {
  const skip = new Set(policy.rules.filter(({ list }) => list === 'files.skip').flatMap(({ subjects }) => subjects.names));
  for (let at = parentOf(path); at !== root; at = parentOf(at)) if (skip.has(toText(nameOf(at)))) return at;
  return null;
}

/** The directory that a run would hide whole, as its search for hidden names can't enter it. */
function closedAbove(policy: CompiledPolicy, path: Bytes): Bytes | null {
  const skip = new Set(policy.rules.filter(({ list }) => list === 'files.skip').flatMap(({ subjects }) => subjects.names));
  const roots = [policy.home, ...(policy.homes ?? []), policy.project].map(fromText);
  let closed: Bytes | null = null;
  for (let at = path; roots.some((root) => root !== at && isWithin(at, root)); at = parentOf(at)) {
    // Not for what is in a tree of its own below it.
    if (skip.has(toText(nameOf(at))) && !roots.some((root) => isWithin(root, at) && isWithin(path, root))) closed = null;
    else if (hostFacts.lstat(at)?.type === 'dir' && !hostFacts.searchable(at)) closed = at;
  }
  return closed;
}

/** As far as there are such directories. */
function realPlace(path: Bytes): Bytes {
  if (path === '/') return path;
  return hostFacts.realpath(path) ?? joinBytes(realPlace(parentOf(path)), nameOf(path));
}
