import { readSync } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Fd, Kernel } from '../../kernel/kernel.js';
import { indexMeaning } from './index-meaning.js';

/** Read whole: longer ones are compared byte by byte. */
const LONGEST = 64 << 20;

/** `git status` writes it anew, in a shell's prompt every few seconds. Also those of worktrees and submodules. */
export function mayBeIndex(path: Bytes): boolean {
  return path === 'index' || path.endsWith('/index');
}

/** What the git index says that is open here; null when it is none. */
export function meaningOfIndex(kernel: Kernel, fd: Fd): string | null {
  const { size } = kernel.stat(fd, '' as Bytes);
  if (size > LONGEST) return null;
  const index = Buffer.alloc(size);
  let at = 0;
  while (at < size) {
    const length = readSync(fd, index, at, size - at, at);
    if (length === 0) return null;
    at += length;
  }
  return indexMeaning(index);
}

/** Git indexes that differ at most in what every `git status` renews. */
export function saySame(kernel: Kernel, a: Fd, b: Fd): boolean {
  const meaning = meaningOfIndex(kernel, a);
  return meaning !== null && meaning === meaningOfIndex(kernel, b);
}
