import type { CaptureName, HostGrants, Layer, LimitName, RuleList, SettingKey, ThresholdName } from './document.js';
import type { HostPattern } from './host.js';
import type { PathPattern } from './pattern.js';

/** Where a rule was written. `line` 0: not in a file (`--hide`, the profile's own). */
export interface Origin {
  readonly layer: Layer;
  readonly file: string;
  readonly line: number;
  readonly col: number;
}

/** What a rule is about, expanded for this home, project and machine. */
export interface Subjects {
  readonly paths: readonly PathPattern[];
  readonly hosts: readonly HostPattern[];
  /** variables and sockets */
  readonly names: readonly string[];
}

/** A rule with its patterns ready to match. `ports` null: the list's usual ones. */
export interface CompiledRule {
  readonly list: RuleList;
  readonly id: string;
  readonly origin: Origin;
  readonly note: string | null;
  readonly subjects: Subjects;
  readonly except: Subjects;
  readonly ports: readonly number[] | 'any' | null;
  readonly private: boolean;
  readonly silent: boolean;
  readonly keys: readonly string[];
  readonly grants?: HostGrants;
  /** of a project file that is not trusted: may make a verdict stricter, never looser */
  readonly tightens: boolean;
}

/** A plain setting in force; sizes in bytes, times in seconds. */
export interface Setting {
  readonly key: SettingKey;
  readonly value: string | number;
  readonly origin: Origin;
}

/** What a layer tried and was not allowed to loosen. */
export interface Loosening {
  readonly origin: Origin;
  /** for people: `network.allow evil.example` */
  readonly what: string;
  readonly why: string;
  readonly hint: string | null;
}

/** A variable that the policy sets. */
export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly origin: Origin;
}

/** One file (or the command line) that the policy was made of. */
export interface SourceFile {
  readonly layer: Layer;
  readonly file: string;
  readonly digest: string;
  /** false: a project file that may only tighten */
  readonly trusted: boolean;
}

/** The profile of a run, and how it came to be that one. */
export interface ChosenProfile {
  readonly name: string;
  readonly version: string | null;
  /** for people: `matched @openai/codex`, `--profile` */
  readonly why: string;
  /** not proven with the real agent yet */
  readonly unverified: boolean;
}

/** `policy.json`: everything that decides, as plain data. The digest covers all of it. */
export interface CompiledPolicy {
  readonly version: 1;
  readonly digest: string;
  readonly profile: ChosenProfile;
  readonly home: string;
  /** more home directories of the same user; absent in policies of before they were known */
  readonly homes?: readonly string[];
  readonly project: string;
  readonly files: readonly SourceFile[];
  readonly rules: readonly CompiledRule[];
  /** the values that hold */
  readonly settings: readonly Setting[];
  /** `default`s that the managed file sets: they close their section to what stands below it */
  readonly floor: readonly Setting[];
  readonly variables: readonly Variable[];
  /** named sockets → absolute paths on this machine */
  readonly sockets: Readonly<Record<string, readonly string[]>>;
  readonly loosened: readonly Loosening[];
}

/** The value of a setting, or null when nothing limits it. */
export function settingOf(policy: CompiledPolicy, key: SettingKey): Setting | null {
  return policy.settings.find((setting) => setting.key === key) ?? null;
}

/** Null: no threshold. */
export function thresholdOf(policy: CompiledPolicy, name: ThresholdName): number | null {
  const value = settingOf(policy, `changes.thresholds.${name}`)?.value;
  return typeof value === 'number' ? value : null;
}

/** Bytes; null where the policy says nothing. */
export function captureOf(policy: CompiledPolicy, name: CaptureName): number | null {
  const value = settingOf(policy, `changes.capture.${name}`)?.value;
  return typeof value === 'number' ? value : null;
}

/** Bytes, seconds or a count; null is no limit. */
export function limitOf(policy: CompiledPolicy, name: LimitName): number | null {
  const value = settingOf(policy, `limits.${name}`)?.value;
  return typeof value === 'number' ? value : null;
}
