import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { bareRepositories } from '../../src/changes/classify/bare-repository.js';
import type { Change, JudgedChange } from '../../src/changes/change.js';
import { classify, type ClassifyInput, withClass, withStrictestClass } from '../../src/changes/classify.js';
import { foldPath } from '../../src/changes/classify/fold.js';
import { orderChanges } from '../../src/changes/scan/order.js';
import type { Stat } from '../../src/kernel/kernel.js';
import { secondsOf } from '../helpers/effort.js';

const workspace = fromText('/home/u/proj');
const home = fromText('/home/u');

function statOf(mode: number, size = 1): Stat {
  return {
    dev: 1n, ino: 1n, mode, nlink: 1, uid: 1000, gid: 1000, rdev: 0n, size, blocks: 8,
    atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n, btimeNs: 0n,
  };
}

const FILE = constants.S_IFREG | 0o644;

function change(path: string, overrides: Partial<Change> = {}): Change {
  const absolute = path.startsWith('/') ? path : `${workspace}/${path}`;
  return {
    path: absolute.includes('\xff') ? (absolute as Bytes) : fromText(absolute), kind: 'add', from: null, type: 'file', oldType: null, upper: statOf(FILE), base: null,
    at: { layer: 0, path: fromText(path) }, opaque: false, implied: false, target: null, meta: [], content: true, ...overrides,
  };
}

function contentOf(upper: string | Buffer, base: string | Buffer = ''): ClassifyInput['contents'] {
  const pick = (side: 'upper' | 'base'): Buffer => Buffer.from(side === 'upper' ? upper : base);
  return { read: (_, side) => pick(side), head: (_, side, length) => pick(side).subarray(0, length) };
}

function judged(one: Change, contents: ClassifyInput['contents'] = contentOf('text'), more: Partial<ClassifyInput> = {}): string {
  const { class: found, reason } = classify(one, { workspace, home, contents, ...more });
  return reason === null ? found : `${found}: ${reason}`;
}

const modified = { kind: 'modify', base: statOf(FILE) } as const;

