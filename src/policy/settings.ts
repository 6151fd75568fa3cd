import type { Loosening, Origin, Setting } from './compiled.js';
import type { SettingKey } from './document.js';
import { shellWord } from '../shell-word.js';

/** A setting as one source gives it, with the source's place in the order. */
export interface GivenSetting extends Setting {
  readonly rank: number;
  readonly trusted: boolean;
}

/** Words from loose to strict; numbers are stricter the smaller. */
const STRICTNESS: Partial<Record<SettingKey, readonly string[]>> = {
  'network.default': ['allow', 'ask', 'deny'],
  'changes.default': ['commit', 'escalate', 'discard'],
  'environment.secrets': ['keep', 'drop'],
  nested: ['allow', 'deny'],
  'audit.full': ['drop', 'stop'],
  'audit.exec': ['off', 'on'],
};

/** What holds where nothing is set: an untrusted file must not loosen that either. */
const UNSET: Partial<Record<SettingKey, string | number>> = {
  'network.default': 'ask', 'changes.default': 'escalate', 'environment.secrets': 'drop', nested: 'allow', 'ask.timeout': 60, 'audit.full': 'stop', 'audit.exec': 'off',
};

/** Neither stricter nor looser than another: the managed one holds, and an untrusted file has no say. */
const UNORDERED: ReadonlySet<SettingKey> = new Set<SettingKey>(['ask.approver', 'network.dns', 'network.upstream', 'changes.capture.file', 'changes.capture.total']);

/** True when `a` withholds more than `b`. */
export function isStricter(key: SettingKey, a: string | number, b: string | number): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  const order = STRICTNESS[key] ?? [];
  return order.indexOf(String(a)) > order.indexOf(String(b));
}

/**
 * One value per key. Later layers override earlier ones, two sources of one
 * layer give the stricter; then the managed value and untrusted project files
 * are applied, which only tighten.
 */
export function mergeSettings(given: readonly GivenSetting[]): { settings: Setting[]; floor: Setting[]; loosened: Loosening[] } {
  const loosened: Loosening[] = [];
  const settings: Setting[] = [];
  const floor: Setting[] = [];
  for (const key of [...new Set(given.map((setting) => setting.key))].sort()) {
    const own = given.filter((setting) => setting.key === key);
    const managed = strictest(own.filter(isManaged));
    let value = (UNORDERED.has(key) ? managed : null) ?? highest(own.filter((setting) => setting.trusted));
    for (const clamp of UNORDERED.has(key) ? [] : [managed, ...own.filter((setting) => !setting.trusted)]) {
      const now = value?.value ?? UNSET[key];
      if (clamp !== null && (now === undefined || isStricter(key, clamp.value, now))) value = clamp;
    }
    if (value !== null) settings.push(plain(value));
    if (managed !== null && key.endsWith('.default')) floor.push(plain(managed));
    loosened.push(...own.flatMap((setting) => refusedOf(setting, value, managed)));
  }
  return { settings, floor, loosened };
}

function isManaged(setting: GivenSetting): boolean {
  return setting.origin.layer === 'managed';
}

function highest(settings: readonly GivenSetting[]): GivenSetting | null {
  // Math.max of nothing is -Infinity, which no rank is.
  const top = Math.max(...settings.map((setting) => setting.rank));
  return strictest(settings.filter((setting) => setting.rank === top));
}

/** Ties go to the source whose place sorts first, so that the order of files never shows. */
function strictest(settings: readonly GivenSetting[]): GivenSetting | null {
  let found: GivenSetting | null = null;
  for (const setting of [...settings].sort((a, b) => placeKey(a.origin).localeCompare(placeKey(b.origin)))) {
    if (found === null || isStricter(setting.key, setting.value, found.value)) found = setting;
  }
  return found;
}

function refusedOf(setting: GivenSetting, value: GivenSetting | null, managed: GivenSetting | null): Loosening[] {
  if (setting === value) return [];
  const what = `${setting.key}: ${setting.value}`;
  const holds = value?.value ?? UNSET[setting.key];
  const unordered = UNORDERED.has(setting.key);
  if (!setting.trusted && (unordered || (holds !== undefined && isStricter(setting.key, holds, setting.value)))) {
    return [{ origin: setting.origin, what, why: 'a project file may only tighten until it is trusted', hint: `Run agentfw policy trust ${shellWord(setting.origin.file)}` }];
  }
  const below = managed !== null && setting.rank > managed.rank && (unordered || isStricter(setting.key, managed.value, setting.value));
  return below ? [{ origin: setting.origin, what, why: `the managed policy sets ${setting.key} to ${managed.value}`, hint: null }] : [];
}

function plain({ key, value, origin }: GivenSetting): Setting {
  return { key, value, origin };
}

/** Sorts as the places do. */
export function placeKey({ layer, file, line, col }: Origin): string {
  return `${layer}\n${file}\n${String(line).padStart(7, '0')}\n${String(col).padStart(5, '0')}`;
}
