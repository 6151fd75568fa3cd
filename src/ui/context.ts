import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import { native } from '../kernel/native.js';

/** The context of this process. */
export function processContext(): Context {
  return {
    kernel: native,
    env: process.env,
    cwd: workingDirectory(native),
    uid: process.getuid?.() ?? -1,
    now: () => new Date(),
    random,
    bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
  };
}

/** From the kernel's own generator; Node's takes 4 ms to load. */
function random(bytes: number): Buffer {
  const found = Buffer.alloc(bytes);
  const fd = openSync('/dev/urandom', 'r');
  try {
    for (let done = 0; done < bytes; ) done += readSync(fd, found, done, bytes - done, null);
  } finally {
    closeSync(fd);
  }
  return found;
}

/** As the kernel knows it: `process.cwd()` decodes it as UTF-8. */
function workingDirectory(kernel: Kernel): Bytes {
  const cwd = currentDirectory(kernel);
  // A removed directory is shown by its old name and this mark.
  if (!cwd.endsWith(' (deleted)') || kernel.statOrNull(AT_FDCWD, cwd) !== null) return cwd;
  throw new AgentfwError('AFW_CWD', 'The current directory does not exist any more.', { hint: 'cd to one that does' });
}

function currentDirectory(kernel: Kernel): Bytes {
  try {
    return kernel.readlink(AT_FDCWD, '/proc/self/cwd' as Bytes);
  } catch (cause) {
    if (errnoOf(cause) !== 'ENAMETOOLONG') throw cause;
    throw new AgentfwError('AFW_CWD', 'The name of the current directory is too long: the kernel tells none of more than 4,095 bytes.', { hint: 'cd to one above it' });
  }
}
