/** End to end: what a policy lands, drops and leaves to a person. */
import { existsSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { meetingIn } from '../helpers/meeting.js';
import { needs } from '../helpers/needs.js';
import { policyHands } from '../helpers/policy.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const gated = needs('userns', 'overlay');

for (const identity of identities()) {
  gated.describe(`verdicts as ${identity.name}`, () => {
    let area: Area;
    const { put, policy, run, changes, host } = policyHands(() => area);
    beforeEach(() => {
      area = createArea(identity);
      put('project/src/a.ts', 'one\n');
    });
    afterEach(() => area.remove());

    gated.test('case variants are the protected name when they land (RD07)', async () => {
      policy('changes:\n  commit: ["./**", "~/**"]\n');
      await run(['--tag', 't'], 'echo x > .ENV; mkdir ~/.SSH; echo x > ~/.SSH/authorized_keys; mkdir -p .Git/hooks; echo x > .Git/hooks/pre-commit');
      const found = await changes('t');

      expect(found.filter(({ path }) => /ENV|authorized_keys|pre-commit/.test(path)).map(({ verdict, rule }) => `${verdict} ${rule}`).sort())
        .toEqual(['escalate control.git', 'escalate secrets.env', 'escalate secrets.ssh']);
      expect(existsSync(join(area.project, '.ENV'))).toBe(false);
    });

    gated.test('what git on the host runs by its configuration waits for a person, whatever its name (WR07)', async () => {
      policy('changes:\n  commit: ["./**"]\n');
      put('project/tools/hooks/pre-commit', '#!/bin/sh\n');
      put('project/tools/other', 'one\n');
      put('project/.git/HEAD', 'ref: refs/heads/main\n');
      put('project/.git/config', '[core]\n\tbare = false\n\thooksPath = tools/hooks\n');
      await run(['--tag', 't'], 'echo evil >> tools/hooks/pre-commit; echo evil > tools/hooks/post-checkout; echo two > tools/other');

      expect(host('project/tools/other')).toBe('two\n');
      expect(host('project/tools/hooks/pre-commit')).toBe('#!/bin/sh\n');
      const { stdout } = await area.cli(['diff', 't', '--json']);
      const held = (JSON.parse(stdout) as { changes: { path: string; class: string; verdict: string }[] }).changes;
      expect(held.map(({ path, class: name, verdict }) => `${name} ${verdict} ${path.slice(area.project.length + 1)}`).sort())
        .toEqual(['control escalate tools/hooks/post-checkout', 'control escalate tools/hooks/pre-commit']);
      expect((await area.cli(['commit', 't', '--yes'])).status).toBe(3);
      expect(existsSync(join(area.project, 'tools/hooks/post-checkout'))).toBe(false);
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
      // The status of `agentfw run`, not that of the error elsewhere.
      expect((await run(['--report', file, '--in', 'nowhere'], 'true')).status).toBe(125);
      expect(report()).toMatchObject({ version: 1, error: { code: 'AFW_NO_SANDBOX' }, status: 125 });
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

    gated.test('the class that a rule of the policy gives is shown, holds a commit, and is lifted by `accept`', async () => {
      policy('changes:\n  control: ["./deploy/**", "./ops/**"]\n  later: ["./gen/**"]\n  accept: ["./ops/**"]\n');
      put('project/deploy/old.sh', 'old\n');
      put('project/gen/old', 'old\n');
      await run(['--tag', 't'], 'for n in 1 2 3; do echo x > deploy/$n.sh; echo x > gen/$n; done; rm deploy/old.sh gen/old; mkdir ops; echo x > ops/run; echo x > tox.ini; echo x > plain');
      const found = (await changes('t')).filter(({ path }) => !path.endsWith('/ops')).map((one) => `${one.path.slice(area.project.length + 1)} ${one.class}`);

      expect(found.sort()).toEqual([
        ...['1.sh', '2.sh', '3.sh', 'old.sh'].map((name) => `deploy/${name} control`), ...['1', '2', '3'].map((name) => `gen/${name} later`), 'gen/old normal', 'ops/run normal', 'plain normal', 'tox.ini later',
      ]);

      const landed = await area.cli(['commit', 't', '--yes']);
      expect(landed.stdout + landed.stderr).toMatch(/Held back: 4 changes that take effect on the host without further action\n.*\n? *[AD] .*deploy/);
      expect(readdirSync(join(area.project, 'deploy'))).toEqual(['old.sh']);
      expect(readdirSync(join(area.project, 'gen')).sort()).toEqual(['1', '2', '3']);

      await area.cli(['commit', 't', '--yes', '--accept-control', 'deploy']);
      expect(readdirSync(join(area.project, 'deploy')).sort()).toEqual(['1.sh', '2.sh', '3.sh']);
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
  });
}
