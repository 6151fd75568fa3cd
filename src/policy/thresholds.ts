import type { JudgedChange } from '../changes/change.js';
import { weightOf } from '../changes/scan/crowd.js';
import { thresholdOf, type CompiledPolicy } from './compiled.js';
import type { ThresholdName } from './document.js';
import { sizeText } from './units.js';

/** A threshold that a commit by rule would exceed. */
export interface Exceeded {
  readonly name: ThresholdName;
  readonly limit: number;
  readonly found: number;
  /** for people: `62 deletions, more than 50` */
  readonly text: string;
}

const NAMES: Readonly<Record<ThresholdName, string>> = {
  deletions: 'deletions', files: 'changed files', bytes: 'of changes', executables: 'new executables', types: 'changes of type or special files',
};

/** Which thresholds a set of changes exceeds. */
export function exceededBy(policy: CompiledPolicy, changes: readonly JudgedChange[]): Exceeded[] {
  const counts = countsOf(changes);
  return (Object.keys(NAMES) as ThresholdName[]).flatMap((name) => {
    const limit = thresholdOf(policy, name);
    const found = counts[name];
    if (limit === null || found <= limit) return [];
    const show = (value: number): string => (name === 'bytes' ? sizeText(value) : String(value));
    return [{ name, limit, found, text: `${show(found)} ${NAMES[name]}, more than ${show(limit)}` }];
  });
}

/** Every change counts, also the ones that an opaque directory implies. */
export function countsOf(changes: readonly JudgedChange[]): Record<ThresholdName, number> {
  const counts: Record<ThresholdName, number> = { deletions: 0, files: 0, bytes: 0, executables: 0, types: 0 };
  for (const change of changes) {
    const count = weightOf(change);
    if (change.kind === 'delete') counts.deletions += count;
    if (change.type !== 'dir') counts.files += count;
    if (change.type === 'file' && change.content && change.upper !== null) counts.bytes += change.upper.size + (change.crowd?.bytes ?? 0);
    if (becomesExecutable(change)) counts.executables += 1;
    if (change.kind === 'type' || !['file', 'dir', 'symlink'].includes(change.type)) counts.types += 1;
  }
  return counts;
}

function becomesExecutable({ type, upper, base }: JudgedChange): boolean {
  const bits = 0o111;
  return type === 'file' && upper !== null && (upper.mode & bits) !== 0 && (base === null || (base.mode & bits) === 0);
}
