import { describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import type { ChangeFacts } from '../../src/policy/judge.js';
import { judgeChange, judgeHost, judgePath, judgeSocket } from '../../src/policy/index.js';
import { at, policyOf } from './make.js';

const change = (path: string, more: Partial<ChangeFacts> = {}): ChangeFacts => ({ path: at(path), from: null, kind: 'modify', type: 'file', class: 'normal', conflict: null, ...more });

describe('hides of the shipped base', () => {
  test.each([
    '~/.ssh/id_ed25519', '~/.aws/credentials', '~/.netrc', '~/.npmrc', '~/.pypirc', '~/.docker/config.json', '~/.kube/config',
    '~/.config/gh/hosts.yml', '~/.git-credentials', '~/.vault-token', '~/.bash_history', '~/.local/share/keyrings/login.keyring',
    '~/.mozilla/firefox/x/logins.json', './.env', './deep/.env.local', './server.pem', '/etc/shadow', '/home/other/x', '/root/.ssh/id_rsa',
  ])('RD01 RD17 %s can not be read or written', async (path) => {
    const policy = await policyOf();

    expect(judgePath(policy, at(path), 'read').verdict).toBe('deny');
    expect(judgePath(policy, at(path), 'write').verdict).toBe('deny');
  });

  test.each([
    '~/.netrc.swp', '~/.netrc~', '~/.git-credentials.bak', '~/.pypirc~', '~/.docker/config.json.old', '~/.config/gh/hosts.yml~', '~/.ssh.bak/work', '~/.aws-old/credentials', '~/.vault-token.1',
    './.env~', './.env.swp', './.env.local.bak', './#.env#', './prod.env', './.env-old', './keys/id_rsa.bak', './keys/id_ed25519.old', './.id_rsa.swp', './id_ecdsa_sk', './server.pem~', './.server.pem.swp', './tls.key.orig',
    '~/backup/.aws/credentials', './old/.kube/config', '/etc/shadow-', '/var/backups/shadow.bak', '/etc/ssh/ssh_host_rsa_key.old',
  ])('RD01 the copy %s is withheld like the original', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('deny');
  });

  test.each([
    '~/.fly/config.yml', '~/.config/stripe/config.toml', '~/.databrickscfg', '~/.pulumi/credentials.json', '~/.local/share/heroku/x', '~/.cache/huggingface/token', '~/.config/1Password/settings',
    '~/.config/google-chrome-beta/Default/Cookies', '~/.var/app/org.mozilla.firefox/x', '~/.config/Code/User/globalStorage/state.vscdb', '~/.cache/chromium/Default/x', '~/.bash_history-1.tmp', '~/.local/state/zsh/history',
    '~/.local/share/atuin/key', '~/.mylogin.cnf', '~/.bundle/config', '~/.jfrog/jfrog-cli.conf.v6', '~/.Xauthority', '~/.kubeconfig', './client_secret_1.json', './.terraform/terraform.tfstate', './office.ovpn', './host.keytab', './.dev.vars',
    '/etc/ssl/private/snakeoil.pem', '/etc/letsencrypt/live/x/privkey.pem', '/etc/wireguard/wg0.conf', '/etc/krb5.keytab', '/etc/credstore/x', '/etc/cryptsetup-keys.d/root.key', '/var/lib/cloud/instance/user-data.txt',
    '/etc/NetworkManager/system-connections/home', '/etc/kubernetes/admin.conf', '/var/lib/kubelet/pki/x', '/etc/apt/auth.conf.d/private.conf', '/var/lib/systemd/credential.secret', '/etc/postfix/sasl_passwd.db', '/var/mail/root',
  ])('RD01 RD17 %s is withheld too', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('deny');
  });

  test.each(['./.envrc', './id_rsa_parser.py', './keys/id_rsa.pub', './secrets.ts', './example.env', '~/.config/Code/User/settings.json', '~/.config/gh/config.yml', '~/.aws-sam/metadata.json', '/etc/ssh/ssh_host_rsa_key.pub', '/etc/ssl/openssl.cnf', '/var/lib/dpkg/status'])('%s, of a similar name, can be read', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('allow');
  });

  test.each(['./src/a.ts', '~/.ssh/config', '~/.ssh/id_ed25519.pub', '~/.ssh', './.env.example', '/usr/bin/env', '~/notes.txt', './.environment'])('%s can be read', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('allow');
  });

  test.each(['~/.SSH/id_ed25519', '~/.sSh/ID_RSA', './.ENV', './SERVER.PEM', './.Env.Local'])('RD07 the case variant %s is the protected name', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('deny');
  });

  test.each(['./\uff0eenv', './.e\u200bnv', './.\uff45nv', '~/.s\u00adsh/id_rsa', './caf\u0065\u0301/.env'])('RD08 the Unicode variant %j is the protected name', async (path) => {
    expect(judgePath(await policyOf(), at(path), 'read').verdict).toBe('deny');
  });

  test('a name that is not UTF-8 is still matched', async () => {
    const path = `${at('./')}\xff\xfe/.env` as ReturnType<typeof at>;

    expect(judgePath(await policyOf(), path, 'read').verdict).toBe('deny');
  });

  test('a newline in a directory name does not dodge a rule', async () => {
    expect(judgePath(await policyOf(), at('./a\nb/.env'), 'read').verdict).toBe('deny');
  });
});

