import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { judgeHost, privateEntry } from '../../src/policy/index.js';
import { machineRegistries } from '../../src/policy/registries.js';
import { compileIn, tempHome } from './temp.js';

describe('`registries` is this machine’s own configuration', () => {
  test('npm, pip, cargo, go and apt are read, comments and credentials are not', () => {
    const home = tempHome({
      '.npmrc': '; registry=https://old.example/\nregistry=https://npm.example/\n@a:registry=https://u:p@scoped.example:8443/x\n//npm.example/:_authToken=t\n',
      '.config/pip/pip.conf': '[global]\nindex-url = https://pip.example/simple\n',
      '.cargo/config.toml': '[source.m]\nregistry = "sparse+https://cargo.example/index/"\n',
      'root/etc/apt/sources.list.d/a.sources': 'Types: deb\nURIs: http://apt.example/debian\n',
      'root/etc/apt/sources.list': '# deb http://no.example x\ndeb http://apt2.example/debian stable main\n',
    });

    expect(machineRegistries({ home, env: { GOPROXY: 'https://go.example,direct', GOSUMDB: 'off' }, root: join(home, 'root') }))
      .toEqual(['apt.example', 'apt2.example', 'cargo.example', 'go.example', 'npm.example', 'pip.example', 'scoped.example:8443']);
  });

  test('a pipe is not waited for: who writes to it may not be there', () => {
    const home = tempHome({ '.cargo/config.toml': 'index = "https://cargo.example/"\n' });
    const pipe = join(home, '.npmrc');
    execFileSync('mkfifo', [pipe]);
    // Else the test would wait, too.
    const writer = spawn('sh', ['-c', 'echo registry=https://npm.example/ > "$1"', 'sh', pipe], { stdio: 'ignore' });

    expect(machineRegistries({ home, env: {}, root: join(home, 'root') })).toEqual(['cargo.example']);

    writer.kill('SIGKILL');
  });

  test('wherever a tool has its configuration: variables, several in one, lines that go on, other directories', () => {
    const home = tempHome({
      'cfg/pip/pip.conf': '[global]\nextra-index-url =\n    https://more1.example/simple\n    # https://no.example/\n    https://more2.example/simple\ntimeout = 5\nproxy = http://proxy.example:3128\n',
      'root/etc/xdg/pip/pip.conf': '[global]\nfind-links = https://links.example/wheels\n',
      'named.conf': '[install]\nindex-url=https://named.example/\n',
      'cfg/uv/uv.toml': '[[index]]\nurl = "https://uv.example/simple"\n',
      'cfg/pypoetry/config.toml': '[repositories.x]\nurl = "https://poetry.example/"\n',
      'cfg/pnpm/rc': 'registry=https://pnpm.example/\n',
      'user.npmrc': 'registry=https://user.example/\n',
      'cfg/go/env': 'GOPROXY=https://goenv.example|direct\n',
      '.gemrc': '---\n:sources:\n- https://gems.example/\n:update_sources: true\n',
      '.bundle/config': '---\nBUNDLE_MIRROR__HTTPS://OLD__EXAMPLE/: "https://bundle.example"\n',
      'root/etc/apt/sources.list.d/b.sources': 'Types: deb\nURIs: http://apt1.example/debian\n http://apt2.example/debian\nSuites: stable\n',
    });
    const env = {
      XDG_CONFIG_HOME: join(home, 'cfg'), PIP_CONFIG_FILE: join(home, 'named.conf'), PIP_EXTRA_INDEX_URL: 'https://a.example/simple https://b.example/simple', UV_INDEX: 'corp=https://uvenv.example/simple',
      npm_config_userconfig: join(home, 'user.npmrc'), 'npm_config_@corp:registry': 'https://scope.example/', CARGO_REGISTRIES_CORP_INDEX: 'sparse+https://crates.example/',
    };

    expect(machineRegistries({ home, env, root: join(home, 'root') }).map((host) => host.replace('.example', ''))).toEqual([
      'a', 'apt1', 'apt2', 'b', 'bundle', 'crates', 'gems', 'goenv', 'links', 'more1', 'more2', 'named', 'pnpm', 'poetry', 'scope', 'user', 'uv', 'uvenv',
    ]);
  });

  test('what npm exports to what it starts may be the project’s `.npmrc`: only what the user sets in capitals counts', () => {
    const home = tempHome({ '.npmrc': 'registry=https://user.example/\n', 'app/evil.npmrc': 'registry=https://evil.example/\n' });
    const exported = { npm_config_registry: 'https://evil.example/', 'npm_config_@corp:registry': 'https://evil.example/', npm_config_userconfig: join(home, 'app/evil.npmrc') };

    for (const sign of [{ npm_execpath: '/usr/lib/node_modules/npm/bin/npm-cli.js' }, { npm_config_user_agent: 'yarn/1.22.22 npm/? node/v20.20.2 linux x64' }]) {
      expect(machineRegistries({ home, env: { ...exported, ...sign, NPM_CONFIG_REGISTRY: 'https://own.example/' }, root: join(home, 'root') })).toEqual(['own.example', 'user.example']);
    }
  });

  test('a tool’s own default is read from the tool', () => {
    const home = tempHome({
      'lib/npm/bin/npm-cli.js': '', 'lib/npm/node_modules/@npmcli/config/lib/definitions/definitions.js': "define('registry', {\n  default: 'https://default.example/',\n",
      'root/usr/lib/python3/dist-packages/pip/_internal/models/index.py': 'P = PackageIndex("https://py.example/", file_storage_domain="files.example")\nT = PackageIndex("https://test.example/", file_storage_domain="t")\n',
    });
    mkdirSync(join(home, 'bin'));
    symlinkSync(join(home, 'lib/npm/bin/npm-cli.js'), join(home, 'bin/npm'));

    expect(machineRegistries({ home, env: { PATH: join(home, 'bin') }, root: join(home, 'root') })).toEqual(['default.example', 'files.example', 'py.example']);
  });

  test('a mirror by address counts with its port; one on loopback, or of a single name, does not', () => {
    const home = tempHome({
      '.npmrc': 'registry=http://10.1.2.3:4873/\n@a:registry=http://localhost:4873/\n@b:registry=http://127.0.0.1:4873/\n@c:registry=http://[::1]:4873/\n@d:registry=http://nexus/\n',
      '.config/pip/pip.conf': '[global]\nindex-url = https://[fd12::5]:8443/simple\nextra-index-url = https://[::ffff:127.0.0.2]/simple\n',
    });

    expect(machineRegistries({ home, env: {}, root: join(home, 'root') })).toEqual(['10.1.2.3:4873', '[fd12::5]:8443']);
  });

  test('one at a private address needs a rule that says so, and the rule is named', async () => {
    const files = { '.npmrc': 'registry=https://npm.corp.example:8443/\n@a:registry=http://10.1.2.3:4873/\n' };
    const home = tempHome({ ...files, '.config/agentfw/policy.yaml': 'version: 1\nnetwork: {default: deny, allow: [registries]}\n' });
    const { policy } = await compileIn(home);
    const name = judgeHost(policy, { host: 'npm.corp.example', port: 8443, addresses: ['10.1.2.4'] });
    const address = judgeHost(policy, { host: '10.1.2.3', port: 4873 });

    for (const [found, host, port] of [[name, 'npm.corp.example', 8443], [address, '10.1.2.3', 4873]] as const) {
      expect(found).toMatchObject({ verdict: 'deny', rule: 'net.private' });
      expect(privateEntry(found, host, port)).toBe('{host: registries, private: true}');
    }
    const mended = tempHome({ ...files, '.config/agentfw/policy.yaml': 'version: 1\nnetwork: {default: deny, allow: [{host: registries, private: true}]}\n' });
    const open = (await compileIn(mended)).policy;
    expect(judgeHost(open, { host: 'npm.corp.example', port: 8443, addresses: ['10.1.2.4'] }).verdict).toBe('allow');
    expect(judgeHost(open, { host: '10.1.2.3', port: 4873 }).verdict).toBe('allow');
    expect(judgeHost(open, { host: '10.1.2.3', port: 443 }).verdict).toBe('deny');
  });

  test('the project’s own files play no part', async () => {
    const home = tempHome({ 'app/.npmrc': 'registry=https://evil.example/\n', '.npmrc': 'registry=https://npm.example/\n', '.config/agentfw/policy.yaml': 'version: 1\nnetwork: {default: deny, allow: [registries]}\n' });
    const { policy } = await compileIn(home);

    expect(judgeHost(policy, { host: 'npm.example', port: 443 }).verdict).toBe('allow');
    expect(judgeHost(policy, { host: 'evil.example', port: 443 }).verdict).toBe('deny');
  });
});
