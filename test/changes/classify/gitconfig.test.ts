import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gitConfigRisk, isExecuting, parseGitConfig } from '../../../src/changes/classify/gitconfig.js';
import type { Bytes } from '../../../src/bytes.js';
import { tempDir } from '../../kernel/temp.js';

const PLACE = { dir: '/w/repo/.git' as Bytes, workspace: '/w/repo' as Bytes };
const risk = (text: string, base: string | null, place = PLACE): string | null => gitConfigRisk(text, base, place);

function entries(text: string): string[] | string {
  const parsed = parseGitConfig(text);
  return parsed.kind === 'invalid' ? `invalid ${parsed.line}` : parsed.entries.map(({ key, value }) => `${key}=${value ?? '(true)'}`);
}

describe('parseGitConfig', () => {
  test.each<[string, string, string[] | string]>([
    ['sections and names fold, subsections keep their case', '[Core]\n\tEditor = Vi\n[Branch "Main"]\nRemote=o', ['core.editor=Vi', 'branch.Main.remote=o']],
    ['the old dotted form folds', '[branch.Main]\nx=1', ['branch.main.x=1']],
    ['a name without = is true', '[core]\nbare\n', ['core.bare=(true)']],
    ['on the line of the header', '[core] editor = evil', ['core.editor=evil']],
    ['continuation, comment and quotes', '[a]\nb = one \\\n two # c\nc = "x # y" ; z\nd = a\\tb\\"', ['a.b=one  two', 'a.c=x # y', 'a.d=a\tb"']],
    ['space inside counts, around does not', '[a]\nb =   x  y   \n', ['a.b=x  y']],
    ['escaped subsection', '[a "q\\"\\\\"]\nb=1', ['a.q"\\.b=1']],
    ['byte order mark, CRLF and no final newline', '\ufeff[a]\r\nb = 1\r\nc = 2', ['a.b=1', 'a.c=2']],
    ['empty', '', []],
    ['before any section', 'a = b', 'invalid 1'],
    ['open header', '[a\nb=1', 'invalid 1'],
    ['a subsection that no memory would hold with each of its keys', `[core]\nx=1\n[core "${'s'.repeat(4097)}"] editor = evil`, 'invalid 3'],
    ['a long subsection', `[a "${'s'.repeat(4096)}"]x=1`, [`a.${'s'.repeat(4096)}.x=1`]],
    ['open quote', '[a]\nb = "x\n', 'invalid 2'],
    ['unknown escape', '[a]\nb = \\x', 'invalid 2'],
    ['a backslash at the very end', '[a]\nb = x\\', ['a.b=x']],
    ['a name with a digit first', '[a]\n1b = 2', 'invalid 2'],
  ])('%s', (_, text, expected) => {
    expect(entries(text)).toEqual(expected);
  });

  test('reads as git does', () => {
    const piece = fc.constantFrom(
      '[', ']', '"', '\\', '\n', ' ', '\t', '=', '#', ';', 'a', 'B-', '1', '.', '\r\n', '[core]', '[s "t"]', 'editor = x', '\\n', '\\\n', 'é',
    );
    const file = join(tempDir(), 'config');

    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const text = `[top]\n${pieces.join('')}`;
        writeFileSync(file, text);
        const git = spawnSync('git', ['config', '--null', '--list', '-f', file], { encoding: 'utf8' });
        const parsed = parseGitConfig(text);

        const wanted = git.status === 0 ? git.stdout : null;
        const got = parsed.kind === 'invalid' ? null : parsed.entries.map(({ key, value }) => `${key}${value === null ? '' : `\n${value}`}\0`).join('');
        // What git refuses may be read here, never the other way round and never to other values.
        // Before 2.45 git turned inner tabs into spaces.
        if (wanted !== null) expect(got?.replaceAll('\t', ' ')).toBe(wanted.replaceAll('\t', ' '));
      }),
      { numRuns: 300 },
    );
  });
});

