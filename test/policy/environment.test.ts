import { describe, expect, test } from 'vitest';
import { buildEnvironment } from '../../src/policy/index.js';
import { credentialIn } from '../../src/policy/tokens.js';
import { HOME, policyOf, PROJECT, type Layers } from './make.js';

async function build(host: Record<string, string>, layers: Layers = {}) {
  return buildEnvironment(await policyOf(layers), host, PROJECT);
}

describe('the environment is rebuilt from an allow-list', () => {
  test('CR01 what is not listed does not pass, and is reported without its value', async () => {
    const { env, dropped } = await build({ HOME, PATH: '/usr/bin', LC_ALL: 'C', MY_VAR: 'hunter2', GITHUB_TOKEN: 'x' });

    expect(env).toMatchObject({ HOME, PATH: '/usr/bin', LC_ALL: 'C', AGENTFW: '1' });
    expect(dropped).toEqual([
      { name: 'GITHUB_TOKEN', rule: 'env.secret', why: 'its name looks like a credential' },
      { name: 'MY_VAR', rule: 'environment.default', why: 'no rule keeps it' },
    ]);
    expect(JSON.stringify(dropped)).not.toContain('hunter2');
  });

  test.each(['LD_PRELOAD', 'LD_AUDIT', 'BASH_ENV', 'ENV', 'PYTHONSTARTUP', 'NODE_OPTIONS', 'GIT_EXEC_PATH', 'PERL5OPT', 'RUBYOPT', 'JAVA_TOOL_OPTIONS', 'BASH_FUNC_ls%%', 'GIT_CONFIG_COUNT', 'GLIBC_TUNABLES'])('EX08 %s never passes, however it is asked for', async (name) => {
    const user = 'version: 1\nenvironment: {keep: ["*", NODE_OPTIONS, LD_PRELOAD], set: {LD_AUDIT: x}, secrets: keep}\n';
    const plain = /^\w+$/.test(name);
    const { env, dropped } = await build({ [name]: 'x' }, { user, flags: plain ? { env: [name, `${name}=y`] } : {} });

    expect(env).not.toHaveProperty([name]);
    expect(dropped.map((one) => one.name)).toContain(name);
  });

  test('an exact `keep` passes a secret, a pattern does not', async () => {
    const host = { AWS_PROFILE: 'p', AWS_SECRET_ACCESS_KEY: 's', MY_API_KEY: 'k' };
    const pattern = await build(host, { user: 'version: 1\nenvironment: {keep: ["AWS_*", "MY_*"]}\n' });
    const exact = await build(host, { user: 'version: 1\nenvironment: {keep: [AWS_PROFILE]}\n', flags: { env: ['MY_API_KEY'] } });

    expect(Object.keys(host).filter((name) => name in pattern.env)).toEqual([]);
    expect(Object.keys(host).filter((name) => name in exact.env)).toEqual(['AWS_PROFILE', 'MY_API_KEY']);
  });

  test('what leads to an allowed host socket passes, nothing else that does', async () => {
    const host = { SSH_AUTH_SOCK: '/tmp/ssh-x/agent.1', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1/bus', LD_PRELOAD: '/tmp/ssh-x/agent.1' };
    const { env } = await build(host, { user: 'version: 1\nsockets: {allow: [/tmp/ssh-x/agent.1]}\n' });

    expect(Object.keys(host).filter((name) => name in env)).toEqual(['SSH_AUTH_SOCK']);
    expect((await build(host)).env).not.toHaveProperty('SSH_AUTH_SOCK');
  });

  test('a profile keeps its own credential, and not those of others', async () => {
    const host = { ANTHROPIC_API_KEY: 'a', OPENAI_API_KEY: 'b' };

    expect((await build(host, { profile: 'claude-code' })).env).not.toHaveProperty('OPENAI_API_KEY');
    expect((await build(host, { profile: 'claude-code' })).env).toHaveProperty('ANTHROPIC_API_KEY', 'a');
    expect((await build(host)).env).not.toHaveProperty('ANTHROPIC_API_KEY');
  });

  test('variables that say where certificates are pass, those beside them do not', async () => {
    const host = { AWS_CA_BUNDLE: '/etc/ca.crt', VAULT_CACERT: '/etc/ca.crt', NODE_EXTRA_CA_CERTS: '/etc/ca.crt', SSL_CERT_FILE: '/etc/ca.crt', VAULT_ADDR: 'x', AWS_REGION: 'y' };

    expect((await build(host)).kept).toEqual(['AWS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'VAULT_CACERT']);
  });

  test('a value that looks like a credential is dropped whatever its name', async () => {
    const { env, dropped } = await build({ EDITOR: `ghp_${'a'.repeat(36)}`, PAGER: 'less' });

    expect(env).toHaveProperty('PAGER', 'less');
    expect(dropped).toEqual([{ name: 'EDITOR', rule: 'env.value', why: 'its value looks like a source hosting token' }]);
  });

  test.each(['sk-ant-api03-abcdefghijkl', `github_pat_${'a'.repeat(22)}`, 'AKIAIOSFODNN7EXAMPLE', 'postgres://u:p@h/db', 'xoxb-1234567890-a', '-----BEGIN OPENSSH PRIVATE KEY-----'])('%s looks like a credential', (value) => {
    expect(credentialIn(value)).not.toBeNull();
  });
  test.each(['/usr/bin', 'https://example.com/a', 'task-sk-1', 'risk-management-of-something', 'vim'])('%s does not', (value) => {
    expect(credentialIn(value)).toBeNull();
  });

  test('a managed `strip` is not lifted by the user', async () => {
    const { env } = await build({ EDITOR: 'vi' }, { managed: 'version: 1\nenvironment: {strip: [EDITOR]}\n', flags: { env: ['EDITOR'] } });

    expect(env).not.toHaveProperty('EDITOR');
  });

  test('nor by a value of the user’s own; what the managed policy sets stays as it sets it', async () => {
    const managed = 'version: 1\nenvironment: {strip: [EDITOR], set: {LESS: -R}}\n';
    const { env, dropped } = await build({ EDITOR: 'vi' }, { managed, user: 'version: 1\nenvironment: {set: {LESS: -X}}\n', flags: { env: ['EDITOR=ed', 'LESS=-S', 'PAGER=less'] } });

    expect(env).toMatchObject({ LESS: '-R', PAGER: 'less' });
    expect(env).not.toHaveProperty('EDITOR');
    expect(dropped).toContainEqual({ name: 'EDITOR', rule: 'environment.strip:EDITOR', why: 'a rule of the managed policy withholds it' });
    const { loosened } = await policyOf({ managed, flags: { env: ['LESS=-S'] } });
    expect(loosened).toEqual([expect.objectContaining({ what: 'environment.set LESS', why: 'the managed policy sets LESS' })]);
  });

  test('`--env NAME=VALUE` sets, and the command line wins', async () => {
    const { env, set } = await build({ EDITOR: 'vi' }, { user: 'version: 1\nenvironment: {set: {EDITOR: nano}}\n', flags: { env: ['EDITOR=ed'] } });

    expect(env['EDITOR']).toBe('ed');
    expect(set).toContain('EDITOR');
  });

  test('PATH entries of the project come last, relative ones go', async () => {
    const { env, path } = await build({ PATH: `${PROJECT}/node_modules/.bin:.:/usr/bin:${PROJECT}/../app/bin:bin:${HOME}/.local/bin` });

    expect(env['PATH']).toBe(`/usr/bin:${HOME}/.local/bin:${PROJECT}/node_modules/.bin:${PROJECT}/../app/bin`);
    expect(path.removed).toEqual(['.', 'bin']);
  });
});
