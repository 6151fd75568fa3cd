import { AgentfwError, type ErrorOptions } from '../errors.js';

/**
 * A policy document as it was read: every rule and setting with its place in
 * the file, subjects unexpanded, so that it is plain JSON and can be cached by
 * the digest of its text.
 */
export type Layer = 'built-in' | 'profile' | 'managed' | 'user' | 'project' | 'command line';

/** Layers in the order of DESIGN §10: later ones refine, none loosens `managed`. */
export const LAYERS: readonly Layer[] = ['built-in', 'profile', 'managed', 'user', 'project', 'command line'];

/** The lists that rules stand in, by their path in the file. */
export type RuleList =
  | 'files.hide' | 'files.readonly' | 'files.passthrough' | 'files.share' | 'files.state' | 'files.skip'
  | 'changes.commit' | 'changes.discard' | 'changes.escalate' | 'changes.accept' | 'changes.control' | 'changes.later'
  | 'network.allow' | 'network.ask' | 'network.deny'
  | 'sockets.allow' | 'sockets.deny'
  | 'environment.keep' | 'environment.strip' | 'environment.secret' | 'environment.loader';

/**
 * Lists that give the agent something; every other list takes something away.
 * Grants match exactly; what withholds covers everything below and ignores case.
 */
export const GRANTS: ReadonlySet<RuleList> = new Set<RuleList>([
  'files.passthrough', 'files.share', 'files.state', 'files.skip',
  'changes.commit', 'changes.accept', 'network.allow', 'sockets.allow', 'environment.keep',
]);

/** In a policy file; both count from 1. */
export interface Place {
  readonly line: number;
  readonly col: number;
}

/** A rule as it is written, in the one form that all short forms mean. */
export interface RuleText {
  readonly list: RuleList;
  readonly id: string;
  readonly subjects: readonly string[];
  readonly except: readonly string[];
  readonly note: string | null;
  /** network: null means the list's usual ports, `any` all of them */
  readonly ports: readonly number[] | 'any' | null;
  /** network allow: the host may have a private, loopback or link-local address */
  readonly private: boolean;
  /** network deny: nobody needs to be told (telemetry) */
  readonly silent: boolean;
  /** files.state: top-level keys that start programs */
  readonly keys: readonly string[];
  /** network allow */
  readonly grants?: HostGrants;
  readonly at: Place;
}

/** What a rule on hosts grants beyond the dial; absent is no. */
export interface HostGrants {
  readonly udp?: boolean;
  /** any bytes on 443 and 80, and no check of names */
  readonly raw?: boolean;
  /** a ClientHello with ECH or without SNI */
  readonly hiddenName?: boolean;
  /** plain HTTP only */
  readonly methods?: readonly string[];
}

/** Plain settings, by their path in the file. */
export type SettingKey =
  | 'changes.default' | 'network.default' | 'network.dns' | 'network.upstream' | 'environment.secrets' | 'nested'
  | 'ask.timeout' | 'ask.approver' | 'audit.full' | 'audit.exec'
  | `changes.thresholds.${ThresholdName}` | `changes.capture.${CaptureName}` | `limits.${LimitName}`;

/** What a commit by rule is bounded in. */
export type ThresholdName = 'deletions' | 'files' | 'bytes' | 'executables' | 'types';
/** What the capture of bases is bounded in: each file, and all together. */
export type CaptureName = 'file' | 'total';
/** What a run may be limited in. */
export type LimitName = 'memory' | 'pids' | 'layer' | 'inodes' | 'time' | 'cpu';

/** A setting as it is written; sizes in bytes, times in seconds. */
export interface SettingText {
  readonly key: SettingKey;
  readonly value: string | number;
  readonly at: Place;
}

/** `environment.set`: one variable with a literal value. */
export interface VariableText {
  readonly name: string;
  readonly value: string;
  readonly at: Place;
}

/** `except:` at the top: holes in rules named by id. */
export interface HoleText {
  readonly id: string;
  readonly subjects: readonly string[];
  readonly at: Place;
}

/** How a profile knows its agent (`agent:` of a profile). */
export interface Signature {
  readonly name: string;
  readonly executables: readonly string[];
  readonly packages: readonly string[];
  /** npm packages of a similar name that are something else */
  readonly imposters: readonly string[];
  /** path patterns of the real executable, e.g. a native install */
  readonly paths: readonly string[];
  readonly unverified: boolean;
}

/** A policy file, parsed and checked by itself. */
export interface PolicyDocument {
  readonly version: 1;
  readonly description: string | null;
  readonly extends: readonly { readonly name: string; readonly at: Place }[];
  readonly agent: Signature | null;
  /** environment variables that move a directory: `CODEX_HOME: ~/.codex` */
  readonly moves: Readonly<Record<string, string>>;
  /** named host sets: `github: [github.com, …]` */
  readonly sets: readonly { readonly name: string; readonly hosts: readonly string[]; readonly at: Place }[];
  /** named sockets: `ssh-agent: [$SSH_AUTH_SOCK]` */
  readonly socketNames: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly RuleText[];
  readonly holes: readonly HoleText[];
  readonly settings: readonly SettingText[];
  readonly variables: readonly VariableText[];
}

/** One thing wrong with a policy file. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly col: number;
  readonly message: string;
  /** the offending source text, one line */
  readonly text: string | null;
  readonly hint: string | null;
}

/** `missing` alone may mean defaults; the rest must be told apart. */
export type LoadResult =
  | { readonly kind: 'ok'; readonly file: string; readonly digest: string; readonly document: PolicyDocument }
  | { readonly kind: 'missing'; readonly file: string }
  | { readonly kind: 'empty'; readonly file: string }
  | { readonly kind: 'unreadable'; readonly file: string; readonly why: string; readonly hint: string | null }
  | { readonly kind: 'invalid'; readonly file: string; readonly problems: readonly Problem[] };

/** `file:line:col: message` and the hint, for people. */
export function problemText(problem: Problem): string {
  const quoted = problem.text === null ? '' : `\n    ${problem.text}`;
  return `${placeText(problem)}: ${problem.message}${quoted}${problem.hint === null ? '' : `\n    ${problem.hint}`}`;
}

/** With the problems one by one, for whoever shows them itself. */
export class PolicyError extends AgentfwError {
  constructor(readonly problems: readonly Problem[], message: string, options: ErrorOptions) {
    super('AFW_POLICY_INVALID', message, options);
  }
}

/** Policy that can't be used refuses the run: the first problem is the message, the others its causes. */
export function policyError(problems: readonly Problem[], what = 'The policy is not valid', mend: string | null = null): PolicyError {
  let cause: Error | undefined;
  for (const problem of [...problems].reverse()) {
    const { hint, text } = problem;
    const line = `${placeText(problem)}: ${problem.message}${text === null ? '' : `  (${text})`}${hint === null ? '' : `. ${hint}`}`;
    cause = cause === undefined ? new Error(line) : new Error(line, { cause });
  }
  return new PolicyError(problems, `${what}.`, { ...(cause === undefined ? {} : { cause }), hint: mend ?? `Run agentfw policy check${named(problems[0]?.file)}` });
}

/** Only where a shell takes it as it is: else the check of all that holds here finds the place, if it is one of these. */
function named(file: string | undefined): string {
  return file !== undefined && /^[\w.~/][\w./-]*\.ya?ml$/.test(file) ? ` ${file}` : '';
}

/** `FILE:LINE:COLUMN`, both from 1, or the file alone. */
export function placeText({ file, line, col }: { readonly file: string; readonly line: number; readonly col: number }): string {
  return line > 0 ? `${file}:${line}:${col}` : file;
}
