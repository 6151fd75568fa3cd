import type { Bytes } from '../bytes.js';
import { fromText, isWithin, joinBytes, nameOf, parentOf, toText } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { hostFacts, readStart } from '../kernel/facts.js';
import { holdsRepository } from '../policy/repository.js';
import type { SandboxRecord } from './sandbox.js';

/** Where the agent's program and the interpreters it names lie: as found and as resolved. */
export function programPaths(word: Bytes, cwd: Bytes, searchPath: string): readonly Bytes[] {
  const found = new Set<Bytes>();
  let next = lookUp(word, cwd, searchPath);
  for (let depth = 0; next !== null && depth < 4; depth += 1) {
    const real = hostFacts.realpath(next);
    // The script may have come from anywhere: what it names is shown only if it can be run.
    if (depth > 0 && !isProgram(real)) break;
    found.add(next);
    if (real === null) break;
    found.add(real);
    next = interpreterOf(real, cwd, searchPath);
  }
  return [...found];
}

/** The agent's program as the view lacks it: what hides it, and why. */
export function hiddenProgram({ argv, cwd, mounts }: Pick<SandboxRecord, 'argv' | 'cwd' | 'mounts'>, searchPath: string): { readonly path: Bytes; readonly why: string } | null {
  const paths = programPaths(argv[0] ?? ('' as Bytes), cwd, searchPath);
  return mounts.find(({ path, decision }) => decision === 'hide' && paths.some((one) => isWithin(one, path))) ?? null;
}

/** What the host's /proc leads to is another thing in the sandbox's own, or nothing. */
export function refuseProc(word: Bytes, cwd: Bytes): void {
  if (!word.includes('/')) return;
  const path = absolute(word, cwd);
  const named = ['/proc', '/dev/fd'].find((dir) => isWithin(path, dir as Bytes));
  if (named === undefined) return;
  const real = hostFacts.realpath(path);
  // By then `self` is this program.
  const mend = real === null || isWithin(real, '/proc' as Bytes) || /^\/(proc|dev)\/(self|thread-self|fd)\//.test(path) ? 'Name the program itself' : `Name the program itself: ${toText(real)}`;
  throw new AgentfwError('AFW_NOT_FOUND', `Can't execute ${toText(path)}: the sandbox has a ${named} of its own.`, { status: 127, hint: mend });
}

/** As execvp does: a word with a slash is a path, any other is looked for along PATH. */
function lookUp(word: Bytes, cwd: Bytes, searchPath: string): Bytes | null {
  if (word.includes('/')) return absolute(word, cwd);
  for (const dir of searchPath.split(':')) {
    const path = joinBytes(absolute(fromText(dir), cwd), word);
    if (isProgram(hostFacts.realpath(path))) return path;
  }
  return null;
}

function isProgram(real: Bytes | null): boolean {
  return real !== null && hostFacts.lstat(real)?.type === 'file' && hostFacts.searchable(real);
}

/** Normalized as text; the symlinks on the way stay. */
export function absolute(path: Bytes, cwd: Bytes): Bytes {
  const parts: string[] = [];
  for (const part of (path.startsWith('/') ? path : `${cwd}/${path}`).split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}` as Bytes;
}

/** The program in a `#!` line; for `env NAME` that NAME. */
function interpreterOf(script: Bytes, cwd: Bytes, searchPath: string): Bytes | null {
  const start = readStart(script, 256);
  if (start === null || !start.startsWith('#!')) return null;
  const words = start.slice(2).split('\n')[0]!.trim().split(/[ \t]+/) as Bytes[];
  const [program, ...args] = words;
  if (program === undefined || program === '') return null;
  const named = nameOf(program) === 'env' ? args.find((word) => !word.startsWith('-') && !word.includes('=')) : undefined;
  return named === undefined ? absolute(program, cwd) : lookUp(named, cwd, searchPath);
}

/** The directory of the project around `cwd`: the nearest ancestor with a repository, else `cwd` itself. */
export function projectOf(cwd: Bytes, stopAt: readonly Bytes[]): Bytes {
  for (let here = cwd; here !== '/' && !stopAt.includes(here); here = parentOf(here)) {
    if (holdsRepository(here, cwd)) return here;
  }
  return cwd;
}

/**
 * The git directory that a worktree or a submodule shares with others, outside the
 * project. The pointer may have come with the project from anywhere: what it names is
 * opened only if it is a git directory.
 */
export function sharedGitDirs(project: Bytes): readonly Bytes[] {
  const pointer = /^gitdir: (.+)\n?$/.exec(readStart(joinBytes(project, '.git' as Bytes), 4096) ?? '')?.[1];
  if (pointer === undefined) return [];
  const gitDir = absolute(pointer as Bytes, project);
  const common = readStart(joinBytes(gitDir, 'commondir' as Bytes), 4096)?.trimEnd();
  const dirs = common === undefined ? [gitDir] : [gitDir, absolute(common as Bytes, gitDir)];
  return dirs.flatMap((dir) => hostFacts.realpath(dir) ?? []).filter(isGitDir);
}

function isGitDir(dir: Bytes): boolean {
  const typeOf = (name: string): string | null => hostFacts.lstat(joinBytes(dir, name as Bytes))?.type ?? null;
  if (!['file', 'symlink'].includes(typeOf('HEAD') ?? '')) return false;
  return typeOf('commondir') === 'file' || (typeOf('objects') === 'dir' && typeOf('refs') === 'dir');
}
