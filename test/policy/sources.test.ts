import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromText, toText } from '../../src/bytes.js';
import { AgentfwError } from '../../src/errors.js';
import { judgeChange, judgeHost, judgePath } from '../../src/policy/index.js';
import { cacheIn, toCache } from '../../src/policy/cache.js';
import { isTrusted, readTrust, trust, untrust } from '../../src/policy/trust.js';
import { projectFiles } from '../../src/policy/sources.js';
import { projectOf } from '../../src/sandbox/program.js';
import { PROFILES } from './make.js';
import { compileIn, put, requestIn, tempHome } from './temp.js';

const user = '.config/agentfw/policy.yaml';
const managed = 'etc/agentfw/policy.yaml';
const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(() => 'none', (error: unknown) => (error instanceof AgentfwError ? `${error.code} ${error.message}` : String(error)));
}

async function hintOf(run: Promise<unknown>): Promise<string> {
  return run.then(() => 'none', (error: unknown) => (error instanceof AgentfwError ? error.hint ?? 'no hint' : String(error)));
}

describe('missing, empty, unreadable and invalid are four things', () => {
  test('a missing file means the defaults', async () => {
    expect((await compileIn(tempHome({ 'app/a': '' }))).policy.profile.name).toBe('generic');
  });
  test('an empty file is refused', async () => {
    expect(await codeOf(compileIn(tempHome({ [user]: '# nothing\n' })))).toContain('AFW_POLICY_EMPTY');
  });
  test('an invalid file is refused with its place', async () => {
    expect(await codeOf(compileIn(tempHome({ [user]: 'version: 1\nfiels: {}\n' })))).toMatch(/AFW_POLICY_INVALID The policy file .*policy\.yaml:2:1 is not valid/);
  });
  test('a file that is not UTF-8 is refused', async () => {
    const home = tempHome({ [user]: '' });
    writeFileSync(join(home, user), Buffer.from([0x76, 0xff, 0xfe]));

    expect(await codeOf(compileIn(home))).toContain('AFW_POLICY_INVALID');
  });
  test.each(['directory', 'dangling link', 'socket'])('a %s is unreadable', async (kind) => {
    const home = tempHome({ '.config/agentfw/x': '' });
    if (kind === 'directory') mkdirSync(join(home, user));
    else if (kind === 'socket') await makeSocket(join(home, user));
    else symlinkSync('nowhere', join(home, user));

    expect(await codeOf(compileIn(home))).toContain('AFW_POLICY_UNREADABLE');
    expect(await hintOf(compileIn(home))).toMatch(/^(Move it away|Remove it): /);
  });
});

/** A name that stays when its server has ended. */
async function makeSocket(path: string): Promise<void> {
  const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await execa(process.execPath, ['-e', code], { reject: false });
}

describe('who may have written it', () => {
  test.each([[user], [managed]])('%s that others may write is refused', async (file) => {
    const home = tempHome();
    put(join(home, file), 'version: 1\n', 0o666);

    expect(await codeOf(compileIn(home))).toMatch(/AFW_POLICY_UNREADABLE .* writable by others/);
  });
  test('a directory above it that others may write is refused', async () => {
    const home = tempHome({ [managed]: 'version: 1\n' });
    chmodSync(join(home, 'etc'), 0o777);

    expect(await codeOf(compileIn(home))).toMatch(/etc is writable by others/);
  });
  test('a link in a directory that others may write is refused, whatever it leads to', async () => {
    const home = tempHome({ 'safe/policy.yaml': 'version: 1\n', 'open/x': '' });
    chmodSync(join(home, 'open'), 0o777);
    symlinkSync(join(home, 'safe/policy.yaml'), join(home, 'open/policy.yaml'));
    mkdirSync(dirname(join(home, user)), { recursive: true });
    symlinkSync(join(home, 'open/policy.yaml'), join(home, user));

    expect(await codeOf(compileIn(home))).toMatch(/AFW_POLICY_UNREADABLE .*open is writable by others/);
  });
  test('a managed file of another owner is refused', async () => {
    const home = tempHome({ [managed]: 'version: 1\n' });

    expect(await codeOf(compileIn(home, { managedUid: 12_345 }))).toMatch(/belongs to uid/);
  });
  test('a project file that is a link is refused', async () => {
    const home = tempHome({ 'x.yaml': 'version: 1\n', 'app/a': '' });
    symlinkSync('../x.yaml', join(home, 'app/.agentfw.yaml'));

    expect(await codeOf(compileIn(home))).toMatch(/AFW_POLICY_UNREADABLE .* symbolic link/);
  });
});

