import { readFileSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
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
    random: (bytes) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))),
    bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
  };
}

/** As the kernel knows it: `process.cwd()` decodes it as UTF-8. */
function workingDirectory(kernel: Kernel): Bytes {
  const cwd = kernel.readlink(AT_FDCWD, '/proc/self/cwd' as Bytes);
  // A removed directory is shown by its old name and this mark.
  if (!cwd.endsWith(' (deleted)') || kernel.statOrNull(AT_FDCWD, cwd) !== null) return cwd;
  throw new AgentfwError('AFW_CWD', 'The current directory does not exist any more.', { hint: 'cd to one that does' });
}