describe('a HOME that is not the account’s', () => {
  const homes = ['/home/real'];

  test('RD01 secrets are hidden in every home of the user, the rest of each is seen', async () => {
    const policy = await policyOf({ home: '/tmp/x', root: '/tmp/x/app', homes });
    const verdict = (path: string): string => judgePath(policy, fromText(path), 'read').verdict;

    expect(['/tmp/x/.ssh/id', '/home/real/.ssh/id', '/home/real/.netrc', '/home/real/code/.env', '/home/other/tool'].map(verdict)).toEqual(Array(5).fill('deny'));
    expect(['/tmp/x/.ssh/config', '/home/real/.ssh/config', '/home/real/bin/tool', '/home/real'].map(verdict)).toEqual(Array(4).fill('allow'));
  });

  test('what grants holds in HOME alone', async () => {
    const policy = await policyOf({ home: '/tmp/x', root: '/tmp/x/app', homes, profile: 'codex', user: 'version: 1\nchanges: {commit: ["~/out/**"], accept: ["~/out/**"], control: ["~/ctl"]}\nfiles: {readonly: [~/ro]}\n' });

    expect(judgePath(policy, fromText('/home/real/.codex/auth.json'), 'read').verdict).toBe('deny');
    expect(judgePath(policy, fromText('/tmp/x/.codex/auth.json'), 'read').verdict).toBe('allow');
    expect(judgePath(policy, fromText('/home/real/ro/x'), 'write').verdict).toBe('deny');
    expect(judgeChange(policy, { ...change('x'), path: fromText('/home/real/out/x') }).verdict).toBe('escalate');
    expect(judgeChange(policy, { ...change('x'), path: fromText('/tmp/x/out/x') }).verdict).toBe('commit');
  });
});

