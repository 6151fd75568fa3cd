import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../../src/bytes.js';
import { configHomeOf, namedByGit } from '../../../src/changes/classify/git-names.js';
import { gitNames, gitNamesIn, type NamedByGit } from '../../../src/changes/classify/git-named.js';

let home: string;
let project: string;

beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'afw-named-')));
  project = join(home, 'project');
  put('project/.git/HEAD', 'ref: refs/heads/main\n');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function put(name: string, text: string): void {
  const path = join(home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function named(dirs: readonly string[] = ['project'], made: readonly string[] = []): NamedByGit {
  const absolute = (name: string): Bytes => fromText(join(home, name));
  const isNew = new Set(made.map(absolute));
  return namedByGit({
    workspace: fromText(project), home: fromText(home), configHome: configHomeOf(fromText(home), undefined), system: fromText(join(home, 'etc/gitconfig')),
    dirs: dirs.map(absolute), isNew: (dir) => isNew.has(dir),
  });
}

function reason(by: NamedByGit, name: string, type: 'file' | 'symlink' = 'file'): string | null {
  return gitNames(by, { path: fromText(join(project, name)), type });
}

test('WR07 what the host’s git is configured to run is told, whatever its name', () => {
  put('project/.git/config', [
    '[core]', 'hooksPath = tools/hooks', 'fsmonitor = ./tools/watch.sh -v', 'pager = less', '[filter "x"]', 'clean = sh tools/clean.sh %f',
    '[include]', 'path = ../.gitshared', '[alias]', 'y = "!f() { tools/y.sh; }; f"', 'z = status', '[includeIf "gitdir:~/work/"]', 'path = ../work.inc', '',
  ].join('\n'));
  put('project/.gitshared', '[diff "d"]\ntextconv = tools/text\n');
  const by = named();

  expect(reason(by, 'tools/hooks/pre-commit')).toBe('git hook: core.hookspath');
  expect(reason(by, 'Tools/HOOKS/sub/x')).toBe('git hook: core.hookspath');
  expect(reason(by, 'tools/watch.sh')).toBe('git runs it: core.fsmonitor');
  expect(reason(by, 'tools/clean.sh')).toBe('git runs it: filter.x.clean');
  expect(reason(by, 'tools/y.sh')).toBe('git runs it: alias.y');
  expect(reason(by, 'tools/text')).toBe('git runs it: diff.d.textconv');
  expect(reason(by, '.gitshared')).toBe('git configuration includes it: include.path');
  expect(reason(by, 'work.inc')).toBe('git configuration includes it: includeif.gitdir:~/work/.path');
  expect(reason(by, 'tools', 'symlink')).toBe('git hook: core.hookspath');
  expect([reason(by, 'less'), reason(by, 'tools/other.sh'), reason(by, 'status'), reason(by, 'src/a', 'symlink')]).toEqual([null, null, null, null]);
  expect(gitNamesIn(by, fromText(join(project, 'tools')))).toBe(true);
  expect(gitNamesIn(by, fromText(join(project, 'src')))).toBe(false);
});

test('WR07 the user’s own configuration and the system’s count, also where a link leads to it', () => {
  put('dotfiles/git', '[core]\nhooksPath = .hooks\n');
  symlinkSync(join(home, 'dotfiles/git'), join(home, '.gitconfig'));
  put('.config/git/config', `[core]\neditor = ${project}/ed.sh\n`);
  put('etc/gitconfig', '[core]\nsshCommand = ./ssh.sh\n');
  const by = named();

  expect(reason(by, '.hooks/pre-push')).toBe('git hook: core.hookspath');
  expect(reason(by, 'ed.sh')).toBe('git runs it: core.editor');
  expect(reason(by, 'ssh.sh')).toBe('git runs it: core.sshcommand');
});

test('WR07 each repository below has its own, and what the agent made is none of the host', () => {
  put('project/lib/.git/config', '[core]\nhooksPath = hooks\n');
  put('project/made/.git/config', '[core]\nhooksPath = hooks\n');
  const by = named(['project/lib/hooks', 'project/made'], ['project/made']);

  expect(reason(by, 'lib/hooks/pre-commit')).toBe('git hook: core.hookspath');
  expect(reason(by, 'hooks/pre-commit')).toBeNull();
  expect(reason(by, 'made/hooks/pre-commit')).toBeNull();
  expect(reason(named(['project/lib']), 'lib/hooks/pre-commit')).toBe('git hook: core.hookspath');
});

test('files that include each other, or are none, end', () => {
  put('project/.git/config', '[include]\npath = a\npath = .\npath = /dev/zero\n[broken\n');
  put('project/.git/a', '[include]\npath = config\n');
  expect(named()).toEqual({ dirs: new Map(), files: new Map() });
  put('project/.git/config', '[include]\npath = a\npath = .\npath = /dev/zero\n');
  expect([...named().files.keys()].map((path) => path.slice(project.length))).toEqual(['/.git/a', '/.git', '/.git/config']);
});
