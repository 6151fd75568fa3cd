import { fromText, isWithin, joinBytes, parentOf, type Bytes } from '../../bytes.js';
import { hostFacts, readStart } from '../../kernel/facts.js';
import { absolute, sharedGitDirs } from '../../sandbox/program.js';
import { folded, type Folded, type NamedByGit } from './git-named.js';
import { isExecuting, parseGitConfig } from './gitconfig.js';

/** Where to look. */
export interface GitUse {
  readonly workspace: Bytes;
  readonly home: Bytes;
  /** where git has the user's configuration beside `~/.gitconfig` */
  readonly configHome: Bytes;
  /** the system's configuration, `/etc/gitconfig` */
  readonly system: Bytes;
  /** directories in which something changed, and those that are new to the host */
  readonly dirs: Iterable<Bytes>;
  readonly isNew: (dir: Bytes) => boolean;
}

/** git's own are some hundred bytes; of a longer one the rest is left out. */
const MOST_TEXT = 256 * 1024;
const MOST_INCLUDES = 64;

/**
 * What the host's git configuration names in each repository, with the reason; includes are
 * followed. What can't be read or is no configuration names nothing.
 */
export function namedByGit(use: GitUse): NamedByGit {
  const named = { dirs: new Map<Folded, string>(), files: new Map<Folded, string>() };
  for (const repository of repositoriesOf(use)) {
    const own = [joinBytes(repository, '.git' as Bytes), ...sharedGitDirs(repository)];
    const places = [
      ...own.flatMap((dir) => [joinBytes(dir, 'config' as Bytes), joinBytes(dir, 'config.worktree' as Bytes)]),
      joinBytes(use.home, '.gitconfig' as Bytes), joinBytes(use.configHome, 'git/config' as Bytes), use.system,
    ];
    readAll(places, { ...use, repository, named });
  }
  return named;
}

/** The repositories of the host that the changed directories lie in, as far as the workspace reaches. */
function repositoriesOf({ workspace, dirs, isNew }: GitUse): ReadonlySet<Bytes> {
  const found = new Set<Bytes>();
  const seen = new Set<Bytes>();
  for (const dir of dirs) {
    for (let at = dir; isWithin(at, workspace) && !seen.has(at); at = parentOf(at)) {
      seen.add(at);
      if (!isNew(at) && hostFacts.lstat(joinBytes(at, '.git' as Bytes)) !== null) found.add(at);
      if (at === '/') break;
    }
  }
  return found;
}

interface Reading extends GitUse {
  readonly repository: Bytes;
  readonly named: { readonly dirs: Map<Folded, string>; readonly files: Map<Folded, string> };
}

/** Files that others include come after them; whatever condition an include has, it may hold. */
function readAll(places: readonly Bytes[], reading: Reading): void {
  const queue = [...places];
  const seen = new Set<Bytes>();
  for (let place = queue.shift(); place !== undefined && seen.size < places.length + MOST_INCLUDES; place = queue.shift()) {
    if (seen.has(place)) continue;
    seen.add(place);
    const real = hostFacts.realpath(place);
    const text = real === null ? null : readStart(real, MOST_TEXT);
    const parsed = text === null ? null : parseGitConfig(text);
    if (parsed?.kind !== 'ok') continue;
    for (const { key, value } of parsed.entries) {
      if (value === null) continue;
      const included = /^include(if\..*)?\.path$/s.test(key) ? expanded(value, parentOf(place), reading) : null;
      if (included !== null) queue.push(included);
      if (included !== null) note(reading.named.files, included, `git configuration includes it: ${key}`, reading);
      else if (key === 'core.hookspath') note(reading.named.dirs, expanded(value, reading.repository, reading), 'git hook: core.hookspath', reading);
      else if (isExecuting({ key, value })) noteCommand(value, `git runs it: ${key}`, reading);
    }
  }
}

/** `text` has one char per byte, as the paths have. */
function expanded(text: string, from: Bytes, { home }: GitUse): Bytes {
  return absolute((text.startsWith('~/') ? `${home}/${text.slice(2)}` : text) as Bytes, from);
}

function note(into: Map<Folded, string>, path: Bytes, reason: string, { workspace }: GitUse): void {
  const key = folded(path);
  if (isWithin(path, workspace) && !into.has(key)) into.set(key, reason);
}

/** Words of a command that may be paths. The first one is one only with a slash in it, else it is looked for along PATH. */
function noteCommand(value: string, reason: string, reading: Reading): void {
  const words = value.replace(/^\s*!/, '').split(/[\s"';&|()<>`=]+/).filter((word) => word !== '');
  for (const [at, word] of words.entries()) {
    if (word.startsWith('-') || (at === 0 && !word.includes('/'))) continue;
    note(reading.named.files, expanded(word, reading.repository, reading), reason, reading);
  }
}

/** `XDG_CONFIG_HOME`, as git takes it. */
export function configHomeOf(home: Bytes, xdg: string | undefined): Bytes {
  return xdg?.startsWith('/') === true ? fromText(xdg) : joinBytes(home, '.config' as Bytes);
}
