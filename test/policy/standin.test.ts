import { describe, expect, test } from 'vitest';
import { standInFor, STAND_INS } from '../../src/policy/standin.js';

describe('RD01 stand-ins of package manager files', () => {
  test('registry and scope lines stay, credentials go', () => {
    const text = 'registry=https://npm.example/\n@a:registry=https://u:secret@scoped.example/\n//npm.example/:_authToken=npm_secret\n_auth=secret\nemail=a@b\nregistry=${SECRET}\n//x/:registry-secret=1\n';

    expect(standInFor('.npmrc', text)).toBe('registry=https://npm.example/\n@a:registry=https://scoped.example/\n');
  });

  test('a password with an at sign goes whole', () => {
    expect(standInFor('.npmrc', 'registry=https://u:p@secret@npm.example/@a/\n')).toBe('registry=https://npm.example/@a/\n');
  });

  test('pip keeps its index without the password', () => {
    expect(standInFor('pip.conf', '[global]\nindex-url = https://u:secret@pip.example/simple\nclient-cert = /x\n')).toBe('[global]\nindex-url = https://pip.example/simple\n');
  });

  test('what guards or finds without a credential stays: no scripts, wheels of this machine', () => {
    expect(standInFor('.npmrc', 'ignore-scripts=true\nstrict-ssl=true\n//h/:_password=x\n')).toBe('ignore-scripts=true\nstrict-ssl=true\n');
    expect(standInFor('pip.conf', '[global]\nfind-links = /opt/wheels\nno-index = true\nproxy = http://u:p@h\n')).toBe('[global]\nfind-links = /opt/wheels\nno-index = true\n');
  });

  test('yarn keeps its server, not its token', () => {
    expect(standInFor('.yarnrc.yml', 'npmRegistryServer: https://y.example\nnpmAuthToken: secret\nnpmScopes:\n  a:\n    npmAuthToken: secret\n')).toBe('npmRegistryServer: https://y.example\n');
  });

  test('any other file has none', () => {
    expect(standInFor('.netrc', 'machine x')).toBeNull();
    expect(STAND_INS.every((name) => standInFor(name, 'secret') === '\n')).toBe(true);
  });
});
