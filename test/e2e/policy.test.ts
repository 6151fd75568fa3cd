/** End to end: what a policy lets through, and who may say so. */
import { existsSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { policyHands } from '../helpers/policy.js';
import { createArea, identities, type Area, type Outcome } from '../helpers/sandbox.js';

const KEY = 'PRIVATE KEY MATERIAL';
const gated = needs('userns', 'overlay');

for (const identity of identities()) {
  gated.describe(`policy as ${identity.name}`, () => {
    let area: Area;
    const { put, policy, run, changes, host, seen } = policyHands(() => area);
    beforeEach(() => {
      area = createArea(identity);
      put('project/src/a.ts', 'one\n');
    });
    afterEach(() => area.remove());

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

    for (const path of ['/', '/var']) {
      gated.test(`\`readonly\` of ${path}, in which the sandbox has something of its own, is refused, never passed over (WR23)`, async () => {
        policy(`files:\n  readonly: ["${path}"]\n`);
        const outcome = await run(['--tag', 't'], 'ls -A /var/tmp');

        expect([outcome.status, outcome.stdout]).toEqual([125, '']);
        expect(outcome.stderr).toMatch(/Error: Can't make \/\S* read-only: the sandbox has \/\S* of its own \(files\.readonly:\/\S*\)\.\nHint: Name directories that lie deeper/);
        expect((await area.cli(['list', '--json'])).stdout).not.toContain('"t"');
      });
    }

    gated.test('readonly is EROFS, passthrough reaches the host at once and is told', async () => {
      put('project/locked/f', 'kept\n');
      const through = join(area.home, 'out');
      put('out/there', '');
      policy('files:\n  readonly: ["./locked"]\n  passthrough: ["~/out"]\n');
      const outcome = await run(['--tag', 't'], 'echo x >> locked/f; rm locked/f; echo now > ~/out/new; ln -s / ~/out/up; mkdir ~/out/d; ln -s ../new ~/out/d/inside; ls -A ~/out');

      expect(outcome.stderr).toMatch(/Read-only file system/);
      expect(host('project/locked/f')).toBe('kept\n');
      expect(readFileSync(join(through, 'new'), 'utf8')).toBe('now\n');
      expect(outcome.stderr).toContain(`writes in ${through} went to the host; new on the host, and leading elsewhere: ${through}/up -> /\n`);
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

    gated.test('a passthrough in the project is led nowhere by a link that the project brings (PO08)', async () => {
      put('.local/bin/there', '');
      symlinkSync(join(area.home, '.local'), join(area.project, 'build'));
      policy('files: {passthrough: ["./build/bin", "./build/new"]}\n');
      const outcome = await run(['--tag', 't'], 'echo evil > build/bin/ls');

      expect(outcome.stderr).toContain(`${join(area.project, 'build/bin')} is not passed through: a link in the project leads to ${join(area.home, '.local/bin')}`);
      expect([readdirSync(join(area.home, '.local')), readdirSync(join(area.home, '.local/bin'))]).toEqual([['bin'], ['there']]);
      const named = await run(['--rm', '--passthrough', 'build/bin'], 'true');
      expect([named.status, named.stderr]).toEqual([125, expect.stringMatching(/^Error: Can't pass \S+\/build\/bin through: a link in the project leads to \S+\/\.local\/bin\.$/m)]);
    });

    gated.test('what a link in the home leads to is judged as if it were named (PO08)', async () => {
      put('.config/git/config', '');
      symlinkSync(join(area.home, '.config'), join(area.home, 'link'));
      policy('files: {passthrough: ["~/link/git"]}\n');
      const outcome = await run(['--tag', 't'], 'echo evil > ~/link/git/hook');

      expect(outcome.stderr).toMatch(/link\/git is not passed through: a link leads to \S+\/\.config\/git, and /);
      expect(readdirSync(join(area.home, '.config/git'))).toEqual(['config']);
    });

    gated.test('a passthrough of the home, the project or a control path is refused (PO08)', async () => {
      for (const dir of [area.home, area.project, join(area.home, '.config')]) {
        put('.config/git/config', '');
        const outcome = await run(['--rm', '--passthrough', dir], 'true');
        expect(outcome.status, dir).toBe(125);
        expect(outcome.stderr).toMatch(/^Error: Refused: passthrough/m);
      }
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

    gated.test('without the policy of its newest run nothing of a sandbox lands, until a run has kept it again', async () => {
      put('.claude.json', '{"theme": "dark"}');
      const agent = ['--net', 'off', '--profile', 'claude-code', '--', 'sh', '-c'];
      await area.cli(['run', '--tag', 't', ...agent, `printf '{"theme": "dark", "mcpServers": {"x": {"command": "evil"}}}' > ~/.claude.json`]);
      rmSync(join(area.state, 'sandboxes/t/policy.json'));
      const lost = await area.cli(['commit', 't', '--yes']);

      expect([lost.status, lost.stderr]).toEqual([1, 'Error: The policy of t is not with it: it was lost, or the disk was full when it started.\nHint: Make room, and run agentfw run --in t -- true, which keeps it again\n']);
      await area.cli(['run', '--in', 't', ...agent, 'true']);
      expect((await area.cli(['commit', 't', '--yes'])).status).toBe(3);
      expect(host('.claude.json')).toBe('{"theme": "dark"}');
    });

    for (const [shape, script] of [
      ['too large', `{ printf '{"mcpServers":{"x":{"command":"evil"}},"pad":"'; head -c 34000000 /dev/zero | tr '\\0' x; printf '"}'; } > ~/.claude.json`],
      ['too deep', `{ printf '{"mcpServers":{"x":{"command":"evil"}},"pad":'; head -c 30000 /dev/zero | tr '\\0' '['; head -c 30000 /dev/zero | tr '\\0' ']'; printf '}'; } > ~/.claude.json`],
      ['no JSON for us', `printf '\\357\\273\\277{"mcpServers":{"x":{"command":"evil"}}}' > ~/.claude.json`],
    ] as const) {
      gated.test(`a state file that is ${shape} lands nothing by itself: what its keys start is not known (WR17)`, async () => {
        put('.claude.json', '{"theme": "dark"}');
        const outcome = await area.cli(['run', '--tag', 't', '--net', 'off', '--profile', 'claude-code', '--', 'sh', '-c', script]);

        expect(outcome.status, outcome.stderr).toBe(0);
        expect(host('.claude.json')).toBe('{"theme": "dark"}');
        expect((await changes('t')).map(({ path, verdict, rule, ...one }) => `${one.class} ${verdict} ${rule} ${path.slice(area.home.length + 1)}`)).toEqual(['control escalate state.claude-code.keys .claude.json']);
        expect((await area.cli(['commit', 't', '--yes'])).status).toBe(3);
        expect(host('.claude.json')).toBe('{"theme": "dark"}');
      });
    }
  });
}