describe('isExecuting', () => {
  test.each([
    'core.hookspath', 'core.fsmonitor', 'core.sshcommand', 'core.editor', 'core.pager', 'core.askpass', 'core.gitproxy',
    'core.alternaterefscommand', 'diff.x.command', 'diff.x.textconv', 'diff.external', 'filter.lfs.clean', 'merge.x.driver',
    'core.attributesfile', 'credential.helper', 'credential.https://host.helper', 'gpg.program', 'gpg.ssh.program', 'url.a.insteadof', 'url.a.b.pushinsteadof',
    'include.path', 'includeif.gitdir:/x.path', 'remote.origin.uploadpack', 'remote.origin.receivepack', 'remote.origin.vcs',
    'http.proxy', 'http.https://x.extraheader', 'http.sslcainfo', 'uploadpack.packobjectshook', 'sequence.editor', 'interactive.difffilter',
    'pager.log', 'protocol.ext.allow', 'difftool.x.cmd', 'init.templatedir', 'lfs.customtransfer.x.path', 'lfs.extension.x.clean', 'annex.secure-erase-command',
    'svn.authorsprog', 'gitflow.path.hooks', 'delta.pager', 'gpg.ssh.allowedsignersfile', 'core.protecthfs', 'remote.o.push',
    'remote.x.annex-ssh-options', 'instaweb.httpd', 'http.cookiefile', 'alias.x',
    'rebase.instructionformat', 'tig.bind.generic', 'tig.source', 'gui.editor', 'gui.historybrowser', 'remote.o.mirror',
  ])('%s', (key) => {
    expect(isExecuting({ key, value: 'program' })).toBe(true);
  });

  test.each([
    ['alias.x', '!sh -c evil', true], ['alias.x', 'log --oneline', false], ['submodule.x.update', '!cmd', true], ['submodule.x.update', 'rebase', false],
    ['core.fsmonitor', 'false', false], ['pager.log', 'true', false], ['remote.o.url', 'ext::sh -c evil', true], ['remote.o.url', 'git@host:x', false],
    ['alias.x', ' "!sh" -c evil', true], ['alias.x', '--exec-path=/w/bin evil', true], ['alias.st', 'rebase --exec evil HEAD~1', true], ['alias.st', 'submodule foreach evil', true],
    ['alias.st', 'status -sb', false], ['alias.d', 'diff --ext-diff', true], ['alias.d', 'diff --"ext"-diff', true], ['alias.l', 'log --oneline --graph', false], ['alias.g', 'grep -Oevil x', true],
    ['alias.l', 'log -1 --output=/home/me/.bashrc --format=evil', true], ['alias.s', 'show --ou"tp" x', true], ['alias.l', 'log --oneline --output-indicator-new=x', false],
    ['remote.o.url', 'EXT::sh', true], ['remote.o.url', 'evil::x', true], ['remote.o.url', '/path/with::colons', false], ['remote.o.url', 'https://[::1]/x', false],
    ['branch.main.remote', 'https://evil/x', true], ['branch.main.pushremote', 'git@evil:x', true], ['remote.pushdefault', '../evil', true], ['remote.pushdefault', 'fork', false],
    ['core.bare', 'false', false], ['user.name', 'x', false], ['branch.main.remote', 'origin', false], ['submodule.x.url', '../x', false], ['core.worktree', '../x', false],
  ])('%s = %s: %s', (key, value, executing) => {
    expect(isExecuting({ key, value })).toBe(executing);
  });

  test('a subsection with a newline escapes no pattern', () => {
    expect(isExecuting({ key: 'diff.a\nb.command', value: 'x' })).toBe(true);
  });
});

describe('gitConfigRisk', () => {
  const base = '[core]\n\tbare = false\n[credential]\n\thelper = store\n';

  test('harmless keys pass', () => {
    expect(risk(`${base}[branch "x"]\n\tremote = origin\n`, base)).toBeNull();
    expect(risk('[core]\n\trepositoryformatversion = 0\n', null)).toBeNull();
  });

  test.each([
    ['an added key', `${base}[core]\n\tfsmonitor = evil\n`, 'git configuration: core.fsmonitor'],
    ['a changed value', base.replace('store', 'evil'), 'git configuration: credential.helper'],
    ['a removed key', '[core]\n\tbare = false\n', 'git configuration: credential.helper'],
    ['a second value', `${base}\thelper = evil\n`, 'git configuration: credential.helper'],
    ['what git can not read', '[core\n', "git configuration that can't be read (line 1)"],
  ])('%s', (_, text, reason) => {
    expect(risk(text, base)).toBe(reason);
  });

  test.each<[string, string, string | null, string | null]>([
    ['another host', '[remote "o"]\nurl = https://evil.example/r\n', '[remote "o"]\nurl = git@good.example:r\n', 'remote.o.url'],
    ['another host for large files', '[remote "o"]\nurl = https://good.example/r\n[lfs]\nurl = https://evil.example/r\n', '[remote "o"]\nurl = https://good.example/r\n', 'lfs.url'],
    ['another host for bundles', '[remote "o"]\nurl = https://good.example/r\n[fetch]\nbundleURI = https://evil.example/b\n', '[remote "o"]\nurl = https://good.example/r\n', 'fetch.bundleuri'],
    ['another host to push to', '[remote "o"]\nurl = https://good.example/r\npushurl = evil.example:r\n', '[remote "o"]\nurl = https://good.example/r\n', 'remote.o.pushurl'],
    ['another host of a submodule', '[submodule "s"]\nurl = ssh://u@evil.example:22/r\n', '[remote "o"]\nurl = https://good.example/r\n', 'submodule.s.url'],
    ['the same host in another form', '[remote "o"]\nurl = ssh://git@GOOD.example:22/other\n', '[remote "o"]\nurl = good.example:r\n', null],
    ['a path', '[remote "o"]\nurl = ../other\n', '[remote "o"]\nurl = https://good.example/r\n', null],
    ['a new repository', '[remote "o"]\nurl = https://any.example/r\n', null, null],
  ])('remotes (WR07): %s', (_, text, base, key) => {
    expect(risk(text, base)).toBe(key === null ? null : `git configuration: ${key} leads to another host`);
  });

  test.each<[string, string, boolean]>([
    ['a submodule in its place', '../../../sub', false], ['the home directory', '/home/me', true], ['above the workspace', '../../../../..', true],
    ['a git directory', '../hooks', true], ['a folded one', '../../../.GIT/x', true],
  ])('work trees (WR08): %s', (_, value, found) => {
    const place = { dir: '/w/repo/.git/modules/sub' as Bytes, workspace: PLACE.workspace };
    expect(risk(`[core]\nworktree = ${value}\n`, '', place)).toBe(found ? 'git configuration: core.worktree' : null);
  });

  test('executing keys that the host has already are no news', () => {
    expect(risk(base, base)).toBeNull();
  });
});
