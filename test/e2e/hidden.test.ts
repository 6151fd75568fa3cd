/** End to end: what a policy hides from an agent, by whatever way. */
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { meetingIn } from '../helpers/meeting.js';
import { needs } from '../helpers/needs.js';
import { policyHands } from '../helpers/policy.js';
import { createArea, identities, jsonOf, repository, type Area } from '../helpers/sandbox.js';

const KEY = 'PRIVATE KEY MATERIAL';
const gated = needs('userns', 'overlay');

for (const identity of identities()) {
  gated.describe(`hidden by policy as ${identity.name}`, () => {
    let area: Area;
    const { put, policy, run, changes, host, seen } = policyHands(() => area);
    beforeEach(() => {
      area = createArea(identity);
      put('project/src/a.ts', 'one\n');
    });
    afterEach(() => area.remove());

    gated.test('secrets do not exist for the agent, by whatever way (RD01 RD02 RD10 RD17)', async () => {
      const secrets = ['.ssh/id_ed25519', '.aws/credentials', '.netrc', '.pypirc', '.docker/config.json', '.kube/config', '.config/gh/hosts.yml', '.git-credentials', '.vault-token',
        '.local/share/keyrings/login.keyring', '.password-store/x.gpg', '.bash_history', '.config/google-chrome/Default/Cookies', 'project/.env', 'project/deep/down/server.pem'];
      for (const name of secrets) put(name, KEY);
      const list = secrets.map((name) => `'${area.home}/${name}'`).join(' ');
      const out = await seen(`
        for f in ${list}; do
          test -e "$f" && echo "exists $f"
          cat "$f" "/proc/self/root$f" "/proc/thread-self/root$f" 2>/dev/null
          cp "$f" copy 2>/dev/null && echo "copied $f"
          tar cf - "$f" 2>/dev/null | grep -a KEY
        done
        cat /proc/self/cwd/.env ../.ssh/id_ed25519 /proc/self/cwd/../.aws/credentials 2>/dev/null
        true && cat .env 2>/dev/null
        find ~ -type f -exec cat {} + 2>/dev/null | grep -a KEY
        find . -name '*.pem' | xargs -r cat
        ls -A ~/.aws ~/.kube 2>/dev/null
        grep -ra KEY ~ 2>/dev/null
        true`);

      expect(out).toBe('');
      for (const name of secrets) expect(host(name)).toBe(KEY);
    });

    needs('git').test('where the agent starts is searched, also in directories that the search keeps out of (RD01)', async () => {
      for (const dir of ['.cache/work', 'project/target/app']) put(`${dir}/.env`, KEY);
      await area.native(['git', 'init', '-q', area.project]);
      for (const dir of ['.cache/work', 'project/target/app']) {
        const { stdout, stderr } = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'cat .env; pwd'], { cwd: join(area.home, dir) });

        expect(stdout, stderr).toBe(`${join(area.home, dir)}\n`);
      }
      if (identity.uid === 0) return;
      chmodSync(dirname(put('.cache/work/closed/x', KEY)), 0);
      const told = await area.cli(['policy', 'explain', 'path', 'closed/x', '--json'], { cwd: join(area.home, '.cache/work') });
      expect(jsonOf(told)).toMatchObject({ verdict: 'deny', rule: 'agentfw.closed' });
    });

    gated.test('what editors and people leave beside a secret does not exist either (RD01 RD17)', async () => {
      const copies = ['.ssh.bak/work', '.aws-old/credentials', '.netrc.swp', '.netrc~', '.git-credentials.bak', '.docker/config.json.old', '.config/gh/hosts.yml~', '.bash_history-123.tmp', 'backup/.aws/credentials',
        'project/.env~', 'project/.env.swp', 'project/.env.local.bak', 'project/prod.env', 'project/#.env#', 'project/keys/id_rsa.bak', 'project/keys/id_ed25519.old', 'project/.id_rsa.swp', 'project/server.pem~', 'project/.server.pem.swp', 'project/.terraform/terraform.tfstate',
        'project/..env.un~', 'project/.prod.env.un~', 'project/#prod.env#', 'project/.env (1)', 'project/.server.key.un~', 'project/server.pem copy', 'project/secrets.yml~', 'project/.secrets.yml.swp', 'project/prod.tfvars~',
        '..netrc.un~', '#.netrc#', '.npmrc~', '.m2/settings.xml.bak', '.m2/.settings.xml.swp', '.config/nvim/undodir/%home%u%.netrc', '.vim_runtime/temp_dirs/undodir/%etc%x', 'dotfiles/undo/%home%u%.netrc',
        '.config/sublime-text/Local/Session.sublime_session', '.cache/tracker3/files/x.db', '.config/fish/fish_variables', '.config/obsidian/Cookies', 'Maildir/new/1', '.config/httpie/sessions/x.json'];
      for (const name of copies) put(name, KEY);
      put('project/.envrc', 'use flake\n');
      put('project/keys/id_rsa.pub', 'ssh-rsa');

      expect(await seen('grep -raI KEY ~; cat .envrc; ls keys')).toBe('use flake\nid_rsa.pub\n');
      for (const name of copies) expect(host(name)).toBe(KEY);
    });

    // Nothing is closed to root.
    if (identity.name === 'user') gated.test('what the user closed to themselves does not exist for the agent, who could open it', async () => {
      const closed = { none: 0, unsearched: 0o600 };
      for (const [name, mode] of Object.entries(closed)) {
        put(`project/${name}/below/.env`, KEY);
        put(`.config/${name}/gh/hosts.yml`, KEY);
        for (const dir of ['project', '.config']) chmodSync(join(area.home, dir, name), mode);
      }

      const names = Object.keys(closed).flatMap((name) => [name, `~/.config/${name}`]).join(' ');
      expect(await seen(`chmod 700 ${names} 2>&1 | grep -v 'No such file'; ls -d ${names} 2>/dev/null; grep -ra KEY . ~; true`)).toBe('');
      for (const path of ['none', 'unsearched', 'none/below/x', join(area.home, '.config/none')]) {
        expect(jsonOf(await area.cli(['policy', 'explain', 'path', path, '--json'])), path).toMatchObject({ verdict: 'deny', rule: 'agentfw.closed' });
      }
      expect(jsonOf(await area.cli(['policy', 'explain', 'path', 'src', '--json']))).toMatchObject({ verdict: 'allow' });
      chmodSync(join(area.project, 'none'), 0o700);
      expect(host('project/none/below/.env')).toBe(KEY);
    });

    if (identity.name === 'user') gated.test('in a directory that can be searched but not listed, plain names are hidden, the rest is there, and the start says so (E61)', async () => {
      put('project/drop/.env', KEY);
      put('project/drop/known', 'old');
      chmodSync(join(area.project, 'drop'), 0o300);
      const { stdout, stderr } = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'cat drop/known; echo new > drop/known; cat drop/known; chmod 700 drop; ls -A drop; cat drop/.env 2>&1 | grep -o "No such.*"']);
      chmodSync(join(area.project, 'drop'), 0o700);

      expect(stdout).toBe('oldnew\nknown\nNo such file or directory\n');
      expect(stderr).toContain(`1 directory could not be read: ${join(area.project, 'drop')}`);
    });

    if (identity.name === 'user') gated.test('what the start names is escaped: a repository may bring any name (TT04)', async () => {
      const dir = join(area.project, 'd\u001b]0;x\u0007\nz');
      put('project/src/a', 'a');
      await area.native(['mkdir', '-m', '300', dir]);
      const { stderr } = await area.cli(['run', '--rm', '--net', 'off', '--', 'true']);
      chmodSync(dir, 0o700);

      expect(stderr).toContain(`1 directory could not be read: ${join(area.project, 'd\\x1b]0;x\\x07\\nz')}`);
      expect(stderr).not.toMatch(/[^\x20-\x7e\n]/);
    });

    gated.test('nor does a link to a directory, shared in a place that is the sandbox’s own (RD17)', async () => {
      const dir = mkdtempSync('/tmp/agentfw-share-');
      const link = join(dir, 'link');
      try {
        chmodSync(dir, 0o755);
        mkdirSync(join(dir, 'real/deep'), { recursive: true });
        for (const [name, content] of [['.env', KEY], ['deep/id_rsa', KEY], ['seen', 'seen\n']] as const) writeFileSync(join(dir, 'real', name), content);
        symlinkSync('real', link);
        const outcome = await run(['--rm', '--share', link], `cat ${link}/.env ${link}/deep/id_rsa; cat ${link}/seen`);

        expect(outcome.stdout, outcome.stderr).toBe('seen\n');
        put('.aws/credentials', KEY);
        symlinkSync(join(area.home, '.aws'), join(dir, 'aws'));
        const hidden = await run(['--rm', '--share', join(dir, 'aws')], 'true');
        expect(hidden).toMatchObject({ status: 125 });
        expect(hidden.stderr).toContain(`Can't share ${join(dir, 'aws')}: what it leads to is hidden`);
      } finally {
        rmSync(dir, { recursive: true });
      }
    });

    gated.test('a hidden file can not be linked, moved, replaced or deleted (RD04)', async () => {
      put('project/.env', KEY);
      put('project/kept/x', 'x');
      const out = await seen('ln .env a 2>/dev/null && echo linked; mv .env b 2>/dev/null && echo moved; rm .env 2>/dev/null && echo deleted; ls -A');

      expect(out.split('\n').filter((name) => name !== '').sort()).toEqual(['kept', 'src']);
      expect(host('project/.env')).toBe(KEY);
    });

    gated.test('other names of a hidden file are hidden: hard links, and links to it (RD05)', async () => {
      put('project/.env', KEY);
      linkSync(join(area.project, '.env'), join(area.project, 'notes.txt'));
      symlinkSync('.env', join(area.project, 'to-env'));
      put('vault/real-secret', KEY);
      symlinkSync(join(area.home, 'vault/real-secret'), join(area.home, '.netrc'));

      expect(await seen('cat notes.txt to-env ~/.netrc ~/vault/real-secret 2>/dev/null; ls')).toBe('src\nto-env\n');
    });

    gated.test('directory rules hold for what the host makes later (RD11)', async () => {
      put('.aws/credentials', KEY);
      put('.ssh/config', 'Host x\n');
      const meeting = meetingIn(area);
      const started = run(['--rm', ...meeting.flags], `${meeting.agent}; ls -A ~/.aws ~/.azure ~/.vault-token ~ ~/.ssh 2>&1`);
      await meeting.begun();
      put('.aws/later', KEY);
      put('.ssh/id_ed25519', KEY);
      put('.azure/token', KEY);
      put('.vault-token', KEY);
      put('shown', '');
      meeting.letGo();
      const out = (await started).stdout;

      expect(out).toMatch(/^shown$/m);
      expect(out).toMatch(/^config$/m);
      expect(out).not.toMatch(/^(later|token|id_ed25519|\.vault-token|\.aws|\.azure)$/m);
    });

    gated.test('a credential in a file that has to be seen is told at the start', async () => {
      const told = async (): Promise<string> => (await run(['--rm'], 'true')).stderr;
      put('project/.git/config', '[remote "origin"]\n\turl = https://example.com/a.git\n');
      put('project/.npmrc', '//registry.example/:_authToken=${NPM_TOKEN}\n');
      put('project/.envrc', 'use flake\n');
      expect(await told()).not.toContain('the agent can read');

      put('project/.git/config', '[http "https://example.com/"]\n\textraheader = AUTHORIZATION: basic eDpzZWNyZXQ=\n');
      expect(await told()).toContain(`agentfw: the agent can read ${join(area.project, '.git/config')}, which holds what looks like a header that authorizes\n`);
      put('project/.npmrc', '//registry.example/:_authToken=0123456789\n');
      expect(await told()).toMatch(/a header that authorizes \(and 1 more: agentfw status \S+\)\n/);
      rmSync(join(area.project, '.git/config'));
      expect(await told()).toContain('which holds what looks like a token of a registry\n');
      rmSync(join(area.project, '.npmrc'));
      put('.zshenv', 'export OPENAI_API_KEY=sk-ant-0123456789abcdef\n');
      expect(await told()).toContain(`agentfw: the agent can read ${join(area.home, '.zshenv')}, which holds what looks like an API key\n`);
      rmSync(join(area.home, '.zshenv'));
      const lent = join(area.dir, 'lent');
      mkdirSync(lent);
      writeFileSync(join(lent, '.npmrc'), '//registry.example/:_authToken=0123456789\n');
      expect((await run(['--rm', '--share', lent], 'true')).stderr).toContain(`agentfw: the agent can read ${join(lent, '.npmrc')}, which holds what looks like a token of a registry\n`);
    });

    gated.test('what is hidden is no change, whatever the agent does around it', async () => {
      put('project/.env', KEY);
      put('project/dir/.env', KEY);
      put('project/dir/x', 'x');
      put('project/opaque/.env', KEY);
      await run(['--tag', 'none'], 'true');
      expect(await changes('none')).toEqual([]);

      await run(['--tag', 't'], 'rm -rf dir opaque; mkdir opaque; echo y > opaque/y; echo mine > .env');
      const found = await changes('t');
      expect(found.map(({ path, kind, conflict }) => `${kind} ${path.slice(area.project.length + 1)} ${conflict ?? ''}`.trim()).sort())
        .toEqual(['add opaque/y', 'delete dir hidden', 'delete dir/x', 'modify .env hidden', 'modify opaque hidden']);
      await area.cli(['commit', 't', '--yes']);
      for (const name of ['.env', 'dir/.env', 'opaque/.env']) expect(host(`project/${name}`), name).toBe(KEY);
    });

    gated.test('a directory around something hidden keeps mode, times and entries, and is written as ever', async () => {
      const deep = dirname(put('project/deep/down/.env', KEY));
      put('project/deep/down/file', 'text\n');
      const { mtimeMs } = statSync(deep);
      const out = await seen('stat -c "%a %Y" deep/down; ls -A deep/down; echo new > deep/down/new; echo more >> deep/down/file; cat deep/down/file; stat -c %d deep deep/down/file | sort -u | wc -l');

      expect(out).toBe(`700 ${Math.floor(mtimeMs / 1000)}\nfile\ntext\nmore\n1\n`);
      await run(['--tag', 't'], 'chmod 750 deep/down');
      expect((await changes('t')).map(({ kind, path }) => `${kind} ${path}`)).toEqual([`metadata ${deep}`]);
    });

    gated.test('programs that ask for the host’s credentials get none (CR08)', async () => {
      put('.git-credentials', 'https://me:hunter2@git.example\n');
      put('.gitconfig', '[credential]\n\thelper = store\n');
      put('.netrc', 'machine git.example login me password hunter2\n');
      const ask = 'printf "protocol=https\\nhost=git.example\\n\\n" | GIT_TERMINAL_PROMPT=0 git credential fill 2>&1; cat ~/.netrc 2>&1; git config --get credential.helper || true';

      expect((await area.native(['sh', '-c', ask])).stdout).toContain('password=hunter2');
      expect(await seen(ask)).not.toContain('hunter2');
    });

    gated.test('package manager files have a stand-in without credentials', async () => {
      put('.npmrc', '//packages.example/:_authToken=SECRET\nregistry=https://user:SECRET@packages.example/\n@scope:registry=https://packages.example/\n');
      const out = await seen('cat ~/.npmrc; (echo x >> ~/.npmrc) 2>/dev/null || echo refused');

      expect(out).toContain('registry=https://packages.example/');
      expect(out).toContain('refused');
      expect(out).not.toContain('SECRET');
    });

    gated.test('a directory that is shared brings no secret along, also what the run works in (RD17)', async () => {
      for (const name of ['.ssh/id_rsa', 'project/.env', 'project/deep/.env']) put(name, KEY);
      put('project/deep/file', 'one\n');
      for (const shared of [area.home, area.project]) {
        const outcome = await run(['--rm', '--share', shared], 'cat deep/file ~/.ssh/id_rsa .env deep/.env; touch deep/new && echo made');
        expect(outcome.stdout, outcome.stderr).toBe('one\n');
        expect(outcome.stderr).toContain('Read-only file system');
      }
      expect((await run(['--rm', '--share', `${area.project}/.env`], 'cat .env deep/.env')).stdout).toBe(KEY);
    });

    gated.test('nor does one that lies elsewhere, and what is passed through hides them too (RD17)', async () => {
      for (const name of ['shared', 'passed']) for (const file of ['.env', 'deep/id_rsa', 'seen']) put(`../beside/${name}/${file}`, file === 'seen' ? 'seen\n' : KEY);
      const [shared, passed] = ['shared', 'passed'].map((name) => join(dirname(area.home), 'beside', name));
      symlinkSync('shared', `${shared}-link`);

      const outcome = await run(['--rm', '--share', shared ?? '', '--passthrough', passed ?? ''], `cat ${shared}/.env ${shared}/deep/id_rsa ${passed}/.env ${passed}/deep/id_rsa ${shared}/seen ${passed}/seen`);

      expect(outcome.stdout, outcome.stderr).toBe('seen\nseen\n');
      expect((await run(['--rm', '--share', `${shared}-link`], `cat ${shared}-link/.env ${shared}/.env; cat ${shared}-link/seen`)).stdout).toBe('seen\n');
      for (const dir of [shared, passed]) expect(readFileSync(join(dir ?? '', '.env'), 'utf8')).toBe(KEY);
    });

    gated.test('what the host puts in the place of a hidden file stays hidden, in what is shared or read-only too (RD11)', async () => {
      for (const name of ['shared/.env', 'shared/deep/key', 'fixed/.env', 'fixed/seen']) put(name, KEY);
      put('.config/agentfw/policy.yaml', 'version: 1\nfiles: {hide: ["~/shared/deep/key"], readonly: ["~/fixed"]}\n');
      const meeting = meetingIn(area);
      const running = run(['--rm', ...meeting.flags, '--share', `${area.home}/shared`], `
        touch ../shared/new ../fixed/new && echo made
        ${meeting.agent}; cat ../shared/.env ../shared/deep/key ../fixed/.env; cat ../fixed/seen`);
      await meeting.begun();
      for (const name of ['shared/.env', 'shared/deep/key', 'fixed/.env', 'fixed/seen']) {
        put(`${name}.new`, `${KEY} of ${name}`);
        renameSync(join(area.home, `${name}.new`), join(area.home, name));
      }
      meeting.letGo();

      expect((await running).stdout).toBe(`${KEY} of fixed/seen`);
    });

    gated.test('agentfw itself is out of reach: store, policies, other sandboxes (RD19 PO08)', async () => {
      policy('changes:\n  default: escalate\n');
      put('project/.agentfw.yaml', 'version: 1\n');
      // The usual place of a store too, when this run has another.
      put('.local/state/agentfw/sandboxes/old/layers/1/upper/made-by-other', 'old\n');
      put('project/shown/made-by-other', 'what the search below finds\n');
      await run(['--tag', 'other'], 'echo other > made-by-other');
      const out = await seen(`ls -A '${area.state}' 2>/dev/null; ls -A ~/.local/state/agentfw 2>/dev/null; ls -A ~/.config/agentfw 2>/dev/null; cat ~/.config/agentfw/policy.yaml 2>/dev/null; find / \\( -path /proc -o -path /sys -o -path /usr -o -name node_modules \\) -prune -o -name made-by-other -print 2>/dev/null; echo end`);
      expect(out).toBe(`${join(area.project, 'shown/made-by-other')}\nend\n`);

      const edited = await run(['--tag', 't'], 'echo "network: {default: allow}" >> .agentfw.yaml; mkdir -p ~/.config/agentfw; echo "changes: {default: commit}" > ~/.config/agentfw/policy.yaml');
      expect(edited.status, edited.stderr).toBe(0);
      expect((await changes('t')).filter(({ path }) => path.includes('agentfw')).every((change) => change.class === 'control' && change.verdict === 'escalate')).toBe(true);
      expect(host('.config/agentfw/policy.yaml')).toContain('default: escalate');
    });

    gated.test('agentfw inside a sandbox decides nothing, whatever the variables say (PO17)', async () => {
      const self = `'${process.execPath}' '${join(repository, 'bin/run.js')}'`;
      const commands = ['commit x --yes', 'discard x --yes', 'undo', 'run -- true', 'policy trust', 'exec x -- true', 'kill --all', 'prune'];
      const outcome = await run(['--rm', '--share', repository], `
        unset AGENTFW AGENTFW_TAG; export AGENTFW_STATE_DIR=$HOME/fake
        ${commands.map((words) => `${self} ${words} </dev/null 2>&1 | head -1`).join('\n')}`);

      for (const line of outcome.stdout.trimEnd().split('\n')) expect(line).toMatch(/^Error: (agentfw \w+( \w+)? can’t be used|The store can’t be reached from) inside a sandbox\.$/);
      expect(outcome.stdout.trimEnd().split('\n')).toHaveLength(commands.length);
    });

    needs('git', 'userns', 'overlay').test('`status` names hidden files that git tracks, whatever the version of its index', async () => {
      put('project/.env', 'KEY=1\n');
      put('project/certs/deep/a.key', KEY);
      put('project/certs/deep/é.key', KEY);
      const git = async (...words: readonly string[]): Promise<void> => {
        const done = await area.native(['git', '-c', 'user.name=x', '-c', 'user.email=x@example', ...words]);
        expect(done.status, done.stderr).toBe(0);
      };
      await git('init', '-q');
      await git('add', '-f', '.env', 'certs', 'src');
      for (const version of ['2', '3', '4']) {
        await git('update-index', '--index-version', version);
        await run(['--tag', `v${version}`], 'git status --porcelain');
        const { hiddenTracked } = jsonOf<{ readonly hiddenTracked: readonly { readonly path: string }[] }>(await area.cli(['status', `v${version}`, '--json']));

        expect(hiddenTracked.map(({ path }) => path.slice(area.project.length + 1))).toEqual(['.env', 'certs/deep/a.key', 'certs/deep/é.key']);
        expect((await area.cli(['status', `v${version}`])).stdout).toMatch(/Tracked by git and hidden.*\n {2}.*\.env\n/);
        expect(await changes(`v${version}`)).toEqual([]);
      }
    });

    gated.test('credentials of the environment are withheld and told, exact names pass, loaders never (CR01 EX08)', async () => {
      const env = { AWS_SECRET_ACCESS_KEY: 'a', MY_TOKEN: 'b', NPM_TOKEN: 'c', LD_PRELOAD: '', NODE_OPTIONS: '--no-warnings', PYTHONPATH: '/x', EDITOR: 'vi' };
      const outcome = await run(['--tag', 'cr01', '--env', 'MY_TOKEN', '--env', 'PYTHONPATH'], 'env | cut -d= -f1', env);
      const names = outcome.stdout.split('\n');

      expect(names).toEqual(expect.arrayContaining(['MY_TOKEN', 'EDITOR', 'HOME', 'PATH']));
      for (const name of ['AWS_SECRET_ACCESS_KEY', 'NPM_TOKEN', 'LD_PRELOAD', 'NODE_OPTIONS', 'PYTHONPATH']) expect(names).not.toContain(name);
      expect(outcome.stderr).toContain('agentfw: withheld AWS_SECRET_ACCESS_KEY, NPM_TOKEN: pass one with --env NAME');
      expect(outcome.stderr).toContain('--env PYTHONPATH is not passed');
      const { records } = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'cr01', '--json', '--kind', 'env']));
      const denied = Object.fromEntries(records.map(({ object, verdict, rule }) => [object['name'], `${verdict ?? ''} ${rule ?? ''}`]));
      expect(denied).toMatchObject({ AWS_SECRET_ACCESS_KEY: 'deny env.secret', NPM_TOKEN: 'deny env.secret', LD_PRELOAD: 'deny env.loader', PYTHONPATH: 'deny env.loader' });
      expect(Object.keys(denied)).not.toContain('MY_TOKEN');
      const known = await run(['--rm', '--profile', 'claude-code'], 'env | cut -d= -f1', { ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: 'http://x', OPENAI_API_KEY: 'o' });
      expect(known.stdout).toMatch(/^ANTHROPIC_API_KEY$/m);
      expect(known.stdout).toMatch(/^ANTHROPIC_BASE_URL$/m);
      expect(known.stdout).not.toMatch(/OPENAI/);
    });

    gated.test('git, and an editor’s way to save, work beside hidden files', async () => {
      put('project/.env', KEY);
      const git = await area.native(['sh', '-c', 'git init -q && git add -Af . && git -c user.name=a -c user.email=a@b.c commit -qm x']);
      expect(git.status, git.stderr).toBe(0);
      const out = await seen('git status --short; git log --oneline | wc -l; echo n > .tmp && mv .tmp src/a.ts && git diff --stat | tail -1');

      expect(out).toMatch(/^ D \.env\n1\n.* 2 files changed/);
      expect(lstatSync(join(area.project, '.env')).isFile()).toBe(true);
      rmSync(join(area.project, '.env'));
    });
  });
}
