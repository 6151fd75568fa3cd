import { describe, expect, test } from 'vitest';
import { environmentOf } from '../../src/sandbox/environment.js';

const account = { name: 'u', home: '/home/u', shell: '/bin/bash' };

/** `env` is what the policy let through, `set` the names that somebody gave a value. */
function of(env: Record<string, string>, set: readonly string[] = []): Record<string, string> {
  const built = { env, kept: Object.keys(env), set, dropped: [], path: { moved: [], removed: [] } };
  const entries = environmentOf({ built, tag: 't', cwd: '/w', realHome: '/data/u', account });
  return Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}

describe('the environment', () => {
  test('has what every program needs, even from nothing', () => {
    expect(of({})).toEqual({
      HOME: '/home/u', USER: 'u', LOGNAME: 'u', SHELL: '/bin/bash', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      PWD: '/w', AGENTFW: '1', AGENTFW_TAG: 't',
      GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'url.file:///.insteadOf', GIT_CONFIG_VALUE_0: '/',
    });
  });

  test('what somebody set stands, whatever it is', () => {
    expect(of({ HOME: '/h', TMPDIR: '/tmp/mine', PWD: '/p', AGENTFW_TAG: 'x' }, ['HOME', 'TMPDIR', 'PWD', 'AGENTFW_TAG'])).toMatchObject({
      HOME: '/h', TMPDIR: '/tmp/mine', PWD: '/p', AGENTFW_TAG: 't',
    });
  });

  test('git clones a path by its transport, whatever else is set for it', () => {
    expect(of({ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'a.b', GIT_CONFIG_VALUE_0: 'c' })).toMatchObject({
      GIT_CONFIG_COUNT: '2', GIT_CONFIG_KEY_0: 'a.b', GIT_CONFIG_KEY_1: 'url.file:///.insteadOf', GIT_CONFIG_VALUE_1: '/',
    });
    expect(of({ GIT_CONFIG_COUNT: 'x' })['GIT_CONFIG_COUNT']).toBe('x');
  });

  test.each([['/tmp/user/1000', '/tmp'], ['/var/tmp', '/tmp'], ['/home/u/tmp', '/home/u/tmp'], ['/tmpfiles', '/tmpfiles']])('TMPDIR %s becomes %s', (given, expected) => {
    expect(of({ TMPDIR: given })['TMPDIR']).toBe(expected);
  });

  test('a home directory is named by where it lies if the sandbox lacks the way to it', () => {
    expect(of({ HOME: '/tmp/link' })['HOME']).toBe('/data/u');
    expect(of({ HOME: '/home/link' })['HOME']).toBe('/home/link');
    expect(of({ HOME: '/tmp/link' }, ['HOME'])['HOME']).toBe('/tmp/link');
  });
});
