import { constants } from 'node:fs';
import { isWithin, toText, type Bytes } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { piecesOf } from '../kernel/files.js';
import { AT_FDCWD, RESOLVE } from '../kernel/kernel.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import type { FileType } from './change.js';
import { openContents } from './content.js';
import { fileTypeOf } from './scan/filetype.js';
import { changesOf } from './gather.js';

/** The sandbox's version of a file, piece by piece; of a symlink, its target. */
export function* contentOf(store: Store, record: SandboxRecord, path: Bytes): Generator<Buffer> {
  const hidden = hiddenBy(record, path);
  if (hidden !== null) throw noFile(path, `is hidden from the sandbox: ${hidden}`);
  const change = changesOf(store, record).find((candidate) => candidate.path === path);
  if (change === undefined) return yield* hostContent(store, path);
  if (change.kind === 'delete') throw noFile(path, `was deleted by the agent`);
  if (change.type !== 'file' && change.type !== 'symlink') throw noFile(path, `is a ${WORDS[change.type]}`);
  const contents = openContents(store.kernel, record.layers);
  try {
    let found = false;
    for (const piece of contents.chunks(change, 'upper')) {
      found = true;
      yield piece;
    }
    if (!found && (change.upper?.size ?? 0) > 0) throw noFile(path, 'can’t be read');
  } finally {
    contents.close();
  }
}

/** What the sandbox left as it is. Not opened through symlinks: the sandbox may see other targets than we do. */
function* hostContent({ kernel }: Store, path: Bytes): Generator<Buffer> {
  const stat = kernel.statOrNull(AT_FDCWD, path);
  if (stat === null) throw noFile(path, 'does not exist');
  const type = fileTypeOf(stat);
  if (type === 'symlink') return yield Buffer.from(kernel.readlink(AT_FDCWD, path), 'latin1');
  if (type !== 'file') throw noFile(path, `is a ${WORDS[type]}`);
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const fd = named(path, () => kernel.open(AT_FDCWD, path, flags, 0, RESOLVE.noSymlinks | RESOLVE.noMagiclinks));
  try {
    yield* piecesOf(fd);
  } finally {
    kernel.close(fd);
  }
}

function named<T>(path: Bytes, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (errnoOf(error) !== 'ELOOP') throw error;
    throw new AgentfwError('AFW_NO_FILE', `${toText(path)} lies behind a symlink, which may lead elsewhere in the sandbox.`, { hint: 'Name the place that it leads to, or cd there' });
  }
}

const WORDS: Readonly<Record<FileType, string>> = {
  file: 'file', dir: 'directory', symlink: 'symlink', fifo: 'fifo', socket: 'socket', char: 'character device', block: 'block device',
};

/** Why the agent can't have seen the path; a stand-in is not the host's file either. */
function hiddenBy({ mounts }: SandboxRecord, path: Bytes): string | null {
  return mounts.find((one) => (one.decision === 'hide' || one.decision === 'stand-in') && isWithin(path, one.path))?.why ?? null;
}

function noFile(path: Bytes, why: string): AgentfwError {
  return new AgentfwError('AFW_NO_FILE', `${toText(path)} ${why}.`, { hint: 'What the agent changed: agentfw diff --name-only' });
}
