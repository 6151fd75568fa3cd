import { chmodSync, linkSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromText, toText } from '../../src/bytes.js';
import { resolveHides, type ResolvedHides } from '../../src/policy/index.js';
import { policyOf, type Layers } from './make.js';
import { tempHome } from './temp.js';

async function resolveIn(home: string, layers: Layers = {}): Promise<ResolvedHides & { found: string[] }> {
  const policy = await policyOf({ home, root: join(home, 'app'), ...layers });
  const resolved = await resolveHides(policy);
  return { ...resolved, found: resolved.hides.filter(({ kind, path }) => kind !== 'absent' && path.startsWith(`${home}/`)).map(({ path }) => toText(path).slice(home.length + 1)) };
}

describe('hides as paths of this machine', () => {
  test('RD01 RD17 literal paths, names at any depth and wildcards are found', async () => {
    const home = tempHome({ '.netrc': '', '.bash_history': '', '.aws/credentials': '', 'app/.env': '', 'app/deep/er/.env.local': '', 'app/.env.example': '', 'app/tls.key': '', 'notes.txt': '' });

    expect((await resolveIn(home)).found).toEqual(['.aws', '.bash_history', '.netrc', 'app/.env', 'app/deep/er/.env.local', 'app/tls.key']);
  });

  test('RD01 a project in a directory that the search keeps out of is searched', async () => {
    const home = tempHome({ '.cache/work/.env': '', '.cache/other/.env': '', 'mnt/server/.env': '', 'mnt/b/.env': '', 'c/mnt/.env': '' });
    const found = async (root: string): Promise<readonly string[]> => {
      const policy = await policyOf({ home, root: join(home, root) });
      const { hides, incomplete } = await resolveHides(policy, { remote: ['mnt', 'mnt/b', 'c/mnt', '.cache/work/mnt'].map((dir) => fromText(join(home, dir))) });
      return [...hides.filter(({ kind, rule }) => kind === 'file' && rule === 'secrets.env').map(({ path }) => toText(path).slice(home.length + 1)), incomplete ?? ''];
    };
    const away = (...mounts: string[]): string => `it keeps out of what other machines or programs mount: ${mounts.map((dir) => join(home, dir)).join(', ')}`;

    expect(await found('app')).toEqual([away('mnt', 'c/mnt')]);
    expect(await found('.cache/work')).toEqual(['.cache/work/.env', away('mnt', 'c/mnt', '.cache/work/mnt')]);
    expect(await found('mnt/server')).toEqual(['mnt/server/.env', away('mnt', 'c/mnt')]);
    expect(await found('c/mnt')).toEqual(['c/mnt/.env', away('mnt')]);
  });

  test('a directory with exceptions stays, without what is not excepted', async () => {
    const home = tempHome({ '.ssh/id_rsa': '', '.ssh/id_rsa.pub': '', '.ssh/config': '', '.ssh/known_hosts.old': '', '.ssh/deep/key': '' });

    expect((await resolveIn(home)).found).toEqual(['.ssh/deep', '.ssh/id_rsa']);
  });

  test('RD07 case variants on disk are found', async () => {
    const home = tempHome({ 'app/.ENV': '', 'app/Server.PEM': '', '.Bash_History': '' });

    expect((await resolveIn(home)).found).toEqual(['.Bash_History', 'app/.ENV', 'app/Server.PEM']);
  });

  test('what a hidden link leads to is hidden too', async () => {
    const home = tempHome({ 'dotfiles/netrc': 'x', 'vault/prod': 'x' });
    symlinkSync(join(home, 'dotfiles/netrc'), join(home, '.netrc'));
    mkdirSync(join(home, 'app'));
    symlinkSync('../vault/prod', join(home, 'app/.env'));

    expect((await resolveIn(home)).found).toEqual(['.netrc', 'app/.env', 'dotfiles/netrc', 'vault/prod']);
  });

  test('a link that leads out of the trees is reported, not followed', async () => {
    const home = tempHome({});
    mkdirSync(join(home, 'app'));
    symlinkSync('/etc/hostname', join(home, 'app/.env'));
    const { found, leaks } = await resolveIn(home);

    expect(found).toEqual(['app/.env']);
    expect(leaks).toContainEqual(expect.objectContaining({ path: '/etc/hostname' }));
  });

  test('RD05 what nobody else may read is hidden wherever a link leads, and a device is no leak', async () => {
    const home = tempHome({});
    const outside = tempHome({ token: 'x', shown: 'x' });
    chmodSync(join(outside, 'token'), 0o640);
    chmodSync(join(outside, 'shown'), 0o644);
    symlinkSync(join(outside, 'token'), join(home, '.netrc'));
    symlinkSync(join(outside, 'shown'), join(home, '.git-credentials'));
    symlinkSync('/dev/null', join(home, '.bash_history'));
    const { found, hides, leaks } = await resolveIn(home);

    expect(found).toEqual(['.bash_history', '.git-credentials', '.netrc']);
    expect(hides.map(({ path }) => path)).toContain(join(outside, 'token'));
    expect(leaks.map(({ path }) => path)).toEqual([join(outside, 'shown')]);
  });

  test('RD04 other names of a hidden file are hidden, and counted when they can not be found', async () => {
    const home = tempHome({ '.netrc': 'x', 'app/a': '', 'node_modules/m/a': '' });
    linkSync(join(home, '.netrc'), join(home, 'app/innocent.txt'));
    linkSync(join(home, '.netrc'), join(home, 'node_modules/m/copy'));
    const { found, leaks } = await resolveIn(home);

    expect(found).toEqual(['.netrc', 'app/innocent.txt']);
    expect(leaks).toEqual([{ path: join(home, '.netrc'), why: 'it has 1 other name outside the searched trees' }]);
  });

  test('heavy directories are not searched, but exact paths in them are looked up', async () => {
    const home = tempHome({ 'app/node_modules/m/.env': '', 'app/node_modules/secret.txt': '' });

    expect((await resolveIn(home, { user: 'version: 1\nfiles: {hide: ["./node_modules/secret.txt"]}\n' })).found).toEqual(['app/node_modules/secret.txt']);
  });

  test('what does not exist is listed as absent, so that it can be hidden when it comes', async () => {
    const { hides } = await resolveIn(tempHome({ 'app/a': '' }));

    expect(hides).toContainEqual(expect.objectContaining({ kind: 'absent', rule: 'secrets.cloud' }));
  });

  test('names that are not UTF-8 or hold a newline are found', async () => {
    const home = tempHome({ 'app/x/.env': '', 'app/y/.env': '' });
    renameSync(join(home, 'app/x'), Buffer.from(`${home}/app/\xff`, 'latin1'));
    renameSync(join(home, 'app/y'), join(home, 'app/a\nb'));
    const policy = await policyOf({ home, root: join(home, 'app') });
    const paths = (await resolveHides(policy)).hides.map(({ path }) => path as string);

    expect(paths).toContain(`${fromText(`${home}/app/`)}\xff/.env`);
    expect(paths).toContain(fromText(`${home}/app/a\nb/.env`));
  });

  test('a walk that gives up says so', async () => {
    const home = tempHome({ 'app/a/1': '', 'app/b/1': '', 'app/c/1': '' });
    const policy = await policyOf({ home, root: join(home, 'app') });

    expect((await resolveHides(policy, { limit: 1 })).incomplete).toMatch(/gave up after/);
  });

  test('`except` by id makes a hole, `--share` too', async () => {
    const home = tempHome({ 'app/test/fixture.pem': '', 'app/prod.pem': '', 'app/.env': '' });
    const layers = { user: 'version: 1\nexcept: {secrets.pem: ["./test/**"]}\n', flags: { share: ['.env'] } };

    expect((await resolveIn(home, layers)).found).toEqual(['app/prod.pem']);
  });

  test('RD10 each agent sees its own credential only', async () => {
    const home = tempHome({ '.claude/.credentials.json': '', '.codex/auth.json': '', '.claude.json': '', 'app/a': '' });

    expect((await resolveIn(home, { profile: 'claude-code' })).found).toEqual(['.codex/auth.json']);
    expect((await resolveIn(home, { profile: 'codex' })).found).toEqual(['.claude.json', '.claude/.credentials.json']);
  });

  test('a hidden name inside a skipped tree of another rule is still walked for anchored `**` rules', async () => {
    const home = tempHome({ 'app/conf/a/prod.json': '', 'app/conf/a/dev.json': '' });

    expect((await resolveIn(home, { user: 'version: 1\nfiles: {hide: ["./conf/**/prod.json"]}\n' })).found).toEqual(['app/conf/a/prod.json']);
  });
});
