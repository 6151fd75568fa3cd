/**
 * The policy room's surface. Callers compile once per run, keep the result as
 * `policy.json`, and ask the judges; all judges are pure.
 */
import { createHash } from 'node:crypto';
import { cacheIn, fromCache, toCache } from './cache.js';
import { compile, type CompileInput } from './compile.js';
import type { CompiledPolicy } from './compiled.js';
import { policyError } from './document.js';
import { namedCredentials } from './named.js';
import { ownSource } from './own.js';
import { machineRegistries } from './registries.js';
import { gatherSources, type SourceRequest } from './sources.js';

export type { CompiledPolicy, CompiledRule, Loosening, Origin, Setting } from './compiled.js';
export { captureOf, limitOf, settingOf, thresholdOf } from './compiled.js';
export type { PolicyFlags } from './flags.js';
export type { SourceRequest } from './sources.js';
export { literalPattern } from './pattern.js';
/** What the agent sees and where its writes go. */
export { judgePath, type PathJudgement } from './judge.js';
/** One connection: name, port, and the addresses it resolved to. */
export { judgeHost, type HostJudgement, type HostQuestion } from './judge.js';
/** What the rules behind an allow grant beyond the dial. */
export { hostGrants, isPrivatelyAllowed, privateEntry } from './grants.js';
/** One named socket or socket path. */
export { judgeSocket } from './judge.js';
/** One change by itself, for `explain`; all of a sandbox together: `judgeChanges`. */
export { judgeChange, type ChangeFacts, type Judgement } from './judge.js';
/** Where a passthrough may lead. */
export { refusedPlace } from './passthrough.js';
/** For classify's `owned`. */
export { isOwnState } from './judge.js';
/** Verdicts at the end of a run and in `diff`: rules, directories, thresholds, exit status. */
export { judgeChanges, type Ending, type Verdicts } from './verdict.js';
/** The agent's environment with a report of what was dropped; one variable. */
export { buildEnvironment, judgeEnv, type BuiltEnvironment } from './environment.js';
/** The hide rules as paths of this machine. */
export { resolveHides, type Hide, type ResolvedHides, type ResolveOptions } from './resolve.js';
/** An agent's state file merged by key. */
export { mergeState, type StateMerge } from './state.js';
/** What stands in for a hidden package manager file. */
export { standInFor, STAND_INS } from './standin.js';
/** The request of this process, paths real. */
export { policyRequest } from './request.js';

/** What `run` and the commands of `policy` compile from. */
export interface PolicyRequest extends SourceRequest {
  /** more host sets that only this machine knows; `registries` is found by itself */
  readonly sets?: CompileInput['sets'];
}

/** A policy that is ready to judge by. */
export interface Compiled {
  readonly policy: CompiledPolicy;
  /** for people, on stderr */
  readonly notes: readonly string[];
}

/** Finds, reads, checks and compiles all layers. Throws `AgentfwError` (`AFW_POLICY_…`) when one can't be used. */
export async function compilePolicy(request: PolicyRequest): Promise<Compiled> {
  const gathered = await gatherSources(request);
  const sources = [ownSource(request), ...gathered.sources];
  const input: CompileInput = {
    sources,
    profile: gathered.profile,
    home: request.home,
    homes: request.homes ?? [],
    project: gathered.project,
    env: request.env,
    named: namedCredentials(request.home),
    sets: { ...(usesRegistries(sources) ? { registries: machineRegistries(request) } : {}), ...request.sets },
  };
  const cache = cacheIn(request.stateDir, request.uid);
  const key = inputDigest(input);
  const cached = fromCache<CompiledPolicy>(cache, key);
  if (cached !== null) return { policy: cached, notes: gathered.notes };
  const { policy, problems } = compile(input);
  if (problems.length > 0) throw policyError(problems);
  toCache(cache, key, policy);
  return { policy, notes: gathered.notes };
}

/** Of all that compiling looks at. Shipped and user's files go in by their own digests. */
function inputDigest({ sources, env, ...rest }: CompileInput): string {
  const names = sources.flatMap(({ document }) => [...Object.keys(document.moves), ...Object.values(document.socketNames).flat().flatMap((text) => /^\$([A-Z_]+)/.exec(text)?.[1] ?? [])]);
  const read = [...new Set(names)].sort().map((name) => [name, env[name] ?? null]);
  const own = sources.map(({ document, ...source }) => ({ ...source, document: source.digest === '' ? document : null }));
  return createHash('sha256').update(JSON.stringify([own, read, rest])).digest('hex');
}

/** Reading the configuration of every package manager takes files: only when a rule wants it. */
function usesRegistries(sources: CompileInput['sources']): boolean {
  return sources.some(({ document }) => document.rules.some((rule) => rule.list.startsWith('network.') && rule.subjects.includes('registries')));
}