describe('directories that a variable moves', () => {
  const env = { CLAUDE_CONFIG_DIR: '/home/u/cc', XDG_CONFIG_HOME: '/home/u/conf', CODEX_HOME: '/home/u', GNUPGHOME: 'relative' };

  test('what is hidden is hidden at both places, what is granted follows', async () => {
    const own = await policyOf({ profile: 'claude-code', env });
    const other = await policyOf({ profile: 'codex', env: { ...env, CODEX_HOME: '/home/u/cx' } });

    expect(judgePath(own, at('~/cc/projects/x'), 'write').lands).toBe('host');
    expect(judgePath(own, at('~/.claude/projects/x'), 'write').lands).toBe('layer');
    expect(judgePath(own, at('~/cc/.credentials.json'), 'read').verdict).toBe('allow');
    expect(judgePath(own, at('~/conf/gh/hosts.yml'), 'read').verdict).toBe('deny');
    expect(judgePath(own, at('~/.config/gh/hosts.yml'), 'read').verdict).toBe('deny');
    expect(judgePath(other, at('~/cx/sessions/x'), 'write').lands).toBe('host');
    expect(judgePath(other, at('~/cx/config.toml'), 'write').lands).toBe('layer');
  });

  test.each([
    ['KUBECONFIG', '/home/u/k/one:/srv/k/two', ['/home/u/k/one', '/srv/k/two']],
    ['AWS_SHARED_CREDENTIALS_FILE', '/home/u/vault/aws', ['/home/u/vault/aws']],
    ['GOOGLE_APPLICATION_CREDENTIALS', '/srv/keys/g.json', ['/srv/keys/g.json']],
    ['HISTFILE', '/home/u/.cache/zsh/hist', ['/home/u/.cache/zsh/hist']],
    ['NETRC', '/home/u/creds/n', ['/home/u/creds/n']],
    ['AZURE_CONFIG_DIR', '/home/u/az', ['/home/u/az/msal_token_cache.json']],
  ])('CR01 what %s names is hidden, though the variable is withheld', async (name, value, paths) => {
    const [without, policy] = [await policyOf({}), await policyOf({ env: { [name]: value } })];

    expect(paths.map((path) => judgePath(without, path as Bytes, 'read').verdict)).toEqual(paths.map(() => 'allow'));
    expect(paths.map((path) => judgePath(policy, path as Bytes, 'read').verdict)).toEqual(paths.map(() => 'deny'));
    expect(judgePath(policy, at('~/k/other'), 'read').verdict).toBe('allow');
  });

  test('no variable moves a directory onto the home or above it', async () => {
    const policy = await policyOf({ profile: 'codex', env });

    expect(judgePath(policy, at('~/sessions/x'), 'write').lands).toBe('layer');
    expect(judgePath(policy, at('~/.codex/sessions/x'), 'write').lands).toBe('host');
  });
});

describe('where writes go', () => {
  test('`passthrough` reaches the host, all else the layer', async () => {
    const policy = await policyOf({ user: 'version: 1\nfiles: {passthrough: ["~/notes"], readonly: ["~/.config"]}\n' });

    expect(judgePath(policy, at('~/notes/deep/a.md'), 'write')).toMatchObject({ verdict: 'allow', lands: 'host' });
    expect(judgePath(policy, at('~/notesX/a.md'), 'write')).toMatchObject({ verdict: 'allow', lands: 'layer' });
    expect(judgePath(policy, at('~/.config/x'), 'write')).toMatchObject({ verdict: 'deny', lands: null });
    expect(judgePath(policy, at('~/.config/x'), 'read').verdict).toBe('allow');
  });

  test('`readonly` and `hide` within a passthrough hold', async () => {
    const policy = await policyOf({ user: 'version: 1\nfiles: {passthrough: ["~/notes"], readonly: ["~/notes/done"], hide: ["~/notes/private"]}\nchanges: {accept: ["~/notes"]}\n' });

    expect(judgePath(policy, at('~/notes/done/a'), 'write').verdict).toBe('deny');
    expect(judgePath(policy, at('~/notes/private/a'), 'write').verdict).toBe('deny');
  });

  test.each([['~', 'home'], ['~/.config', 'lies in it'], ['./', 'project'], ['~/.local/bin', 'control'], ['~/.aws', 'hides it'], ['./.git/hooks', 'control']])('WR10 passthrough of %s is refused unless named twice', async (path, why) => {
    const once = await policyOf({ user: `version: 1\nfiles: {passthrough: ["${path}"]}\n` });
    const twice = await policyOf({ user: `version: 1\nfiles: {passthrough: ["${path}"]}\nchanges: {accept: ["${path}"]}\n` });

    expect(once.loosened).toContainEqual(expect.objectContaining({ what: `passthrough ${path}`, why: expect.stringContaining(why) as string }));
    expect(once.rules.some((rule) => rule.list === 'files.passthrough')).toBe(false);
    expect(twice.rules.some((rule) => rule.list === 'files.passthrough')).toBe(path !== '~/.aws');
  });

  test('`--passthrough` given twice names it twice', async () => {
    const policy = await policyOf({ flags: { passthrough: ['/home/u/.local/bin', '/home/u/.local/bin'] } });

    expect(judgePath(policy, at('~/.local/bin/x'), 'write').lands).toBe('host');
  });

  test('`--share` shows a hidden file read-only', async () => {
    const policy = await policyOf({ flags: { share: ['.env'] } });

    expect(judgePath(policy, at('./.env'), 'read').verdict).toBe('allow');
    expect(judgePath(policy, at('./.env'), 'write').verdict).toBe('deny');
    expect(judgePath(policy, at('./sub/.env'), 'read').verdict).toBe('deny');
  });

  test('`--share` of a directory shows nothing in it that another rule hides', async () => {
    const policy = await policyOf({ flags: { share: ['sub', '/home/u/.ssh', '/home/u/.aws/config'] } });

    expect(judgePath(policy, at('./sub/a'), 'write').verdict).toBe('deny');
    expect(judgePath(policy, at('./sub/.env'), 'read').verdict).toBe('deny');
    expect(judgePath(policy, at('~/.ssh/other'), 'read').verdict).toBe('allow');
    expect(judgePath(policy, at('~/.aws/config'), 'read').verdict).toBe('allow');
    expect(judgePath(policy, at('~/.aws/credentials'), 'read').verdict).toBe('deny');
    expect(judgePath(await policyOf({ flags: { share: ['/home/u'] } }), at('~/.ssh/id_rsa'), 'read').verdict).toBe('deny');
  });
});

