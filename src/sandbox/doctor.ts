import { flagField, objectLines, textField } from '../fields.js';
import { EXPLAINED, type Explanation } from './doctor-words.js';

/** One line of `agentfw-driver --probe`. */
export interface Probe {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Where we are, for the right mend. */
export interface Surroundings {
  /** `ID` and `ID_LIKE` of os-release */
  readonly distribution: string;
  readonly container: 'docker' | 'kubernetes' | 'podman' | null;
  readonly wsl: boolean;
  readonly mode: 'user' | 'root';
  /** absolute path of the driver */
  readonly driver: string;
}

/** A probe with what it means. `level`: `run` refuses without a needed one and is weaker without a wanted one. */
export interface Finding extends Probe {
  readonly level: 'needed' | 'wanted' | 'information';
  readonly meaning: string;
  /** what to do here; null when nothing is wrong */
  readonly mend: string | null;
}

/** Of the driver's `--probe`, one JSON object a line. Throws `FieldError` or `SyntaxError`. */
export function parseProbes(text: string): Probe[] {
  return objectLines(text, 'the probe').map((fields) => ({
    name: textField(fields['name'], 'name'),
    ok: flagField(fields['ok'], 'ok'),
    detail: textField(fields['detail'], 'detail'),
  }));
}

/** Pure: each probe with its meaning and, where it failed, the mend for these surroundings. */
export function diagnose(probes: readonly Probe[], where: Surroundings): Finding[] {
  const blocked = (name: string): boolean => probes.some((probe) => probe.name === name && !probe.ok);
  const base = probes.find(({ name, ok }) => name === BASE && !ok);
  return probes.map((probe) => {
    const words = EXPLAINED[probe.name] ?? UNKNOWN;
    const level = levelIn(words, where);
    const follows = base !== undefined && probe.name !== BASE && probe.detail !== '' && probe.detail === base.detail;
    const others = `Nothing to fix: only ${words.only === 'root' ? 'root needs it' : 'a plain user needs it'}`;
    const mend = isOthers(words, where) ? others : follows ? `Fix ${BASE} first` : mendFor(words, where, blocked, probe);
    return { ...probe, level, meaning: words.meaning, mend: probe.ok ? null : mend };
  });
}

/** Most of the others are tried in one. */
const BASE = 'userns';

const UNKNOWN: Explanation = { level: 'information', meaning: 'a check of the driver that this version has no words for' };

/** Root mode mounts as root: what only user mode needs is then no more than good to have. */
function levelIn(words: Explanation, where: Surroundings): Finding['level'] {
  return isOthers(words, where) ? 'information' : words.level;
}

function isOthers({ only }: Explanation, { mode }: Surroundings): boolean {
  return only !== undefined && only !== mode;
}

/** The most specific advice first: what blocks it, then the container, then the distribution. */
function mendFor({ mends = {} }: Explanation, where: Surroundings, blocked: (name: string) => boolean, { detail }: Probe): string {
  const apparmor = blocked('kernel/apparmor_restrict_unprivileged_userns');
  if (blocked('user/max_user_namespaces') && mends.limit !== undefined) return mends.limit;
  if (detail.includes('CAP_SETFCAP') && mends.setfcap !== undefined) return mends.setfcap;
  if (apparmor && mends.apparmor !== undefined) return mends.apparmor.replaceAll('$DRIVER', where.driver);
  if (where.container !== null && mends[where.container] !== undefined) return mends[where.container] ?? '';
  if (where.wsl && mends.wsl !== undefined) return mends.wsl;
  for (const family of ['debian', 'fedora'] as const) {
    if (where.distribution.split(/\s+/).includes(family) && mends[family] !== undefined) return mends[family] ?? '';
  }
  return mends.other ?? 'No fix is known: please report it';
}

/** True when a sandbox can be started here. */
export function canRun(findings: readonly Finding[]): boolean {
  return findings.every(({ ok, level }) => ok || level !== 'needed');
}
