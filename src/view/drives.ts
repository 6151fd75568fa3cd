import type { Bytes } from '../bytes.js';
import { isWithin } from '../bytes.js';
import { addTmpfs, decide, decideBelow, type Draft } from './draft.js';
import type { Mount } from './mountinfo.js';

/**
 * A drive of Windows, as WSL mounts it: another system's homes, with secrets
 * that no rule for this one's home covers, and its programs.
 */
export function isForeignDrive(draft: Draft, path: Bytes): boolean {
  const mount = draft.table.at.get(path);
  return mount !== undefined && isDrive(mount) && !wantedOf(draft).some((wanted) => isWithin(wanted, path));
}

/** Empty, unless the run has to do with something on it. */
export function placeDrive(draft: Draft, path: Bytes): void {
  addTmpfs(draft, path, 0o555, { size: 4096, readOnly: true });
  decide(draft, path, 'hide', 'a drive of Windows, with nothing on it that this run is about; --share shows it');
  decideBelow(draft, path, 'skip', `below ${path}, a drive of Windows`);
}

function isDrive({ type, source, options }: Mount): boolean {
  if (type === '9p') return options.some((option) => /^aname=drvfs(?:;|$)/.test(option));
  return type === 'drvfs' || (type === 'virtiofs' && source.startsWith('drvfs'));
}

function wantedOf({ options }: Draft): readonly Bytes[] {
  const { cwd, home, trees, programs, share, passthrough, previous } = options;
  return [cwd, ...(home === null ? [] : [home]), ...trees, ...programs, ...share, ...passthrough.map(({ path }) => path), ...previous.map(({ base }) => base)];
}
