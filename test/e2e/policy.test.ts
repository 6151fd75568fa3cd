/** End to end: what a policy hides, passes, lands, drops and leaves to a person. */
import { chownSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { meetingIn } from '../helpers/meeting.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, repository, type Area, type Outcome } from '../helpers/sandbox.js';

interface DiffJson {
  readonly changes: readonly { readonly path: string; readonly kind: string; readonly class: string; readonly verdict: string; readonly rule: string; readonly conflict: string | null }[];
}

const KEY = 'PRIVATE KEY MATERIAL';
const gated = needs('userns', 'overlay');

for (const identity of identities()) {
  gated.describe(`policy as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => {
      area = createArea(identity);
      put('project/src/a.ts', 'one\n');
    });
    afterEach(() => area.remove());

    /** A file of the identity's own below its home. */
    const put = (name: string, text: string): string => {
      const path = join(area.home, name);
      const missing: string[] = [];
      for (let dir = dirname(path); !existsSync(dir); dir = dirname(dir)) missing.push(dir);
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(path, text, { mode: 0o600 });
      for (const made of [...missing, path]) chownSync(made, identity.uid, identity.gid);
      return path;
    };
    const policy = (text: string): string => put('.config/agentfw/policy.yaml', `version: 1\n${text}`);
    const run = (flags: readonly string[], script: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
      area.cli(['run', '--net', 'off', ...flags, '--', 'sh', '-c', script], { env });
    const changes = async (tag: string): Promise<DiffJson['changes']> => jsonOf<DiffJson>(await area.cli(['diff', '--tag', tag, '--json'])).changes;
    const host = (name: string): string => readFileSync(join(area.home, name), 'utf8');
    /** stdout of an agent that must end well */
    const seen = async (script: string, flags: readonly string[] = []): Promise<string> => {
      const outcome = await run(['--rm', ...flags], script);
      expect(outcome.status, outcome.stderr).toBe(0);
      return outcome.stdout;
    };

    gated.test('stock rule 1: a file of the project is read and written (PO01)', async () => {
      expect(await seen('cat src/a.ts; echo two > src/a.ts; cat src/a.ts')).toBe('one\ntwo\n');
      expect(host('project/src/a.ts')).toBe('one\n');
    });

    gated.test('stock rule 2: ~/.ssh is not read, and what is written there never lands by itself (RD01 WR14)', async () => {
      put('.ssh/id_ed25519', KEY);
      put('.ssh/config', 'Host example\n');
      policy('changes:\n  commit: ["~/**", "./**"]\n  accept: ["~/**"]\n');
      const outcome = await run(['--tag', 't'], 'cat ~/.ssh/config; cat ~/.ssh/id_ed25519; echo evil > ~/.ssh/authorized_keys; echo mine > ~/.ssh/id_ed25519');

      expect(outcome.stdout).toBe('Host example\n');
      expect(outcome.stderr).toMatch(/id_ed25519: No such file or directory/);
      expect(readdirSync(join(area.home, '.ssh')).sort()).toEqual(['config', 'id_ed25519']);
      expect(host('.ssh/id_ed25519')).toBe(KEY);
      const ssh = (await changes('t')).filter(({ path }) => path.includes('/.ssh/'));
      expect(ssh.map(({ verdict, rule }) => `${verdict} ${rule}`)).toEqual(['escalate secrets.ssh', 'escalate secrets.ssh']);
      const commit = await area.cli(['commit', 't', '--yes']);
      expect(commit.status).toBe(3);
      expect(host('.ssh/id_ed25519')).toBe(KEY);
      expect(existsSync(join(area.home, '.ssh/authorized_keys'))).toBe(false);
    });

    gated.test('stock rules 3 and 4: a known API is reached, an unknown domain is asked for (PO02)', async () => {
      const explain = async (host: string): Promise<Outcome> => area.cli(['policy', 'explain', 'host', host, '--agent', 'claude-code']);

      expect((await explain('api.anthropic.com')).stdout).toMatch(/^verdict {2}allow$/m);
      expect((await explain('unknown.example')).stdout).toMatch(/^verdict {2}ask$/m);
    });

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

    gated.test('case variants are the protected name when they land (RD07)', async () => {
      policy('changes:\n  commit: ["./**", "~/**"]\n');
      await run(['--tag', 't'], 'echo x > .ENV; mkdir ~/.SSH; echo x > ~/.SSH/authorized_keys; mkdir -p .Git/hooks; echo x > .Git/hooks/pre-commit');
      const found = await changes('t');

      expect(found.filter(({ path }) => /ENV|authorized_keys|pre-commit/.test(path)).map(({ verdict, rule }) => `${verdict} ${rule}`).sort())
        .toEqual(['escalate control.git', 'escalate secrets.env', 'escalate secrets.ssh']);
      expect(existsSync(join(area.project, '.ENV'))).toBe(false);
    });

    gated.test('directory rules hold for what the host makes later (RD11)', async () => {
      put('.aws/credentials', KEY);
      const meeting = meetingIn(area);
      const started = run(['--rm', ...meeting.flags], `${meeting.agent}; ls -A ~/.aws ~/.azure ~/.vault-token ~ 2>&1`);
      await meeting.begun();
      put('.aws/later', KEY);
      put('.azure/token', KEY);
      put('.vault-token', KEY);
      put('shown', '');
      meeting.letGo();
      const out = (await started).stdout;

      expect(out).toMatch(/^shown$/m);
      expect(out).not.toMatch(/^(later|token|\.vault-token|\.aws|\.azure)$/m);
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

    gated.test('agentfw itself is out of reach: store, policies, other sandboxes (RD19 PO08)', async () => {
      policy('changes:\n  default: escalate\n');
      put('project/.agentfw.yaml', 'version: 1\n');
      // The usual place of a store too, when this run has another.
      put('.local/state/agentfw/sandboxes/old/layers/1/upper/made-by-other', 'old\n');
      await run(['--tag', 'other'], 'echo other > made-by-other');
      const out = await seen(`ls -A '${area.state}' 2>/dev/null; ls -A ~/.local/state/agentfw 2>/dev/null; ls -A ~/.config/agentfw 2>/dev/null; cat ~/.config/agentfw/policy.yaml 2>/dev/null; grep -rl made-by-other / --include=made-by-other 2>/dev/null; echo end`);
      expect(out).toBe('end\n');

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

      for (const line of outcome.stdout.trimEnd().split('\n')) expect(line).toMatch(/^Error: Can't run (agentfw \w+( \w+)? )?inside a sandbox/);
      expect(outcome.stdout.trimEnd().split('\n')).toHaveLength(commands.length);
    });

    gated.test('readonly is EROFS, passthrough reaches the host at once and is told', async () => {
      put('project/locked/f', 'kept\n');
      const through = join(area.home, 'out');
      put('out/there', '');
      policy('files:\n  readonly: ["./locked"]\n  passthrough: ["~/out"]\n');
      const outcome = await run(['--tag', 't'], 'echo x >> locked/f; rm locked/f; echo now > ~/out/new; ln -s / ~/out/up; ls -A ~/out');

      expect(outcome.stderr).toMatch(/Read-only file system/);
      expect(host('project/locked/f')).toBe('kept\n');
      expect(readFileSync(join(through, 'new'), 'utf8')).toBe('now\n');
      expect(outcome.stderr).toContain(`writes in ${through} went to the host`);
      const status = (await area.cli(['status', 't'])).stdout;
      expect(status).toMatch(/passthrough {2}\S+\/out /);
      expect(status).toMatch(/read-only {4}\S+\/locked /);
      expect((await changes('t')).length).toBe(0);
    });

    gated.test('a passthrough leads nowhere else: no link, no `..`, no other name, no moved directory, no mount of the agent’s own (PO08)', async () => {
      put('project/pass/in', 'host\n');
      put('project/target', 'host\n');
      put('project/ro/f', 'host\n');
      policy('files: {passthrough: ["./pass"], readonly: ["./ro"]}\n');
      const outcome = await run(['--tag', 't'], [
        'ln -s ../target pass/out; echo evil > pass/out', 'echo evil > pass/../up', 'ln target pass/hard && echo evil > pass/hard',
        'mv pass moved; rmdir pass; mv target pass/moved-in; mv pass/moved-in back; echo evil > back',
        'unshare -U -r -m sh -c "mount --bind . pass && echo evil > pass/over; mount --bind pass ro && echo evil > ro/f; mount -o remount,bind,rw ro && echo evil > ro/f"',
        'ln ro/f ro-hard && echo evil > ro-hard; mv ro away; echo evil > ro/f; echo through > pass/ok', 'exit 0',
      ].join('\n'));

      expect(outcome.status, outcome.stderr).toBe(0);
      expect(host('project/target')).toBe('host\n');
      expect(host('project/ro/f')).toBe('host\n');
      expect(host('project/pass/ok')).toBe('through\n');
      expect(readdirSync(area.project).sort()).toEqual(['pass', 'ro', 'src', 'target']);
      expect(readdirSync(join(area.project, 'pass')).sort()).not.toContain('over');
    });

    gated.test('a passthrough of the home, the project or a control path is refused (PO08)', async () => {
      for (const dir of [area.home, area.project, join(area.home, '.config')]) {
        put('.config/git/config', '');
        const outcome = await run(['--rm', '--passthrough', dir], 'true');
        expect(outcome.status, dir).toBe(125);
        expect(outcome.stderr).toMatch(/^Error: Refused: passthrough/m);
      }
    });

    gated.test('`commit` rules land by themselves, `discard` rules drop, the rest waits', async () => {
      policy('changes:\n  commit: ["./src/**"]\n  discard: ["./dist"]\n  escalate: ["./src/gen"]\n');
      put('project/src/old.ts', 'old\n');
      const outcome = await run(['--tag', 't'], 'echo two >> src/a.ts; rm src/old.ts; mkdir -p src/new/deep src/gen dist; echo n > src/new/deep/n; echo g > src/gen/g; echo d > dist/d; echo r > README');

      expect(outcome.status).toBe(0);
      expect(outcome.stderr).toMatch(/agentfw: landed 5 changes by policy \(agentfw undo \S+ takes all of it back\), dropped 2 changes by policy\nagentfw: 3 added in t\n/);
      expect(host('project/src/a.ts')).toBe('one\ntwo\n');
      expect(host('project/src/new/deep/n')).toBe('n\n');
      expect(readdirSync(join(area.project, 'src')).sort()).toEqual(['a.ts', 'new']);
      expect(existsSync(join(area.project, 'dist'))).toBe(false);
      expect((await changes('t')).map(({ path, verdict }) => `${verdict} ${path.slice(area.project.length + 1)}`).sort())
        .toEqual(['escalate README', 'escalate src/gen', 'escalate src/gen/g']);

      const undone = await area.cli(['undo']);
      expect(undone.status, undone.stderr).toBe(0);
      expect(host('project/src/a.ts')).toBe('one\n');
      expect(readdirSync(join(area.project, 'src')).sort()).toEqual(['a.ts', 'old.ts']);
      const back = (await changes('t')).filter(({ verdict }) => verdict === 'discard').map(({ path }) => path.slice(area.project.length + 1));
      expect(back.sort()).toEqual(['dist', 'dist/d']);

      const only = await run(['--tag', 'drops'], 'mkdir dist; echo d > dist/d');
      expect(only.stderr).toMatch(/agentfw: dropped 2 changes by policy \(agentfw undo \S+ gives them back to the sandbox\)/);
    });

    gated.test('nothing lands by itself after a failure, beyond a threshold, over a conflict, or of class control', async () => {
      policy('changes:\n  commit: ["./**"]\n  thresholds: {files: 3}\n');
      const landed = (): string[] => readdirSync(area.project).sort();
      const failed = await run(['--rm'], 'echo x > failed; exit 3');
      expect(failed.status).toBe(3);
      await run(['--rm'], 'kill -9 $$');
      const many = await run(['--tag', 'many'], 'touch 1 2 3 4');
      expect(many.stderr).toContain('waiting, because 4 changed files, more than 3');
      await run(['--rm', '--on-exit', 'keep'], 'echo x > kept');
      await run(['--rm'], 'mkdir -p .git/hooks .claude; echo x > .git/hooks/pre-commit; echo {} > .claude/settings.json; echo x > CLAUDE.md');
      expect(landed().filter((name) => name !== '.git' && name !== '.claude')).toEqual(['src']);

      const meeting = meetingIn(area);
      const racing = run(['--tag', 'race', ...meeting.flags], `echo agent > src/a.ts; ${meeting.agent}`);
      await meeting.begun();
      put('project/src/a.ts', 'host\n');
      meeting.letGo();
      await racing;
      expect(host('project/src/a.ts')).toBe('host\n');
    });

    gated.test('the shipped policy lands nothing by itself (PO01)', async () => {
      await run(['--tag', 't'], 'echo x > src/a.ts; echo y > new; echo z >> ~/.bashrc; mkdir -p ~/.cache/pip; echo c > ~/.cache/pip/c');

      expect(host('project/src/a.ts')).toBe('one\n');
      expect(existsSync(join(area.project, 'new'))).toBe(false);
      expect(existsSync(join(area.home, '.bashrc'))).toBe(false);
      expect((await changes('t')).map(({ verdict }) => verdict)).toEqual(['escalate', 'escalate', 'escalate']);
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

    gated.test('`--report` says to programs what happened, also of an agent that never started', async () => {
      policy('changes: {commit: ["./src/**"]}\n');
      const file = join(area.home, 'report.json');
      const report = (): Record<string, unknown> => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      const outside = put('outside.txt', 'kept\n');
      symlinkSync(outside, file);

      expect((await run(['--tag', 't', '--report', file, '--fail-on-escalate'], 'echo x > src/b.ts; echo y > c.txt')).status).toBe(3);
      expect(report()).toMatchObject({
        version: 1, tag: 't', state: 'stopped', status: 3, exit: { code: 0 }, landed: 1, dropped: 0, held: null, failed: null, limited: null, network: { refused: 0, wouldAsk: [] },
        changes: [{ path: join(area.project, 'c.txt'), kind: 'add', verdict: 'escalate', added: 1 }],
      });
      expect(readFileSync(outside, 'utf8')).toBe('kept\n');

      expect((await run(['--report', file, '--hide', area.project], 'true')).status).toBe(125);
      expect(report()).toMatchObject({ version: 1, error: { code: 'AFW_VIEW' }, status: 125 });
      expect((await run(['--report', join(area.home, 'none/report.json')], 'echo ran > ran')).status).toBe(125);
      expect((await run(['--rm', '--report', 'r.json'], 'exit 7')).status).toBe(7);
      expect(JSON.parse(readFileSync(join(area.project, 'r.json'), 'utf8'))).toMatchObject({ status: 7, changes: [] });
    });

    gated.test('`--fail-on-escalate` is 3 when something waits, and leaves the status of a failed agent', async () => {
      policy('changes:\n  commit: ["./src/**"]\n');

      expect((await run(['--rm', '--fail-on-escalate'], 'echo x > src/b')).status).toBe(0);
      expect((await run(['--rm', '--fail-on-escalate'], 'echo x > c')).status).toBe(3);
      expect((await run(['--rm', '--fail-on-escalate'], 'echo x > c; exit 7')).status).toBe(7);
    });

    gated.test('control files are written inside and held back at the commit (WR01 WR02 WR10)', async () => {
      put('project/.claude/settings.json', '{}\n');
      put('.bashrc', 'alias ls=ls\n');
      policy('changes:\n  commit: ["./**", "~/**"]\n');
      const script = 'echo "{hooks}" > .claude/settings.json; mkdir -p sub/.claude; echo "{hooks}" > sub/.claude/settings.local.json; echo evil >> ~/.bashrc; echo evil > .mcp.json; cat .claude/settings.json';
      const outcome = await run(['--tag', 't'], script);

      expect(outcome.stdout).toBe('{hooks}\n');
      expect(host('project/.claude/settings.json')).toBe('{}\n');
      expect(host('.bashrc')).toBe('alias ls=ls\n');
      expect((await changes('t')).filter(({ path }) => /settings|bashrc|mcp/.test(path)).map((one) => `${one.class} ${one.verdict}`)).toEqual(Array(4).fill('control escalate'));
      expect((await area.cli(['commit', 't', '--yes'])).status).toBe(3);
      expect(host('.bashrc')).toBe('alias ls=ls\n');
    });

    gated.test('credentials of the environment are withheld and told, exact names pass, loaders never (CR01 EX08)', async () => {
      const env = { AWS_SECRET_ACCESS_KEY: 'a', MY_TOKEN: 'b', NPM_TOKEN: 'c', LD_PRELOAD: '', NODE_OPTIONS: '--no-warnings', PYTHONPATH: '/x', EDITOR: 'vi' };
      const outcome = await run(['--rm', '--env', 'MY_TOKEN', '--env', 'PYTHONPATH'], 'env | cut -d= -f1', env);
      const names = outcome.stdout.split('\n');

      expect(names).toEqual(expect.arrayContaining(['MY_TOKEN', 'EDITOR', 'HOME', 'PATH']));
      for (const name of ['AWS_SECRET_ACCESS_KEY', 'NPM_TOKEN', 'LD_PRELOAD', 'NODE_OPTIONS', 'PYTHONPATH']) expect(names).not.toContain(name);
      expect(outcome.stderr).toContain('agentfw: withheld AWS_SECRET_ACCESS_KEY, NPM_TOKEN: pass one with --env NAME');
      expect(outcome.stderr).toContain('--env PYTHONPATH is not passed');
      const known = await run(['--rm', '--profile', 'claude-code'], 'env | cut -d= -f1', { ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: 'http://x', OPENAI_API_KEY: 'o' });
      expect(known.stdout).toMatch(/^ANTHROPIC_API_KEY$/m);
      expect(known.stdout).toMatch(/^ANTHROPIC_BASE_URL$/m);
      expect(known.stdout).not.toMatch(/OPENAI/);
    });

    gated.test('a project file only tightens until it is trusted, and says so (PO08)', async () => {
      put('project/.agentfw.yaml', 'version: 1\nchanges:\n  commit: ["./**"]\nfiles:\n  hide: ["./src"]\n');
      const outcome = await run(['--tag', 't'], 'ls -A; echo x > new');

      expect(outcome.stdout).toBe('.agentfw.yaml\n');
      expect(outcome.stderr).toMatch(/agentfw: not followed: changes.commit .*project file may only tighten until it is trusted/);
      expect((await area.cli(['status', 't'])).stdout).toMatch(/not followed: changes\.commit/);
      expect(existsSync(join(area.project, 'new'))).toBe(false);

      expect((await area.cli(['policy', 'trust', '--yes'])).status).toBe(0);
      await run(['--rm'], 'echo x > new');
      expect(host('project/new')).toBe('x\n');
    });

    gated.test('a policy that can not be used refuses the run and leaves nothing', async () => {
      policy('changes:\n  comit: []\n');
      const outcome = await run([], 'true');

      expect(outcome.status).toBe(125);
      expect(outcome.stderr).toMatch(/policy\.yaml:3:3.*comit/);
      expect(readdirSync(join(area.state, 'sandboxes'))).toEqual([]);
    });

    gated.test('an agent is known by its package, and its state lands whatever its status', async () => {
      const cli = put('project/node_modules/@anthropic-ai/claude-code/cli.sh', '#!/bin/sh\necho "{\\"login\\": 1, \\"mcpServers\\": {\\"x\\": 1}}" > ~/.claude.json\nmkdir -p ~/.claude/projects/p\necho t > ~/.claude/projects/p/t.jsonl\nexit 4\n');
      put('project/node_modules/@anthropic-ai/claude-code/package.json', '{"name": "@anthropic-ai/claude-code", "version": "2.1.0"}');
      put('.claude.json', '{"theme": "dark"}');
      const outcome = await area.cli(['run', '--tag', 't', '--net', 'off', '--', 'sh', cli]);
      expect(outcome.stderr).not.toContain('profile claude-code');

      const direct = await area.cli(['run', '--tag', 'd', '--net', 'off', '--profile', 'claude-code', '--', 'sh', cli]);
      expect(direct.stderr).toContain('agentfw: profile claude-code (--profile');
      expect(direct.status).toBe(4);
      expect(JSON.parse(host('.claude.json'))).toEqual({ login: 1 });
      expect(host('.claude/projects/p/t.jsonl')).toBe('t\n');
      const left = await changes('d');
      expect(left.map(({ path, verdict, rule, ...one }) => `${one.class} ${verdict} ${rule} ${path.slice(area.home.length + 1)}`)).toEqual(['control escalate state.claude-code.keys .claude.json']);
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
