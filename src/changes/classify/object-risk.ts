import { isWithin, normalised, parentOf, type Bytes } from '../../bytes.js';
import type { FirstLook } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import type { ContentReader } from '../content.js';

const EXECUTE = 0o111;
const SET_ID = 0o6000;
const READ_OTHERS = 0o004;
const WRITE_OTHERS = 0o002;
/** Enough for every magic number, and for git's own test for binary content. */
const HEAD = 8000;

const PROGRAMS: readonly { readonly name: NonNullable<FirstLook['program']>; readonly magic: Buffer }[] = [
  { name: 'ELF', magic: Buffer.from('7f454c46', 'hex') },
  ...['feedface', 'feedfacf', 'cefaedfe', 'cffaedfe', 'cafebabe'].map((magic) => ({ name: 'Mach-O' as const, magic: Buffer.from(magic, 'hex') })),
  { name: 'PE', magic: Buffer.from('MZ') },
];

/** Why the object itself, whatever its name, may run something later; null when it doesn't. Pure but for `contents`. */
export function objectRisk(change: Change, workspace: Bytes, contents: Pick<ContentReader, 'head'> | null): string | null {
  if (change.type === 'symlink') return leavesTree(change, workspace) ? 'symlink leaving the tree' : null;
  const opened = openedReason(change);
  const gained = privilegeReason(change);
  if (opened !== null && gained === null) return opened;
  // A directory's set-id bits only say which group its files get.
  if (change.type !== 'file' || change.upper === null) return null;
  if (gained !== null) return gained;
  const became = becameExecutable(change);
  if (!change.content && change.kind !== 'rename') return became ? 'became executable' : null;
  const filled = change.content && change.upper.size > 0;
  const look = filled ? (change.look ?? lookOf(change, contents)) : null;
  const program = look?.program ?? null;
  if (program !== null) return `${program} program`;
  if (became) return look?.script === true ? 'executable script' : 'executable file';
  return look?.replacesText === true && replaces(change) ? 'binary replaces text' : null;
}

/** Who runs it would get more rights than they have. */
function privilegeReason({ upper, base, oldType, capable, meta }: Change): string | null {
  const gained = (upper?.mode ?? 0) & ~(base?.mode ?? 0) & SET_ID;
  if (gained !== 0) return 'setuid or setgid';
  const isOther = base === null || oldType !== null || meta.includes('xattr');
  return capable === true && isOther ? 'file capabilities' : null;
}

/** What the host has and kept to fewer people. New objects are as the agent's umask makes them. */
function openedReason({ upper, base, oldType, type, meta }: Change): string | null {
  if (upper === null || base === null || oldType !== null || (type !== 'file' && type !== 'dir')) return null;
  const gained = upper.mode & ~base.mode;
  if ((gained & WRITE_OTHERS) !== 0) return 'others may write it';
  if ((gained & READ_OTHERS) !== 0) return 'others may read it';
  return meta.includes('acl') ? 'access list' : null;
}

function becameExecutable({ upper, base, oldType }: Change): boolean {
  const before = base === null || oldType !== null ? 0 : base.mode;
  return ((upper?.mode ?? 0) & EXECUTE) !== 0 && (before & EXECUTE) === 0;
}

/** What the walk sees too; for changes that came from elsewhere. */
function lookOf(change: Change, contents: Pick<ContentReader, 'head'> | null): FirstLook | null {
  const head = contents?.head(change, 'upper', HEAD) ?? null;
  if (head === null) return null;
  const program = PROGRAMS.find(({ magic }) => head.subarray(0, magic.length).equals(magic))?.name ?? null;
  const binary = head.includes(0);
  const before = binary && replaces(change) ? (contents?.head(change, 'base', HEAD) ?? null) : null;
  return { program, script: head.subarray(0, 2).toString('latin1') === '#!', binary, replacesText: before !== null && !before.includes(0) };
}

function replaces({ base, oldType }: Change): boolean {
  return base !== null && oldType === null && base.size > 0;
}

/** By names alone: what the target is today says nothing of what it is when somebody follows it. */
function leavesTree({ path, target }: Change, workspace: Bytes): boolean {
  if (target === null) return false;
  if (target.startsWith('/')) return !isWithin(normalised(target), workspace);
  return !isWithin(normalised(`${parentOf(path)}/${target}`), workspace);
}
