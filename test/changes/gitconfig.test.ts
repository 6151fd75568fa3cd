import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gitConfigRisk, isExecuting, parseGitConfig } from '../../src/changes/gitconfig.js';
import { tempDir } from '../kernel/temp.js';

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
    'credential.helper', 'credential.https://host.helper', 'gpg.program', 'gpg.ssh.program', 'url.a.insteadof', 'url.a.b.pushinsteadof',
    'include.path', 'includeif.gitdir:/x.path', 'remote.origin.uploadpack', 'remote.origin.receivepack', 'remote.origin.vcs',
    'http.proxy', 'http.https://x.extraheader', 'http.sslcainfo', 'uploadpack.packobjectshook', 'sequence.editor', 'interactive.difffilter',
    'pager.log', 'protocol.ext.allow', 'difftool.x.cmd', 'init.templatedir',
  ])('%s', (key) => {
    expect(isExecuting({ key, value: 'program' })).toBe(true);
  });

  test.each([
    ['alias.x', '!sh -c evil', true], ['alias.x', 'log --oneline', false], ['submodule.x.update', '!cmd', true], ['submodule.x.update', 'rebase', false],
    ['core.fsmonitor', 'false', false], ['pager.log', 'true', false], ['remote.o.url', 'ext::sh -c evil', true], ['remote.o.url', 'git@host:x', false],
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
    expect(gitConfigRisk(`${base}[branch "x"]\n\tremote = origin\n`, base)).toBeNull();
    expect(gitConfigRisk('[core]\n\trepositoryformatversion = 0\n', null)).toBeNull();
  });

  test.each([
    ['an added key', `${base}[core]\n\tfsmonitor = evil\n`, 'git configuration: core.fsmonitor'],
    ['a changed value', base.replace('store', 'evil'), 'git configuration: credential.helper'],
    ['a removed key', '[core]\n\tbare = false\n', 'git configuration: credential.helper'],
    ['a second value', `${base}\thelper = evil\n`, 'git configuration: credential.helper'],
    ['what git can not read', '[core\n', "git configuration that can't be read (line 1)"],
  ])('%s', (_, text, reason) => {
    expect(gitConfigRisk(text, base)).toBe(reason);
  });

  test('executing keys that the host has already are no news', () => {
    expect(gitConfigRisk(base, base)).toBeNull();
  });
});