describe('layers', () => {
  test('PO01 PO16 a project file tightens at once, and loosens only when trusted by digest', async () => {
    const home = tempHome({ 'app/.agentfw.yaml': 'version: 1\nfiles: {hide: ["./private"]}\nchanges: {commit: ["./**"]}\nnetwork: {allow: [evil.example]}\n' });
    const file = join(home, 'app/.agentfw.yaml');
    const change = { path: fromText(join(home, 'app/x')), from: null, kind: 'add', type: 'file', class: 'normal', conflict: null } as const;
    const before = (await compileIn(home)).policy;
    trust(requestIn(home).stateDir, file, { digest: digestOf(file), at: '2026-01-01T00:00:00Z' });
    const trusted = (await compileIn(home)).policy;
    writeFileSync(file, `${readFileSync(file, 'utf8')}# changed\n`);
    const after = (await compileIn(home)).policy;

    for (const policy of [before, after]) {
      expect(judgePath(policy, fromText(join(home, 'app/private/x')), 'read').verdict).toBe('deny');
      expect(judgeChange(policy, change).verdict).toBe('escalate');
      expect(judgeHost(policy, { host: 'evil.example', port: 443 }).verdict).toBe('ask');
      expect(policy.loosened.map(({ what }) => what)).toEqual(expect.arrayContaining(['changes.commit ./**', 'network.allow evil.example']));
    }
    expect(judgeChange(trusted, change).verdict).toBe('commit');
    expect(judgeHost(trusted, { host: 'evil.example', port: 443 }).verdict).toBe('allow');
  });

  test('a nearer project file does not lose what a farther one forbids', async () => {
    const home = tempHome({ 'app/.agentfw.yaml': 'version: 1\nfiles: {hide: ["./sub/private"]}\n', 'app/sub/.agentfw.yaml': 'version: 1\n' });
    const { policy } = await compileIn(home, { cwd: join(home, 'app/sub') });

    expect(judgePath(policy, fromText(join(home, 'app/sub/private')), 'read').verdict).toBe('deny');
  });

  test('PO01 a project file of a wrong name is told', async () => {
    expect((await compileIn(tempHome({ 'app/.agentfw.yml': 'version: 1\n' }))).notes).toEqual([expect.stringContaining('the name is .agentfw.yaml')]);
  });

  test('RD19 PO02 the state and every policy directory are hidden, and no hole can be made', async () => {
    const home = tempHome({ [user]: 'version: 1\nexcept: {agentfw.state: ["~/**"], agentfw.config: ["~/**"]}\n', 'app/a': '' });
    const { policy } = await compileIn(home, { flags: { share: [join(home, '.config/agentfw')] } });

    for (const path of ['.local/state/agentfw/trust.json', user, managed]) expect(judgePath(policy, fromText(join(home, path)), 'read').verdict).toBe('deny');
    expect(policy.loosened.map(({ what }) => what)).toContain('except agentfw.state');
  });

  test('`extends` of an untrusted project file brings no grants', async () => {
    const home = tempHome({ 'app/.agentfw.yaml': 'version: 1\nextends: claude-code\n' });
    const { policy } = await compileIn(home);

    expect(judgeHost(policy, { host: 'api.anthropic.com', port: 443 }).verdict).toBe('ask');
  });

  test('an unknown profile is refused with the nearest', async () => {
    expect(await codeOf(compileIn(tempHome({ 'app/a': '' }), { profile: 'claud-code' }))).toContain('There is no profile `claud-code`.');
  });

  test('PO05 the digest covers everything that decides, and a cached parse gives the same', async () => {
    const home = tempHome({ [user]: 'version: 1\nfiles: {hide: ["~/x"]}\n', 'app/a': '', '.local/state/agentfw/format': 'agentfw store 1\n' });
    const first = (await compileIn(home)).policy;
    const again = (await compileIn(home)).policy;
    put(join(home, user), 'version: 1\nfiles: {hide: ["~/y"]}\n');
    const other = (await compileIn(home)).policy;

    expect(readdirSync(join(home, '.local/state/agentfw/cache/policy')).length).toBeGreaterThan(5);
    expect(again).toEqual(first);
    expect(other.digest).not.toBe(first.digest);
    expect(JSON.parse(JSON.stringify(first))).toEqual(first);
  });

  test('in the store of another nothing is kept: it may lead root anywhere', () => {
    const home = tempHome({ 'format': 'agentfw store 1\n' });
    for (const uid of [(process.geteuid?.() ?? 0) + 1, process.geteuid?.() ?? 0]) {
      expect(existsSync(join(home, 'cache'))).toBe(false);
      toCache(cacheIn(home, uid), 'digest', {});
    }
    expect(existsSync(join(home, 'cache'))).toBe(true);
  });

  test('`./` in a user policy is the repository, whatever project files lie above', async () => {
    const home = tempHome({ [user]: 'version: 1\nchanges: {commit: ["./src/**"]}\n', 'app/.git/HEAD': '', '.agentfw.yaml': 'version: 1\n', 'app/sub/x': '' });
    const { policy } = await compileIn(home, { cwd: join(home, 'app/sub') });

    expect(policy.project).toBe(join(home, 'app'));
  });

  test.runIf(process.geteuid?.() === 0)('a project file of another user is not read where anybody may put one', async () => {
    const home = tempHome({ 'all/work/.keep': '', 'all/.agentfw.yaml': 'nonsense' });
    const [all, work] = [join(home, 'all'), join(home, 'all/work')];
    const compiled = async (): Promise<string> => compileIn(home, { cwd: work }).then(({ notes }) => notes.join(), (error: unknown) => String(error));

    chownSync(join(all, '.agentfw.yaml'), 65534, 65534);
    expect(await compiled()).toContain('is not valid');
    chmodSync(all, 0o1777);
    expect(await compiled()).toBe(`${all}/.agentfw.yaml is not read: it belongs to another user, and anybody may put something there`);
    expect(projectFiles(work, home)).toEqual([]);
    chownSync(work, 65534, 65534);
    expect(await compiled()).toContain('is not valid');
  });
  test.runIf(process.geteuid?.() === 0)('a `.git` of another user in a directory above is no repository, unless the working directory is theirs, too', async () => {
    const home = tempHome({ 'all/work/.keep': '', 'all/.git/HEAD': '' });
    const [all, work] = [join(home, 'all'), join(home, 'all/work')];
    const projects = async (): Promise<string[]> => [(await compileIn(home, { cwd: work })).policy.project, toText(projectOf(fromText(work), []))];
    const given = (dir: string, uid: number): void => chownSync(dir, uid, uid);

    given(join(all, '.git'), 65534);
    expect(await projects()).toEqual([work, work]);
    given(work, 65534);
    expect(await projects()).toEqual([all, all]);
    given(work, 0);
    given(join(all, '.git'), 0);
    expect(await projects()).toEqual([all, all]);
  });
});

