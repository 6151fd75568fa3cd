import { describe, expect, test } from 'vitest';
import { environmentOf, type EnvironmentOptions } from '../../src/sandbox/environment.js';

const account = { name: 'u', home: '/home/u', shell: '/bin/bash' };

function of(env: Record<string, string>, given: EnvironmentOptions['given'] = []): Record<string, string> {
  const entries = environmentOf({ env, given, tag: 't', cwd: '/w', account });
  return Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}

describe('the environment', () => {
  test('has what every program needs, even from nothing', () => {
    expect(of({})).toEqual({
      HOME: '/home/u', USER: 'u', LOGNAME: 'u', SHELL: '/bin/bash', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      PWD: '/w', AGENTFW: '1', AGENTFW_TAG: 't',
    });
  });

  test.each([
    'LD_PRELOAD', 'LD_LIBRARY_PATH', 'BASH_ENV', 'ENV', 'BASH_FUNC_ls%%', 'PROMPT_COMMAND', 'PYTHONSTARTUP', 'NODE_OPTIONS', 'PERL5OPT', 'RUBYOPT',
    'GEM_HOME', '_JAVA_OPTIONS', 'GIT_DIR', 'GIT_SSH_COMMAND', 'SSH_AUTH_SOCK', 'DBUS_SESSION_BUS_ADDRESS', 'DISPLAY', 'WAYLAND_DISPLAY', 'XAUTHORITY',
    'VSCODE_IPC_HOOK', 'TMUX', 'SUDO_USER', 'DOCKER_HOST', 'KUBECONFIG', 'AGENTFW_STATE_DIR', 'AGENTFW_BACKGROUND', 'GPG_AGENT_INFO',
  ])('drops `%s`', (name) => {
    expect(of({ [name]: 'x' })).not.toHaveProperty([name]);
  });

  test.each(['EDITOR', 'LANG', 'TERM', 'NODE_ENV', 'GIT_AUTHOR_NAME', 'GIT_COMMITTER_EMAIL', 'ENVIRONMENT', 'MY_LD_PRELOAD'])('passes `%s`', (name) => {
    expect(of({ [name]: 'x' })).toHaveProperty([name], 'x');
  });

  test('`--env NAME` lets a variable pass that would be dropped, `--env NAME=VALUE` sets one', () => {
    const env = of({ NODE_OPTIONS: 'kept', LD_PRELOAD: 'x' }, [{ name: 'NODE_OPTIONS', value: null }, { name: 'MINE', value: 'a=b' }, { name: 'HOME', value: '/h' }]);

    expect(env).toMatchObject({ NODE_OPTIONS: 'kept', MINE: 'a=b', HOME: '/h' });
    expect(env).not.toHaveProperty('LD_PRELOAD');
  });

  test.each([['/tmp/user/1000', '/tmp'], ['/var/tmp', '/tmp'], ['/home/u/tmp', '/home/u/tmp'], ['/tmpfiles', '/tmpfiles']])('TMPDIR %s becomes %s', (given, expected) => {
    expect(of({ TMPDIR: given })['TMPDIR']).toBe(expected);
  });
});
