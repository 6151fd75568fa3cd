import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readdirSync } from 'node:fs';
import { PROFILES, policyOf } from './make.js';
import { compileIn, put, tempHome } from './temp.js';

/** An npm install: a link in bin/ to a script in the package. */
function install(home: string, bin: string, name: string, version = '2.1.3'): void {
  const dir = join(home, 'lib/node_modules', name);
  put(join(dir, 'package.json'), JSON.stringify({ name, version }));
  put(join(dir, 'cli.js'), '#!/usr/bin/env node\n', 0o755);
  mkdirSync(join(home, 'bin'), { recursive: true });
  symlinkSync(join(dir, 'cli.js'), join(home, 'bin', bin));
}

async function profileOf(home: string, argv: string[]) {
  mkdirSync(join(home, 'app'), { recursive: true });
  return (await compileIn(home, { argv })).policy.profile;
}

describe('the agent is known by its signature', () => {
  test.each([
    ['claude', '@anthropic-ai/claude-code', 'claude-code'], ['codex', '@openai/codex', 'codex'], ['gemini', '@google/gemini-cli', 'gemini-cli'],
    ['opencode', 'opencode-ai', 'opencode'], ['copilot', '@github/copilot', 'copilot-cli'], ['amp', '@sourcegraph/amp', 'amp'],
  ])('`%s` of the package %s is %s', async (bin, name, profile) => {
    const home = tempHome();
    install(home, bin, name);

    expect(await profileOf(home, [bin])).toMatchObject({ name: profile, version: '2.1.3', why: `matched ${name}` });
  });

  test('a renamed or wrapped command is still known', async () => {
    const home = tempHome();
    install(home, 'cc', '@anthropic-ai/claude-code');

    for (const argv of [['cc'], ['env', 'A=1', 'cc'], ['nice', '-n', '5', 'cc'], ['node', join(home, 'bin/cc')], ['npx', '-y', '@anthropic-ai/claude-code@2.0.1', '-p']]) {
      expect((await profileOf(home, argv)).name).toBe('claude-code');
    }
  });

  test.each([
    'npx @google/gemini-cli', 'npx -y -- @google/gemini-cli@0.1.0', 'npx -p @google/gemini-cli gemini', 'npx --package=@google/gemini-cli gemini -p hello',
    'npm exec @google/gemini-cli', 'npm x --yes -- @google/gemini-cli -p x', 'pnpm dlx @google/gemini-cli', 'yarn dlx -p @google/gemini-cli gemini', 'bun x @google/gemini-cli', 'env A=1 bunx @google/gemini-cli',
  ])('a package that a runner starts is known: %s', async (line) => {
    expect(await profileOf(tempHome(), line.split(' '))).toMatchObject({ name: 'gemini-cli', why: 'matched @google/gemini-cli' });
  });

  test.each(['npx gemini', 'npx other --package=@google/gemini-cli', 'npm run @google/gemini-cli', 'pnpm exec gemini'])('what need not be that package is not: %s', async (line) => {
    expect((await profileOf(tempHome(), line.split(' '))).name).toBe('generic');
  });

  test('a native install is known by its place, with its version', async () => {
    const home = tempHome();
    put(join(home, '.local/share/claude/versions/2.1.9'), 'ELF', 0o755);
    mkdirSync(join(home, 'bin'));
    symlinkSync(join(home, '.local/share/claude/versions/2.1.9'), join(home, 'bin/claude'));

    expect(await profileOf(home, ['claude'])).toMatchObject({ name: 'claude-code', version: '2.1.9' });
  });

  test('a `#!` script is known by its name', async () => {
    const home = tempHome();
    put(join(home, 'bin/aider'), '#!/usr/bin/python3\n', 0o755);

    expect(await profileOf(home, ['aider', '--yes'])).toMatchObject({ name: 'aider', why: 'matched the name aider' });
  });

  test('a package of a similar name is not the agent', async () => {
    const home = tempHome();
    install(home, 'cursor-agent', 'cursor-agent');
    install(home, 'claude', 'claude');

    expect(await profileOf(home, ['cursor-agent'])).toMatchObject({ name: 'generic', why: expect.stringContaining('belongs to the package cursor-agent') as string });
    expect(await profileOf(home, ['claude'])).toMatchObject({ name: 'generic' });
  });

  test('a program of that name in the working directory is not the agent', async () => {
    const home = tempHome();
    put(join(home, 'app/claude'), '#!/bin/sh\n', 0o755);

    expect(await profileOf(home, ['./claude'])).toMatchObject({ name: 'generic', why: '`claude` lies in the working directory' });
  });

  test('a package.json of the project makes none of its programs an agent', async () => {
    const home = tempHome();
    put(join(home, 'app/.git/HEAD'), '');
    put(join(home, 'app/package.json'), '{"name": "@anthropic-ai/claude-code", "version": "2.1.3"}');
    for (const file of ['run.sh', 'sub/claude', 'node_modules/@anthropic-ai/claude-code/cli.js']) put(join(home, 'app', file), '#!/bin/sh\n', 0o755);
    mkdirSync(join(home, 'app/node_modules/.bin'));
    symlinkSync(join(home, 'app/node_modules/@anthropic-ai/claude-code/cli.js'), join(home, 'app/node_modules/.bin/claude'));
    symlinkSync(join(home, 'app/node_modules/@anthropic-ai/claude-code/cli.js'), join(home, 'app/build'));
    const named = async (cwd: string, ...argv: string[]): Promise<string> => (await compileIn(home, { argv, cwd: join(home, cwd) })).policy.profile.name;

    for (const argv of [['./run.sh'], ['node', 'run.js'], ['./build'], ['./sub/claude']]) expect(await named('app', ...argv), argv.join(' ')).toBe('generic');
    expect(await named('app/sub', '../run.sh')).toBe('generic');
    expect(await named('app', 'node_modules/.bin/claude')).toBe('claude-code');
  });

  test.each(['constructor', 'toString', '__proto__'])('a word that every object knows is a program like others: %s', async (word) => {
    expect(await profileOf(tempHome(), [word])).toMatchObject({ name: 'generic', why: `no profile for ${word}` });
  });

  test('anything else is generic, and `--profile` overrides', async () => {
    const home = tempHome({ 'app/a': '' });
    chmodSync(home, 0o755);

    expect((await profileOf(home, ['make'])).name).toBe('generic');
    expect((await compileIn(home, { argv: ['make'], profile: 'codex' })).policy.profile).toMatchObject({ name: 'codex', why: '--profile' });
  });
});

describe('shipped profiles', () => {
  test.each(readdirSync(PROFILES).filter((file) => !file.startsWith('base-')).map((file) => file.replace('.yaml', '')))('%s compiles, and its own settings, hooks and plugins never pass through', async (profile) => {
    const policy = await policyOf({ profile });
    const through = policy.rules.filter(({ list }) => list === 'files.passthrough').flatMap(({ subjects }) => subjects.paths.map(({ base }) => base));

    expect(through.filter((path) => /settings|hooks|plugins|commands|skills|agents|config\.|rules|mcp|\/bin(\/|$)/.test(path.replace('/home/u', '')))).toEqual([]);
    expect(through.filter((path) => /^\/home\/u\/\.[^/]+$/.test(path))).toEqual([]);
    expect(policy.loosened).toEqual([]);
  });
});