describe('trust', () => {
  test('binds path and digest, and is undone', () => {
    const state = join(tempHome(), 'state');
    trust(state, '/p/.agentfw.yaml', { digest: 'abc', at: 'now' });

    expect(isTrusted(readTrust(state), '/p/.agentfw.yaml', 'abc')).toBe(true);
    expect(isTrusted(readTrust(state), '/p/.agentfw.yaml', 'abd')).toBe(false);
    expect(isTrusted(readTrust(state), '/q/.agentfw.yaml', 'abc')).toBe(false);
    expect(untrust(state, '/p/.agentfw.yaml')).toBe(true);
    expect(untrust(state, '/p/.agentfw.yaml')).toBe(false);
  });
  test('a damaged store is refused', () => {
    const state = tempHome({ 'trust.json': '{' });

    expect(() => readTrust(state)).toThrow('is damaged');
  });
});

test('a profile that comes to know another agent is seen by the next start', async () => {
  const home = tempHome({ '.local/state/agentfw/format': '1\n', 'app/a': '' });
  put(join(home, 'bin/robot'), '#!/bin/sh\n', 0o755);
  const profilesDir = join(home, 'profiles');
  cpSync(PROFILES, profilesDir, { recursive: true });
  const chosen = async (): Promise<string> => (await compileIn(home, { argv: ['robot'], profilesDir })).policy.profile.name;
  const before = [await chosen(), await chosen()];
  const file = join(profilesDir, 'aider.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('executables: [', 'executables: [robot, '));

  expect([...before, await chosen()]).toEqual(['generic', 'generic', 'aider']);
});