describe('changes', () => {
  const user = `version: 1
changes:
  commit: ["./src/**", "./docs/*.md"]
  discard: ["./src/tmp/**"]
  escalate: ["./src/migrations"]
`;
  test.each([
    ['./src/a.ts', 'commit'], ['./src/tmp/a.ts', 'discard'], ['./src/migrations/1.sql', 'escalate'], ['./README.md', 'escalate'],
    ['./docs/a.md', 'commit'], ['./docs/sub/a.md', 'escalate'], ['./docs/evil.md/x.sh', 'escalate'], ['./SRC/a.ts', 'escalate'], ['./src/Migrations/1.sql', 'escalate'],
  ])('%s → %s', async (path, verdict) => {
    expect(judgeChange(await policyOf({ user }), change(path)).verdict).toBe(verdict);
  });

  test.each(['./.claude/settings.json', './.claude/settings.local.json', './.mcp.json', './.gemini/settings.json', './.cursor/mcp.json', './.opencode/x', './.vscode/tasks.json', './.idea/workspace.xml', './.devcontainer/devcontainer.json', './.git/hooks/pre-commit', './.agentfw.yaml', './.envrc'])('WR01 WR02 WR04 WR05 a `commit` rule does not land the control file %s', async (path) => {
    const policy = await policyOf({ user: 'version: 1\nchanges: {commit: ["./**", "~/**"], default: commit}\n' });

    expect(judgeChange(policy, change(path))).toMatchObject({ verdict: 'escalate', rule: expect.stringMatching(/^control\./) as string });
  });

  test.each(['~/.bashrc', '~/.profile', '~/.zshenv', '~/.config/fish/config.fish', '~/.config/environment.d/x.conf', '~/.pam_environment', '~/.config/systemd/user/x.service', '~/.config/autostart/x.desktop', '~/.gitconfig', '~/.config/git/config', '~/.ssh/config', '~/.ssh/authorized_keys', '~/.npmrc', '~/.config/pip/pip.conf', '~/.cargo/config.toml', '~/.local/share/claude/versions/2/claude'])('WR10 WR11 WR13 WR14 %s never lands by itself', async (path) => {
    const policy = await policyOf({ profile: 'claude-code', user: 'version: 1\nchanges: {commit: ["./**", "~/**"], default: commit}\n' });

    expect(judgeChange(policy, change(path)).verdict).toBe('escalate');
  });

  test.each(['./CLAUDE.md', './.cursor/rules/x.mdc', './.github/copilot-instructions.md', './.goosehints', './.github/workflows/ci.yml', './.claude/commands/x.md', './.yarn/releases/yarn.cjs', './sub/rules.mk', './shell.nix', './tox.ini'])('WR02 WR04 WR16 %s runs later: `commit` alone does not land it, `accept` does', async (path) => {
    const commit = await policyOf({ user: 'version: 1\nchanges: {commit: ["./**"]}\n' });
    const accept = await policyOf({ user: 'version: 1\nchanges: {commit: ["./**"], accept: ["./**"]}\n' });

    expect(judgeChange(commit, change(path)).verdict).toBe('escalate');
    expect(judgeChange(accept, change(path)).verdict).toBe('commit');
  });

  test('a class that the commit gate found holds as a rule does', async () => {
    const policy = await policyOf({ user });

    expect(judgeChange(policy, change('./src/a.ts', { class: 'later' }))).toMatchObject({ verdict: 'escalate', rule: 'class.later' });
    expect(judgeChange(policy, change('./src/a.ts', { conflict: 'changed' }))).toMatchObject({ verdict: 'escalate', rule: 'change.conflict' });
    expect(judgeChange(policy, change('./src/a.ts', { kind: 'type' }))).toMatchObject({ verdict: 'escalate', rule: 'change.type' });
  });

  test('WR17 a rename is judged at both ends', async () => {
    const policy = await policyOf({ user });

    expect(judgeChange(policy, change('./src/b.ts', { kind: 'rename', from: at('./src/a.ts') })).verdict).toBe('commit');
    expect(judgeChange(policy, change('./src/b.ts', { kind: 'rename', from: at('./src/migrations/1.sql') })).verdict).toBe('escalate');
    expect(judgeChange(policy, change('./src/b.ts', { kind: 'rename', from: at('./src/tmp/x') }))).toMatchObject({ verdict: 'escalate', rule: 'change.rename' });
  });

  test('a managed control rule is not lifted by the user', async () => {
    const policy = await policyOf({ managed: 'version: 1\nchanges: {control: ["./deploy/**"]}\n', user: 'version: 1\nchanges: {commit: ["./**"], accept: ["./**"]}\n' });

    expect(judgeChange(policy, change('./deploy/x')).verdict).toBe('escalate');
  });
});