describe('control', () => {
  test.each([
    ['.git/hooks/pre-commit', 'git hook'], ['sub/.git/hooks/x', 'git hook'], ['.git/modules/m/hooks/x', 'git hook'],
    ['.git', '.git as a file'], ['vendor/.git', '.git as a file'], ['.git/worktrees/w/modules/m/hooks/x', 'git hook'],
    ['GIT~1/hooks/pre-commit', 'git hook'], ['.git /hooks/x', 'git hook'], ['.git. ./hooks/x', 'git hook'], ['.Git::$INDEX_ALLOCATION/hooks/x', 'git hook'],
    ['sub/git~1', '.git as a file'], ['.g\u200cit./hooks/x', 'git hook'],
    ['.git/objects/info/alternates', 'git objects from elsewhere'],
    ['.git/refs/replace/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 'git objects replaced'], ['.git/modules/m/info/grafts', 'git objects replaced'],
    ['.git/worktrees/feat/commondir', 'git directory elsewhere'],
    ['.GIT/modules/a/b/commondir', 'git directory elsewhere'],
    ['.hg/hgrc', 'version control configuration'], ['sub/.hg/sharedpath', 'version control configuration'], ['.sl/sharedpath', 'version control configuration'],
    ['.jj/repo/config.toml', 'version control configuration'], ['.jj/repo', 'version control configuration'], ['_darcs/prefs/defaults', 'version control configuration'],
    ['.claude/settings.json', 'agent configuration'], ['.claude/settings.local.json', 'agent configuration'], ['.claude/hooks/a/b', 'agent configuration'],
    ['.mcp.json', 'agent configuration'], ['.codex/config.toml', 'agent configuration'], ['.cursor/mcp.json', 'agent configuration'],
    ['.gemini/policies/x.toml', 'agent configuration'], ['opencode.jsonc', 'agent configuration'], ['deep/down/.kiro/x', 'agent configuration'],
    ['.vscode/tasks.json', 'editor configuration'], ['x.code-workspace', 'editor configuration'], ['.idea/runConfigurations/a.xml', 'editor configuration'],
    ['.devcontainer/devcontainer.json', 'development container'], ['.envrc', 'directory environment'], ['mise.toml', 'directory environment'],
    ['.agentfw.yaml', 'agentfw policy'], ['.agentfw.d/x', 'agentfw policy'], ['sub/.agentfw/a/b', 'agentfw policy'], ['.dir-locals.el', 'editor configuration'],
  ])('%s: %s', (path, reason) => {
    expect(judged(change(path))).toBe(`control: ${reason}`);
    expect(judged(change(path, modified))).toBe(`control: ${reason}`);
  });

  test.each(['.git/hooks/pre-commit.sample', '.git/index', '.jj/repo/store/type', '.hg/store/data/x', '.git/refs/heads/main', '.git/refs/heads/hooks/x', '.git/logs/refs/heads/hooks/x', 'git~2/hooks/x', 'a.git /hooks/x', '.vscode/notes.json', 'git/hooks/x', 'src/envrc'])('%s is normal', (path) => {
    expect(judged(change(path))).toBe('normal');
  });

  test.each([
    ['abc refs/heads/main\nabc refs/replace/def\n', 'abc refs/heads/main\n', 'control: git objects replaced'],
    ['abc refs/heads/main\nabc refs/replace/def\n', 'fff refs/heads/main\nabc refs/replace/def\n', 'normal'],
    ['abc refs/heads/main\n', 'abc refs/replace/def\n', 'control: git objects replaced'],
    ['abc refs/heads/refs/replace\n', '', 'normal'],
  ])('packed references replace objects or don\u2019t: %j in the place of %j', (upper, base, found) => {
    expect(judged(change('.git/packed-refs', modified), contentOf(upper, base))).toBe(found);
    expect(judged(change('.git/packed-refs', modified), null)).toBe('control: git objects replaced');
  });

  test('a deletion counts too: settings protect', () => {
    expect(judged(change('.claude/settings.json', { kind: 'delete', upper: null, base: statOf(FILE) }))).toBe('control: agent configuration');
  });

  test('an added executable bit of a hook counts', () => {
    expect(judged(change('.git/hooks/x', { kind: 'metadata', meta: ['mode'], content: false }))).toBe('control: git hook');
  });

  test.each([
    ['.GIT/hooks/x'], ['.Git/HOOKS/x'], ['.vſcode/tasks.json'], ['.ＶＳＣＯＤＥ/tasks.json'], ['.g\u200bit/hooks/x'], ['\u202e.git/hooks/x'], ['․git/hooks/x'],
    ['.claude/Settings.JSON'], ['.\u00advscode/tasks.json'],
  ])('a look-alike counts as the name: %j (CW10)', (path) => {
    expect(judged(change(path))).toMatch(/^control: /);
  });

  test('a newline or a broken byte in the path hides nothing (E101)', () => {
    expect(judged(change('a\nb/.git/hooks/x\ny'))).toBe('control: git hook');
    expect(judged(change('a\xff/.git/hooks/x'))).toBe('control: git hook');
  });

  test('a symlink in the place of a directory of a rule brings in what no change names (CW01)', () => {
    const link = (path: string): string => judged(change(path, { type: 'symlink', target: fromText('elsewhere') }));

    expect(link('.vscode')).toBe('control: editor configuration');
    expect(link('.git')).toBe('control: .git as a symlink');
    for (const dir of ['.hg', '.sl', '.jj', 'sub/.jj/repo', '_darcs', '.bzr']) expect(link(dir)).toBe('control: version control configuration');
    expect(link('.git/hooks')).toBe('control: git hook');
    expect(link('.husky')).toBe('later: commit hook');
    expect(link('src/link')).toBe('normal');
  });

  test('what moves along with a renamed directory is judged by its new name', () => {
    const moved = change('.vscode/tasks.json', { kind: 'rename', implied: true, from: fromText('/home/u/proj/tools/tasks.json'), content: false });

    expect(judged(moved)).toBe('control: editor configuration');
  });

  test('a directory alone runs nothing', () => {
    expect(judged(change('.git', { type: 'dir', upper: statOf(constants.S_IFDIR | 0o755), content: false }))).toBe('normal');
  });
});

describe('outside the workspace', () => {
  test.each([
    ['/home/u/.bashrc', 'control: in your home, outside the workspace'],
    ['/home/u/other/x', 'control: in your home, outside the workspace'],
    ['/home/u/project2', 'control: in your home, outside the workspace'],
    ['/etc/profile.d/x.sh', 'control: outside the workspace'],
    ['/home/u/proj/src/x', 'normal'],
  ])('%s is %s', (path, expected) => {
    expect(judged(change(path))).toBe(expected);
  });

  test('what the profile calls the agent’s own is judged by its name', () => {
    const owned = (path: Bytes): boolean => path.startsWith('/home/u/.claude/');

    expect(judged(change('/home/u/.claude/projects/x.jsonl'), contentOf(''), { owned })).toBe('normal');
    expect(judged(change('/home/u/.claude/settings.json'), contentOf(''), { owned })).toBe('control: agent configuration');
  });

  test('a home that is the workspace keeps its dot files to itself', () => {
    const more = { workspace: home };

    expect(judged(change('/home/u/.bashrc'), contentOf(''), more)).toBe('control: in your home, outside the workspace');
    expect(judged(change('/home/u/bin/ls'), contentOf(''), more)).toMatch(/^control/);
    expect(judged(change('/home/u/notes.txt'), contentOf(''), more)).toBe('normal');
  });

  test('a workspace inside an agent directory is not all agent configuration', () => {
    const more = { workspace: fromText('/home/u/.codex/worktrees/a') };

    expect(judged(change('/home/u/.codex/worktrees/a/src/x'), contentOf(''), more)).toBe('normal');
  });

  test('started in / nothing is the workspace', () => {
    expect(judged(change('/srv/x'), contentOf(''), { workspace: '/' as Bytes })).toBe('control: no workspace but the whole machine');
  });
});

describe('git configuration', () => {
  test('is judged by its keys', () => {
    const config = change('.git/config', modified);

    expect(judged(config, contentOf('[core]\nbare = false\n', '[core]\n'))).toBe('normal');
    expect(judged(config, contentOf('[core]\nfsmonitor = x\n', '[core]\n'))).toBe('control: git configuration: core.fsmonitor');
    expect(judged(config, contentOf('[core\n'))).toMatch(/^control: git configuration that can't be read/);
    expect(judged(config, null)).toBe("control: git configuration that can't be read");
  });

  test.each(['.git/modules/a/b/config', '.git/worktrees/w/config.worktree', '.GIT/Config'])('%s too', (path) => {
    expect(judged(change(path), contentOf('[core]\nhooksPath = x'))).toBe('control: git configuration: core.hookspath');
  });

  test('of a submodule in a work tree too', () => {
    const evil = contentOf('[core]\nfsmonitor = evil\n');
    expect(judged(change('.git/worktrees/w/modules/a/b/config'), evil)).toBe('control: git configuration: core.fsmonitor');
    expect(judged(change('.git/worktrees/w/modules/a/config.worktree'), evil)).toBe('control: git configuration: core.fsmonitor');
  });

  test.each(['.git/modules', '.git/modules/a/b', '.git/worktrees', '.git/worktrees/w'])('not where a symlink brings it in: %s', (path) => {
    expect(judged(change(path, { type: 'symlink', target: fromText('x') }))).toMatch(/^control/);
  });

  test('as a symlink it can not be judged', () => {
    expect(judged(change('.git/config', { type: 'symlink', target: fromText('x') }))).toMatch(/^control/);
  });
});

describe('bare repositories', () => {
  const parts = [change('data/HEAD'), change('data/objects', { type: 'dir', content: false }), change('data/refs', { type: 'dir', content: false })];

  test('a layout that git takes for one makes `config` and hooks control', () => {
    const bare = bareRepositories(parts, () => false);

    expect([...bare]).toEqual([`${workspace}/data`]);
    expect(judged(change('data/config'), contentOf(''), { bare })).toBe('control: bare git repository');
    expect(judged(change('data/HEAD'), contentOf(''), { bare })).toBe('control: bare git repository');
    expect(judged(change('data/hooks/pre-push'), contentOf(''), { bare })).toBe('control: bare git repository');
    expect(judged(change('data/readme'), contentOf(''), { bare })).toBe('normal');
  });

  test('is completed by what the host has; half of it is none; `.git` is none', () => {
    expect(bareRepositories(parts.slice(0, 1), (path) => /\/(objects|refs)$/.test(path)).size).toBe(1);
    expect(bareRepositories(parts.slice(0, 2), () => false).size).toBe(0);
    for (const real of ['.git', '.git/modules/lib/sub', '.git/worktrees/w']) {
      expect(bareRepositories([change(`${real}/HEAD`), change(`${real}/objects`), change(`${real}/refs`)], () => true).size, real).toBe(0);
    }
    // With these the rest, its configuration too, is where `commondir` says.
    const linked = bareRepositories([change('data/head'), change('data/commondir')], () => false);
    expect(judged(change('data/commondir'), contentOf('../y'), { bare: linked })).toBe('control: bare git repository');
    expect(judged(change('data/head'), contentOf('ref: x'), { bare: bareRepositories([change('data/head')], (path) => path.endsWith('/commondir')) })).toBe('control: bare git repository');
    // Git takes no notice of its name, only of where it lies.
    const inside = bareRepositories([change('.git/x/HEAD'), change('.git/x/objects'), change('.git/x/refs')], () => false);
    expect(judged(change('.git/x/config'), contentOf(''), { bare: inside })).toBe('control: bare git repository');
  });
});

describe('later', () => {
  test.each([
    ['Makefile', 'build script'], ['sub/setup.py', 'build script'], ['x.pth', 'build script'], ['.github/workflows/ci.yml', 'continuous integration'],
    ['Dockerfile.dev', 'container build'], ['docker-compose.yml', 'container build'], ['.husky/pre-commit', 'commit hook'], ['CLAUDE.md', 'agent instructions'],
    ['.claude/commands/x.md', 'agent instructions'], ['.npmrc', 'package manager configuration'], ['.gitattributes', 'git attributes'], ['.tool-versions', 'tool versions'],
    ['build.gradle.kts', 'build script'], ['.git/rebase-merge/git-rebase-todo', 'git operation in progress'],
  ])('%s: %s', (path, reason) => {
    expect(judged(change(path))).toBe(`later: ${reason}`);
    expect(judged(change(path, { kind: 'delete', upper: null, base: statOf(FILE) }))).toBe('normal');
  });

  test('what is opened to others, and only that (WR20)', () => {
    const opened = (mode: number, more: Partial<Change> = {}): string => judged(change('a', { kind: 'metadata', content: false, meta: ['mode'], base: statOf(FILE), upper: statOf(constants.S_IFREG | mode), ...more }));
    expect(opened(0o646)).toBe('later: others may write it');
    expect(opened(0o644, { base: statOf(constants.S_IFREG | 0o600), kind: 'modify', content: true })).toBe('later: others may read it');
    expect(opened(0o644, { meta: ['acl'] })).toBe('later: access list');
    expect(opened(0o4646)).toBe('later: setuid or setgid');
    expect([opened(0o664), opened(0o600), opened(0o644)]).toEqual(['normal', 'normal', 'normal']);
    expect(judged(change('d', { kind: 'metadata', type: 'dir', content: false, meta: ['mode'], base: statOf(constants.S_IFDIR | 0o755), upper: statOf(constants.S_IFDIR | 0o777) }))).toBe('later: others may write it');
    expect(judged(change('n', { upper: statOf(constants.S_IFREG | 0o666) }))).toBe('normal');
  });

  test('package.json only for the parts that run', () => {
    const manifest = change('package.json', modified);
    const base = '{"name":"a","scripts":{"test":"x"}}';

    expect(judged(manifest, contentOf('{"name":"b","scripts":{"test":"x"}}', base))).toBe('normal');
    expect(judged(manifest, contentOf('{"name":"a","scripts":{"test":"y"}}', base))).toBe('later: scripts in package.json');
    expect(judged(manifest, contentOf('{"name":"a","bin":"x","scripts":{"test":"x"}}', base))).toBe('later: bin in package.json');
    expect(judged(manifest, contentOf('{"name":"a","lint-staged":{"*":"evil"},"scripts":{"test":"x"}}', base))).toBe('later: lint-staged in package.json');
    expect(judged(manifest, contentOf('{"name":"a","dependencies":{"b":"1"},"scripts":{"test":"x"}}', base))).toBe('normal');
    expect(judged(manifest, contentOf('{', base))).toBe("later: package.json that can't be read");
  });

  test('requirements of pip only where they name a place', () => {
    const file = change('requirements.txt', modified);
    const base = 'a==1\n-r more.txt\n';
    expect(judged(file, contentOf('a==2\nb>=1  # from nowhere\n-r more.txt\n-c pins.txt\n', base))).toBe('normal');
    for (const line of ['--index-url https://x.example', '-i https://x.example', '-e .', '--extra-index-url=x', 'b @ https://x.example/b.whl', 'git+https://x.example/b', './b', '-r https://x.example/r.txt', '--trusted-host x']) {
      expect(judged(file, contentOf(`${base}${line}\n`, base)), line).toBe('later: where requirements.txt takes packages from');
    }
  });

  test('what git on the host is configured to run is control, and its directory is no ordinary one (WR07)', () => {
    const named = { dirs: new Map([[fromText('/home/u/proj/tools/hooks'), 'git hook: core.hookspath']]), files: new Map() } as unknown as NonNullable<ClassifyInput['named']>;
    const inDir = { ...modified, ordinaryIn: fromText('/home/u/proj/tools/hooks') };
    expect(judged(change('tools/hooks/pre-commit', inDir), undefined, { named })).toBe('control: git hook: core.hookspath');
    expect(judged(change('tools/hooks/pre-commit', { kind: 'delete', upper: null, base: statOf(FILE) }), undefined, { named })).toBe('control: git hook: core.hookspath');
    expect(judged(change('tools/other', { ...modified, ordinaryIn: fromText('/home/u/proj/tools') }), undefined, { named })).toBe('normal');
  });

  test('lockfiles for new hosts, Cargo.toml and pyproject.toml for their build parts', () => {
    const lock = change('package-lock.json', modified);
    expect(judged(lock, contentOf('"https://a.example/x" "https://a.example/y"', '"https://a.example/x"'))).toBe('normal');
    expect(judged(lock, contentOf('"https://b.example/x"', '"https://a.example/x"'))).toBe('later: lockfile fetches from b.example');

    const cargo = change('Cargo.toml', modified);
    expect(judged(cargo, contentOf('[package]\nname="y"', '[package]\nname="x"'))).toBe('normal');
    expect(judged(cargo, contentOf('[package]\nbuild = "b.rs"', '[package]\n'))).toBe('later: build settings in Cargo.toml');

    const python = change('pyproject.toml', modified);
    expect(judged(python, contentOf('[build-system]\nrequires=["b"]', '[build-system]\nrequires=["a"]'))).toBe('later: build system in pyproject.toml');
    expect(judged(python, contentOf('[project]\nname="b"', '[project]\nname="a"'))).toBe('normal');
  });

  test.each([
    ['Cargo.toml', '[package]\nname="x"\n', 'build settings', [
      '"build"="b.rs"', "'build' = 'b.rs'", '"b\\u0075ild" = "b.rs"', '[ "build-dependencies" ]\nx="1"', '[target."cfg(unix)".build-dependencies]\nx="1"', '[build_dependencies]\nx="1"', '[lib]\nproc-macro = true', '[lib]\nproc_macro = true',
    ]],
    ['Cargo.toml', '', 'build settings', ['package.build = "b.rs"', 'package = {name = "x", build = "b.rs"}', '[project]\nbuild = "b.rs"']],
    ['pyproject.toml', '[project]\nname="x"\n', 'build system', ['[ build-system ]\nrequires=["a"]', '["build-system"]\nbackend-path=["."]', '[tool.poetry.build]\nscript="b.py"', '[tool.hatch.build.hooks.custom]']],
    ['pyproject.toml', '', 'build system', ['build-system.requires = ["a"]', 'build-system = {requires = ["a"]}']],
  ] as const)('%s is read as TOML: however a part that runs is spelled, it counts (with %j)', (name, base, what, lines) => {
    for (const line of lines) expect([line, judged(change(name, modified), contentOf(`${base}${line}\n`, base))]).toEqual([line, `later: ${what} in ${name}`]);
    expect(judged(change(name, modified), contentOf(`${base}[dependencies]\nserde = "1"\n`, base))).toBe('normal');
    expect(judged(change(name, modified), contentOf(`${base}x = \n`, base))).toBe(`later: ${name} that can't be read`);
  });

  test('what is made to be slow or deep is judged all the same', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const judge = (name: string, text: string): string => judged(change(name, modified), contentOf(text, ''));
    expect(judge('package.json', `{"scripts": ${deep}}`)).toBe("later: package.json that can't be read");
    expect(judge('package.json', '{"a": "[[[[\\"[[[["}')).toBe('normal');
    expect(judge('Cargo.toml', `a = ${deep}`)).toBe("later: Cargo.toml that can't be read");
    const slow = (name: string, unit: string): number => secondsOf(() => judge(name, unit.repeat(500_000)));
    for (const [name, unit] of [['Cargo.toml', '\n'], ['Cargo.toml', '\t\n'], ['pyproject.toml', '\t\n'], ['pyproject.toml', '[['], ['requirements.txt', 't\r'], ['requirements.txt', '@ '], ['package-lock.json', 'A+'], ['package.json', '"\\"']] as const) {
      expect([name, unit, slow(name, unit) < 5]).toEqual([name, unit, true]);
    }
  });

  test('a new executable bit, programs and set-id bits (CW11)', () => {
    const executable = statOf(constants.S_IFREG | 0o755);

    expect(judged(change('run', { upper: executable }), contentOf('#!/bin/sh\n'))).toBe('later: executable script');
    expect(judged(change('run', { upper: executable }), contentOf('x'))).toBe('later: executable file');
    expect(judged(change('run', { upper: executable, base: executable, kind: 'modify' }))).toBe('normal');
    expect(judged(change('run', { upper: executable, base: statOf(FILE), kind: 'metadata', content: false, meta: ['mode'] }))).toBe('later: became executable');
    expect(judged(change('lib.so'), contentOf(Buffer.from('7f454c460201', 'hex')))).toBe('later: ELF program');
    expect(judged(change('x.exe'), contentOf('MZ..'))).toBe('later: PE program');
    expect(judged(change('s', { upper: statOf(constants.S_IFREG | 0o4755) }))).toBe('later: setuid or setgid');
    expect(judged(change('t', modified), contentOf('a\0b', 'text'))).toBe('later: binary replaces text');
    expect(judged(change('t', modified), contentOf('a\0b', 'a\0c'))).toBe('normal');
  });

  test.each([
    ['/etc/passwd', 'later: symlink leaving the tree'], ['../../x', 'later: symlink leaving the tree'], ['../x', 'normal'], ['x/../../..', 'later: symlink leaving the tree'],
    ['/home/u/proj/a', 'normal'], ['/home/u/proj/../other', 'later: symlink leaving the tree'], ['', 'normal'],
  ])('a symlink to %j is %s (CW02)', (target, expected) => {
    expect(judged(change('d/link', { type: 'symlink', target: fromText(target) }))).toBe(expected);
  });
});

test('paths thousands of levels deep are matched in no time (CW20)', () => {
  const seconds = secondsOf(() => {
    for (let depth = 100; depth <= 4000; depth += 100) {
      for (const name of ['.git', '.claude', 'x', 'rebase-merge', 'hooks']) {
        judged(change(`${`${name}/`.repeat(depth)}y`));
        expect(judged(change(`${`${name}/`.repeat(depth)}.git/modules/hooks/y`))).toBe('control: git hook');
      }
    }
  });

  expect(seconds).toBeLessThan(40);
});

test('foldPath is the identity but for case on plain names', () => {
  expect(foldPath(fromText('src/Übung/a.TS'))).toBe('src/übung/a.ts');
  expect(foldPath(fromText('README.md'))).toBe('readme.md');
});

test('foldPath takes for one name what full case folding does', () => {
  expect(foldPath(fromText('.ſſh/.PGPAẞ'))).toBe('.ssh/.pgpass');
});

test('a rename has the strictest class of its parts', () => {
  const make = (path: string): JudgedChange => withClass(change(path), { workspace, home, contents: contentOf('x') });

  expect(withStrictestClass(make('new'), [make('new'), make('Makefile'), make('.envrc')])).toMatchObject({ class: 'control', reason: 'directory environment' });
  expect(withStrictestClass(make('new'), [make('new'), make('Makefile')])).toMatchObject({ class: 'later' });
});

test('the order is control, later, deletions, type changes, the rest, each by bytes', () => {
  const make = (path: string, overrides: Partial<Change> = {}): JudgedChange => withClass(change(path, overrides), { workspace, home, contents: contentOf('x') });
  const all = [
    make('b'), make('B'), make('gone', { kind: 'delete', upper: null, base: statOf(FILE) }), make('Makefile'), make('.envrc'),
    make('turned', { kind: 'type', oldType: 'symlink' }), make('a\xff'), make('a/z'), make('a.z'),
  ];

  const names = orderChanges(all).map((one) => one.path.slice(workspace.length + 1));

  expect(names).toEqual(['.envrc', 'Makefile', 'gone', 'turned', 'B', 'a.z', 'a/z', 'a\xff', 'b']);
  expect(orderChanges([...all].reverse()).map((one) => one.path)).toEqual(orderChanges(all).map((one) => one.path));
});
