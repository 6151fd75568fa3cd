/** The `policy` commands end to end: bundled once, each run in an emptied environment. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { put, tempHome } from './temp.js';

const root = new URL('../../', import.meta.url).pathname;
// Two directories down, as the product's own bundle is: profiles and the addon are found from there.
const bundle = join(root, '.tmp/policy-commands/cli.mjs');
const names = ['check', 'show', 'explain', 'test', 'init', 'trust', 'untrust', 'diff'];

beforeAll(async () => {
  const contents = `const load = {${names.map((name) => `${name}: () => import('./src/commands/policy/${name}.js')`).join()}};
    const { default: Command } = await load[process.argv[2]]();
    await new Command(process.argv.slice(3), { bin: 'agentfw' }).run();`;
  await build({ stdin: { contents, resolveDir: root }, bundle: true, platform: 'node', format: 'esm', packages: 'external', outfile: bundle, logLevel: 'error' });
});

function cli(home: string, ...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  const cwd = join(home, 'app');
  mkdirSync(cwd, { recursive: true });
  const { status, stdout, stderr } = spawnSync(process.execPath, [bundle, ...argv], { cwd, encoding: 'utf8', env: { HOME: home, PATH: '/usr/bin:/bin' } });
  const plain = (text: string): string => text.replaceAll(home, '~');
  return { status, stdout: plain(stdout), stderr: plain(stderr) };
}

describe('agentfw policy', () => {
  test('`check` names the place and the nearest word, and fails', () => {
    const home = tempHome({ 'app/p.yaml': 'version: 1\nchanges:\n  comit: ["./src/**"]\n' });

    expect(cli(home, 'check', 'p.yaml')).toEqual({
      status: 1, stderr: '', stdout: 'p.yaml:3:3: unknown key `comit` in `changes`\n    comit: ["./src/**"]\n    Did you mean `commit`?\n',
    });
    expect(JSON.parse(cli(home, 'check', 'p.yaml', '--json').stdout)).toMatchObject({ version: 1, ok: false, problems: [{ line: 3, col: 3 }] });
  });

  test.each([
    ['a rule that does not exist', 'except: {secrets.pemm: ["./x"]}', 'p.yaml:2:10: there is no rule `secrets.pemm`\n    Did you mean `secrets.pem`?\n'],
    ['an exemption of a command from the sandbox (WR25)', 'excludedCommands: ["git:*"]', 'p.yaml:2:1: unknown key `excludedCommands`'],
    ['a socket that does not exist', 'sockets: {allow: [dokcer]}', 'p.yaml:2:19: there is no socket named `dokcer`\n    Did you mean `docker`?\n'],
    ['names that every object has', 'constructor: 1\ntoString: x', 'p.yaml:2:1: unknown key `constructor`'],
    ['the name that sets what an object is made from', '__proto__: {a: 1}', 'p.yaml:2:1: `__proto__` names nothing'],
    ['a profile that does not exist', 'extends: claud-code', 'p.yaml:2:10: there is no profile `claud-code`\n    Did you mean claude-code?\n'],
  ])('`check` shows %s, known only when all is compiled, like any other mistake', (_, text, says) => {
    const { status, stdout } = cli(tempHome({ 'app/p.yaml': `version: 1\n${text}\n` }), 'check', 'p.yaml');

    expect(status).toBe(1);
    expect(stdout).toContain(says);
  });

  test('what is no file of text is refused at once, not read', () => {
    const home = tempHome();
    mkdirSync(join(home, 'app'));
    spawnSync('mkfifo', [join(home, 'app/fifo')]);

    for (const file of ['fifo', '/dev/zero', '.']) {
      expect(cli(home, 'check', file)).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('it is not a regular file') as string });
    }
    expect(cli(home, 'test', '/dev/zero')).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('it is not a regular file') as string });
    expect(cli(home, 'check', 'none')).toMatchObject({ status: 1, stderr: expect.stringContaining('There is no file none') as string });
  });

  test('`check` without a file checks all that hold here, and tells what could not be loosened', () => {
    const home = tempHome({ 'app/.agentfw.yaml': 'version: 1\nnetwork: {allow: [x.example]}\n' });
    const { status, stdout } = cli(home, 'check');

    expect(status).toBe(0);
    expect(stdout).toContain('policy files are valid');
    expect(stdout).toContain('network.allow x.example in ~/app/.agentfw.yaml:2:19 (project): a project file may only tighten until it is trusted');
  });

  test('`explain` gives verdict, rule and place', () => {
    const { status, stdout } = cli(tempHome(), 'explain', 'path', 'src/../.env');

    expect(status).toBe(0);
    expect(stdout).toMatch(/^verdict {2}deny\nsubject {2}read ~\/app\/\.env\nrule {5}secrets\.env\nfrom {5}profiles\/base-secrets\.yaml:\d+:\d+ \(built-in\)\nbecause {2}it is hidden\n/);
  });

  test('`explain` and `test` judge what lies behind a symlink where it lies', () => {
    const home = tempHome({ '.aws/config': '', 'app/x': '', 'app/cases.yaml': 'version: 1\ncases: [{path: cloud/config, expect: deny}, {path: cloud/none, expect: allow}]\n' });
    symlinkSync('../.aws', join(home, 'app/cloud'));
    for (const path of ['cloud', 'cloud/config', 'cloud/none']) {
      expect(JSON.parse(cli(home, 'explain', 'path', path, '--json').stdout), path).toMatchObject({ verdict: 'deny', subject: `~/.aws${path.slice('cloud'.length)}` });
    }
    expect(JSON.parse(cli(home, 'explain', 'path', 'x', '--json').stdout)).toMatchObject({ verdict: 'allow', subject: '~/app/x' });
    expect(JSON.parse(cli(home, 'test', 'cases.yaml', '--json').stdout)).toMatchObject({ passed: 1, failed: [{ got: { subject: '~/.aws/none', verdict: 'deny' } }] });
  });

  test.each([[['explain', 'file', 'x']], [['explain', 'path']], [['explain', 'path', 'x', '--op', 'run']], [['diff', 'x']], [['test']]])('%j is a usage error', (argv) => {
    expect(cli(tempHome(), ...argv).status).toBe(2);
  });

  test('`explain --agent` asks the profile of a command or by name', () => {
    const home = tempHome();

    expect(JSON.parse(cli(home, 'explain', 'host', 'api.openai.com', '--agent', 'codex', '--json').stdout)).toMatchObject({ verdict: 'allow', subject: 'api.openai.com:443' });
    expect(JSON.parse(cli(home, 'explain', 'host', 'api.openai.com', '--json').stdout)).toMatchObject({ verdict: 'ask', rule: 'network.default' });
  });

  test('`init` writes a file that is valid and changes nothing', () => {
    const home = tempHome();
    const before = JSON.parse(cli(home, 'show', '--json', '--effective').stdout) as { rules: unknown[] };
    const { status, stderr } = cli(home, 'init', '--agent', 'claude-code');
    const after = JSON.parse(cli(home, 'show', '--json', '--effective').stdout) as { rules: unknown[] };

    expect([status, stderr]).toEqual([0, 'Wrote ~/.config/agentfw/policy.yaml\n']);
    expect(readFileSync(join(home, '.config/agentfw/policy.yaml'), 'utf8')).toContain('# The profile allows: api.anthropic.com');
    expect(after.rules).toEqual(before.rules);
    expect(cli(home, 'init').status).toBe(1);
  });

  test('`init` says what to do where there is no place for a file, and makes no home', () => {
    const home = tempHome();
    writeFileSync(join(home, 'file'), '');
    for (const [place, why] of [['none', 'the home directory /none does not exist'], ['file', 'ENOTDIR']] as const) {
      const { status, stderr } = spawnSync(process.execPath, [bundle, 'init'], { cwd: home, encoding: 'utf8', env: { HOME: join(home, place), PATH: '/usr/bin:/bin' } });

      expect([status, stderr.replaceAll(home, '')]).toEqual([1, expect.stringMatching(new RegExp(`^Error: Can't write /${place}/\\S+/policy\\.yaml\nCaused by: .*${why}.*\nHint: Name another place for it: XDG_CONFIG_HOME=DIR`))]);
      expect(existsSync(join(home, 'none'))).toBe(false);
    }
  });

  test('`explain` says where the search for hidden names does not come to', () => {
    const home = tempHome({ 'app/.env': '', 'app/node_modules/p/.env': '', 'work/.git': '', 'work/target/in/.env': '' });
    const because = (...argv: string[]): string | undefined => /^because {2}(.*)$/m.exec(cli(home, 'explain', 'path', ...argv).stdout)?.[1];

    expect(because('.env')).toBe('it is hidden');
    expect(because('node_modules/p/.env')).toBe('it is hidden, but the search for it keeps out of ~/app/node_modules');
    expect(because('~/work/target/in/.env')).toBe('it is hidden, but the search for it keeps out of ~/work/target');
    expect(because('/opt/there/.env')).toBe('it is hidden in home, project and working directory, and this is in none of them');
    expect(because('~/.ssh/id_rsa')).toBe('it is hidden');
    expect(because('node_modules/p/.env', '--op', 'commit')).not.toContain('search');
  });

  test('`test` compares a table, and shows the difference', () => {
    const home = tempHome({ 'app/cases.yaml': 'version: 1\ncases:\n  - {path: "~/.ssh/id_rsa", expect: deny}\n  - {path: ./a, expect: commit}\n' });
    const { status, stdout } = cli(home, 'test', 'cases.yaml');

    expect(status).toBe(1);
    expect(stdout).toMatch(/^cases\.yaml:4: path commit ~\/app\/a\n {2}- commit\n {2}\+ escalate by changes\.default, .*\n1 of 2 cases hold\n$/);
  });

  test('`diff` tells what a change allows and forbids', () => {
    const home = tempHome({ 'app/a.yaml': 'version: 1\nnetwork: {allow: [x.example]}\n', 'app/b.yaml': 'version: 1\nfiles: {hide: ["~/q"]}\nnetwork: {default: allow}\n' });

    expect(cli(home, 'diff', 'a.yaml', 'b.yaml').stdout.split('\n').map((line) => line.split(' (')[0])).toEqual(['forbids  files.hide ~/q', 'forbids  network.allow x.example', 'allows   network.default: ask → allow', '']);
  });

  test('a file name can not act on the terminal', () => {
    const home = tempHome();
    writeFileSync(join(home, 'evil\u001b[31m.yaml'), 'version: 1\nx: 1\n');

    expect(cli(home, 'check', '../evil\u001b[31m.yaml').stdout).not.toContain('\u001b');
  });
});

describe('agentfw policy trust', () => {
  test('a hole in a rule is told as what it opens, not as the rule without it', () => {
    const home = tempHome({
      'app/.agentfw.yaml': 'version: 1\nexcept: {secrets.env: ["./test/**"]}\n',
      'app/a.yaml': 'version: 1\nfiles: {hide: [{path: ./p, except: [./p/a]}]}\n', 'app/b.yaml': 'version: 1\nfiles: {hide: [{path: ./p, except: [./p/b]}]}\n',
    });

    expect(cli(home, 'trust', '--yes').stderr).toBe('~/app/.agentfw.yaml will:\n  allow except secrets.env ./test/**\nTrusted ~/app/.agentfw.yaml\n');
    expect(cli(home, 'diff', 'a.yaml', 'b.yaml').stdout.split('\n').map((line) => line.split(' (')[0])).toEqual(['allows   except files.hide:./p ./p/b', 'forbids  except files.hide:./p ./p/a', '']);
  });

  test('asks, shows what it would allow, and is undone', () => {
    const home = tempHome();
    put(join(home, 'app/.agentfw.yaml'), 'version: 1\nchanges: {commit: ["./src/**"]}\nfiles: {hide: ["./x"]}\n');

    const unasked = cli(home, 'trust');
    const trusted = cli(home, 'trust', '--yes');

    expect(unasked.status).not.toBe(0);
    expect(trusted).toMatchObject({ status: 0, stderr: '~/app/.agentfw.yaml will:\n  allow changes.commit ./src/**\nTrusted ~/app/.agentfw.yaml\n' });
    expect(cli(home, 'explain', 'path', 'src/a', '--op', 'commit').stdout).toMatch(/^verdict {2}commit/);
    expect(cli(home, 'untrust').status).toBe(0);
    expect(cli(home, 'explain', 'path', 'src/a', '--op', 'commit').stdout).toMatch(/^verdict {2}escalate/);
  });

  test('PO14 shows how far a rule on a host goes, and what a look-alike is', () => {
    const home = tempHome();
    put(join(home, 'app/.agentfw.yaml'), `version: 1\nnetwork:\n  allow:\n    - {host: a.example, ports: [22, 443], private: true, raw: true}\n    - {host: b.example, methods: [GET]}\n    - "\u0430pi.example"\n`);

    const { stderr } = cli(home, 'trust', '--yes');

    expect(stderr).toContain('allow network.allow a.example (port 22, 443; private; raw)\n');
    expect(stderr).toContain('allow network.allow b.example (port 80; GET)\n');
    expect(stderr).toContain('allow network.allow \u0430pi.example = xn--pi-6kc.example\n');
  });
});