describe('four stock rules', () => {
  test('a project file can be read', async () => {
    expect(judgePath(await policyOf(), at('./src/a.ts'), 'read').verdict).toBe('allow');
  });
  test('`~/.ssh` can not be read, and a write never lands', async () => {
    expect(judgePath(await policyOf(), at('~/.ssh/id_rsa'), 'read').verdict).toBe('deny');
    expect(judgeChange(await policyOf(), change('~/.ssh/authorized_keys')).verdict).toBe('escalate');
  });
  test('a known API host is allowed', async () => {
    expect(judgeHost(await policyOf({ profile: 'claude-code' }), { host: 'api.anthropic.com', port: 443 }).verdict).toBe('allow');
  });
  test('an unknown host is asked for', async () => {
    expect(judgeHost(await policyOf(), { host: 'unknown.example', port: 443 })).toMatchObject({ verdict: 'ask', rule: 'network.default' });
  });
});

describe('sockets', () => {
  test('a name that every object knows is a name like others', async () => {
    const policy = await policyOf({ user: 'version: 1\nsockets: {names: {constructor: [/run/c.sock]}, allow: [constructor]}\n' });

    expect(judgeSocket(policy, '/run/c.sock').verdict).toBe('allow');
  });

  test('IP01 none is shown unless allowed; docker needs a hole by name', async () => {
    const some = await policyOf({ user: 'version: 1\nsockets: {allow: [ssh-agent, docker]}\n', env: { SSH_AUTH_SOCK: '/tmp/a.sock' } });
    const docker = await policyOf({ user: 'version: 1\nsockets: {allow: [docker]}\nexcept: {"sockets.deny:docker": [docker]}\n' });

    expect(judgeSocket(some, 'ssh-agent').verdict).toBe('allow');
    expect(judgeSocket(some, '/tmp/a.sock').verdict).toBe('allow');
    expect(judgeSocket(some, 'gpg-agent').verdict).toBe('deny');
    expect(judgeSocket(some, 'docker').verdict).toBe('deny');
    expect(judgeSocket(some, '/var/run/docker.sock').verdict).toBe('deny');
    expect(judgeSocket(docker, 'docker').verdict).toBe('allow');
  });
});
