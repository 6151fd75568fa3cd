import { constants, openSync } from 'node:fs';
import { nameOf, parentOf, toBuffer, toText, type Bytes } from '../bytes.js';
import { AgentfwError, errnoOf, isShortage } from '../errors.js';
import { writeAll } from './files.js';
import { AT_FDCWD, RENAME, type Fd, type Kernel } from './kernel.js';

/** A file being written: it appears whole at `done`, or not at all. */
export interface Output {
  readonly write: (piece: Uint8Array) => void;
  readonly done: () => void;
  readonly drop: () => void;
}

/** A regular file, new or replaced; a device, pipe or symlink is written as it stands. */
export function openOutput(kernel: Kernel, path: Bytes): Output {
  const named = <T>(act: () => T): T => {
    try {
      return act();
    } catch (cause) {
      if (isShortage(cause)) throw cause;
      // By name: a full disk is this one's, not that of the sandboxes.
      throw new AgentfwError('AFW_OUTPUT', `Can't write ${toText(path)}.`, { cause, hint: 'Name a file in a directory where you can write, or - for stdout' });
    }
  };
  const output = named(() => opened(kernel, path));
  return { write: (piece) => named(() => output.write(piece)), done: () => named(output.done), drop: output.drop };
}

function opened(kernel: Kernel, path: Bytes): Output {
  const stat = kernel.statOrNull(AT_FDCWD, path);
  if (stat !== null && (stat.mode & constants.S_IFMT) !== constants.S_IFREG) return direct(kernel, path);
  const dir = kernel.open(AT_FDCWD, parentOf(path), constants.O_RDONLY | constants.O_DIRECTORY);
  const temporary = `.${nameOf(path).slice(0, 200)}.${process.pid}.new` as Bytes;
  const mode = stat === null ? 0o666 : stat.mode & 0o777;
  const nameless = openNameless(kernel, dir, mode);
  const fd = nameless ?? kernel.open(dir, temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);
  const close = (): void => {
    kernel.close(fd);
    kernel.close(dir);
  };
  return {
    write: (piece) => writeAll(fd, piece),
    done: () => {
      if (nameless !== null) kernel.link(nameless, '' as Bytes, dir, temporary);
      kernel.rename(dir, temporary, dir, nameOf(path), RENAME.replace);
      close();
    },
    drop: () => {
      if (kernel.statOrNull(dir, temporary) !== null) kernel.unlink(dir, temporary);
      close();
    },
  };
}

/** Node has no name for it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** Of a filesystem, or a kernel, that knows no files without a name. */
const NO_NAMELESS: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EISDIR', 'EINVAL', 'ENOSYS']);

/** A file that has no name until it is whole: what ends us before, Ctrl-C or SIGKILL, leaves nothing. Null where there is none such. */
function openNameless(kernel: Kernel, dir: Fd, mode: number): Fd | null {
  try {
    return kernel.open(dir, '.' as Bytes, constants.O_WRONLY | O_TMPFILE, mode);
  } catch (error) {
    if (!NO_NAMELESS.has(errnoOf(error) ?? '')) throw error;
    return null;
  }
}

function direct(kernel: Kernel, path: Bytes): Output {
  // The user named it: following a symlink is what was asked for.
  const fd = openSync(toBuffer(path), 'w');
  const close = (): void => kernel.close(fd);
  return { write: (piece) => writeAll(fd, piece), done: close, drop: close };
}
