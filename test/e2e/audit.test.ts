/** The audit log of every run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { auditRecordSchema, type AuditRecord } from '../../src/audit/event.js';
import { openAudit } from '../../src/audit/write.js';
import { fromText } from '../../src/bytes.js';
import { native as kernel } from '../../src/kernel/native.js';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, jsonOf, ownSleep, processesWith, type Area, type Outcome } from '../helpers/sandbox.js';

for (const identity of identities()) {
  const gated = needs('userns', 'overlay');

  gated.describe(`the audit log as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    const run = (tag: string, flags: readonly string[], ...agent: readonly string[]): Promise<Outcome> => area.cli(['run', '--tag', tag, ...flags, '--', ...agent]);
    const file = (tag: string): string => join(area.state, 'sandboxes', tag, 'audit.jsonl');
    const records = async (tag: string, ...flags: readonly string[]): Promise<readonly AuditRecord[]> =>
      jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--json', ...flags])).records;
    const verified = async (tag: string): Promise<{ readonly ok: boolean; readonly index?: number; readonly end?: string; readonly why?: string }> => jsonOf(await area.cli(['log', 'verify', tag, '--json']));

    for (const net of ['off', 'allow', 'deny'] as const) {
      gated.test(`every run has its start, policy and end, in a chain with a signed end: --net ${net}`, async () => {
        const outcome = await run(`n-${net}`, ['--net', net], 'sh', '-c', 'exit 3');
        expect(outcome.status, outcome.stderr).toBe(3);
        const found = await records(`n-${net}`);

        expect(found.map(({ kind }) => kind)).toEqual(['start', 'policy', ...(net === 'deny' ? ['gate'] : []), 'end', 'closed']);
        expect(found.every((record) => auditRecordSchema.safeParse(record).success)).toBe(true);
        expect(found[0]).toMatchObject({ object: { argv: ['sh', '-c', 'exit 3'], cwd: area.project }, detail: { net, uid: identity.uid, host: hostname() } });
        expect(found[0]?.policy).toBe(found[1]?.object['digest']);
        expect(found.find(({ kind }) => kind === 'end')?.detail).toMatchObject({ status: 3, code: 3 });
        expect(await verified(`n-${net}`)).toMatchObject({ ok: true, end: 'signed' });
      });
    }

    gated.test('an agent whose log can’t be written any more is ended, and what it did stays', async () => {
      const policy = join(area.home, 'exec.yaml');
      writeFileSync(policy, 'version: 1\naudit: {exec: true}\n');
      const ending = run('cut', ['--net', 'off', '--policy', policy], 'sh', '-c', 'echo precious >work; while :; do /bin/sleep 0.1; done');
      await eventually('the agent works', () => existsSync(file('cut')) && /"kind":"exec"[^\n]*"path":"\/bin\/sleep"/.test(readFileSync(file('cut'), 'utf8')));
      truncateSync(file('cut'), 100);
      const { status, stderr } = await ending;

      expect([status, stderr]).toEqual([125, expect.stringMatching(/^agentfw: the sandbox was ended; what the agent changed is kept: agentfw diff cut\nError: Can't write the audit log\.\n.*\nHint: See agentfw log verify cut\n$/m)]);
      expect((await area.cli(['diff', 'cut', '--name-only'])).stdout).toBe(`${join(area.project, 'work')}\n`);
      expect(await verified('cut')).toMatchObject({ ok: false });
      expect((await area.cli(['discard', 'cut', '--yes'])).status).toBe(0);
    });

    gated.test('a start that fails once the driver is there leaves no agent behind', async () => {
      expect((await run('late', ['--net', 'off'], 'true')).status).toBe(0);
      const kept = join(area.state, 'sandboxes/late/policy.json');
      rmSync(kept);
      mkdirSync(kept);
      const sleep = ownSleep();
      const { status, stderr } = await area.cli(['run', '--in', 'late', '--net', 'off', '--', ...sleep.split(' ')]);

      expect([status, stderr]).toEqual([125, expect.stringContaining('policy.json')]);
      expect(processesWith(sleep)).toEqual([]);
      rmSync(kept, { recursive: true });
      expect((await area.cli(['run', '--in', 'late', '--net', 'off', '--', 'true'])).status).toBe(0);
    });

    gated.test('it is out of the agent’s reach (AU01)', async () => {
      const script = `echo x >> ${file('reach')}; rm -rf ${area.state}; ls -A ${area.state} | wc -l; find ${area.dir} -name 'audit*.jsonl' 2>/dev/null | wc -l`;
      const outcome = await run('reach', ['--net', 'off'], 'sh', '-c', script);

      expect(outcome.stdout).toBe('0\n0\n');
      expect(await verified('reach')).toMatchObject({ ok: true, end: 'signed' });
    });

    gated.test('a damaged key stops what would be recorded before it happens', async () => {
      await run('key', ['--net', 'off'], 'sh', '-c', 'echo a >of-the-agent');
      const key = join(area.state, 'audit-key.pem');
      const whole = readFileSync(key);
      writeFileSync(key, whole.subarray(0, 60));
      try {
        for (const words of [['commit', 'key', '--yes'], ['run', '--net', 'off', '--', 'true'], ['export', 'key', '--format', 'patch', '-o', '-']]) {
          const { stderr, status } = await area.cli(words);
          expect(stderr).toContain(`The key that signs the audit logs is damaged: ${key}`);
          expect(stderr).toContain('Hint: Put that file aside');
          expect(status).toBe(words[0] === 'run' ? 125 : 1);
        }
        expect(existsSync(join(area.project, 'of-the-agent'))).toBe(false);
      } finally {
        writeFileSync(key, whole);
      }
      expect((await area.cli(['commit', 'key', '--yes'])).status).toBe(0);
    });

    gated.test('a long log is one JSON object, and never whole in memory', async () => {
      await run('long', ['--net', 'off'], 'true');
      const audit = openAudit({ kernel, dir: fromText(dirname(file('long'))), tag: 'long', policy: null, now: () => new Date(), onFull: 'stop', rotateBytes: 1 << 30 });
      const argv = ['x'.repeat(2000), 'y'.repeat(2000)];
      for (let i = 0; i < 20; i += 1) audit.recordAll(Array.from({ length: 1000 }, () => ({ kind: 'exec', object: { argv } })));
      audit.leave();
      const script = 'NODE_OPTIONS=--max-old-space-size=40 "$@" | node -e \'let n = 0, text = ""; process.stdin.on("data", (chunk) => (text += chunk)).on("end", () => console.log(JSON.parse(text).records.length))\'';
      const { stdout, stderr } = await area.native(['sh', '-c', script, 'sh', ...area.argv(['log', 'long', '--json'])]);

      expect([stdout, stderr]).toEqual([`${4 + 20_000}\n`, '']);
    });

    gated.test('an edited, removed or moved record is named by its index, a cut end is found, a forged one is no end (AU02)', async () => {
      await run('chain', ['--net', 'off'], 'true');
      const whole = readFileSync(file('chain'), 'utf8');
      const lines = whole.trimEnd().split('\n');
      const withLines = async (changed: readonly string[]): ReturnType<typeof verified> => {
        writeFileSync(file('chain'), `${changed.join('\n')}\n`);
        return verified('chain');
      };
      const [start = '', policy = '', end = '', closed = ''] = lines;

      expect(await withLines([start, policy.replace('a run begins', 'A run begins'), end, closed])).toMatchObject({ ok: false, index: 2 });
      expect(await withLines([start, end, closed])).toMatchObject({ ok: false, index: 1 });
      expect(await withLines([start, end, policy, closed])).toMatchObject({ ok: false, index: 1 });
      expect(await withLines([start, policy, end])).toMatchObject({ ok: false, index: 3, why: expect.stringContaining('cut') as string });
      expect(await withLines(lines)).toMatchObject({ ok: true, end: 'signed' });
      appendFileSync(file('chain'), `${closed}\n`);
      const doubled = await area.cli(['log', 'verify', 'chain']);
      expect(doubled.status).toBe(1);
      expect(doubled.stderr).toMatch(/^BAD {2}record 4 of chain \(audit\.jsonl, line 5\): /);
    });

    gated.test('a log that is cut together with its signed end, swapped or gone is told from a crash (AU02)', async () => {
      await run('whole', ['--net', 'off'], 'true');
      await run('other', ['--net', 'off'], 'true');
      const head = (tag: string): string => join(area.state, 'sandboxes', tag, 'audit.head.json');
      const [log, end, otherLog, otherEnd] = [file('whole'), head('whole'), file('other'), head('other')].map((path) => readFileSync(path, 'utf8')) as [string, string, string, string];
      const put = (text: string | null, signed: string | null): ReturnType<typeof verified> => {
        for (const [path, content] of [[file('whole'), text], [head('whole'), signed]] as const) {
          if (content === null) rmSync(path, { force: true });
          else writeFileSync(path, content);
        }
        return verified('whole');
      };
      const cut = log.split('\n').slice(0, 2).map((line) => `${line}\n`).join('');

      expect(await put(cut, null)).toMatchObject({ ok: false, why: 'the signed end is gone' });
      expect(await put(log, null)).toMatchObject({ ok: false, why: 'the signed end is gone' });
      expect(await put(null, null)).toMatchObject({ ok: false });
      expect(await put(log, otherEnd)).toMatchObject({ ok: false, why: 'the signed end belongs to other' });
      expect(await put(otherLog, otherEnd)).toMatchObject({ ok: false });
      expect(await put(otherLog, end)).toMatchObject({ ok: false, index: 0, why: 'it belongs to other' });
      expect(await put(log, end)).toMatchObject({ ok: true, end: 'signed' });
    });

    gated.test('what a killed supervisor left is whole, and a cut in it is found (AU02)', async () => {
      const words = area.as(area.argv(['run', '--tag', 'crash', '--net', 'off', '--', 'sleep', '1000']));
      const child = spawn(words[0]!, words.slice(1), { cwd: area.project, env: area.env, stdio: 'ignore' });
      const ended = once(child, 'exit');
      await eventually('the record remembers the log', async () => {
        const listed = (await area.cli(['status', 'crash', '--json'])).stdout;
        return listed.includes('"running"') && readFileSync(join(area.state, 'sandboxes/crash/sandbox.json'), 'utf8').includes('"audit"');
      });
      child.kill('SIGKILL');
      await ended;
      await eventually('it counts as stopped', async () => (await area.cli(['status', 'crash', '--json'])).stdout.includes('"stopped"'));
      expect(await verified('crash')).toMatchObject({ ok: true, end: 'open' });
      writeFileSync(file('crash'), readFileSync(file('crash'), 'utf8').split('\n')[0]! + '\n');

      expect(await verified('crash')).toMatchObject({ ok: false, index: 1, why: 'the log is cut: record 1 is missing at the end' });
    });

    gated.test('words of the agent end no record and act on no terminal (AU04)', async () => {
      const word = 'a\n{"v":1}\u001b[2J\u202e\r';
      await run('inject', ['--net', 'off'], 'true', word);
      const text = readFileSync(file('inject'), 'latin1');

      expect(text).toMatch(/^[\x20-\x7e\n]*$/);
      expect(text.trimEnd().split('\n')).toHaveLength(4);
      expect((await records('inject'))[0]?.object['argv']).toEqual(['true', word]);
      expect((await area.cli(['log', 'inject'])).stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/);
    });

    gated.test('secrets are cut out before they are written', async () => {
      await run('secret', ['--net', 'off'], 'true', '--token', 'sup3rs3cret', 'Authorization: Bearer abcdefghijklmnop');
      const text = readFileSync(file('secret'), 'utf8');

      expect(text).not.toMatch(/sup3rs3cret|abcdefghijklmnop/);
      expect((await records('secret'))[0]?.redacted).toBeGreaterThanOrEqual(2);
    });

    gated.test('what is done with the changes is recorded: commit, undo, export, discard of a path', async () => {
      await run('effects', ['--net', 'off'], 'sh', '-c', 'echo 1 > one; echo 2 > two');
      expect((await area.cli(['export', 'effects', '-o', join(area.home, 'out.patch')])).status).toBe(0);
      expect((await area.cli(['commit', '--tag', 'effects', '--yes', '--', 'one'])).status).toBe(0);
      expect((await area.cli(['undo'])).status).toBe(0);
      expect((await area.cli(['discard', '--tag', 'effects', '--yes', '--', 'two'])).status).toBe(0);
      const found = await records('effects', '--kind', 'commit', '--kind', 'undo', '--kind', 'export', '--kind', 'discard');

      expect(found.map(({ kind }) => kind)).toEqual(['export', 'commit', 'undo', 'discard']);
      expect(found[1]?.detail).toMatchObject({ state: 'landed', add: 1, refused: 0 });
      expect(await verified('effects')).toMatchObject({ ok: true, end: 'signed' });
      const paths = await records('effects', '--kind', 'change');
      expect(paths.map(({ object, verdict, rule }) => [object['path'], verdict, rule])).toEqual([
        [join(area.project, 'one'), 'commit', null], [join(area.project, 'one'), 'commit', null], [join(area.project, 'two'), 'discard', null],
      ]);
    });

    gated.test('what a policy lands and drops at the end is recorded by change, with the rule that says so', async () => {
      const policy = join(area.dir, 'landing.yaml');
      writeFileSync(policy, 'version: 1\nchanges: {commit: ["./lands/**"], discard: ["./*.tmp"]}\n', { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      await run('landing', ['--net', 'off', '--policy', policy], 'sh', '-c', 'mkdir lands; echo 1 > lands/a; echo 2 > b.tmp; echo 3 > waits');

      const told = await records('landing', '--kind', 'change');
      expect(told.map(({ object, verdict }) => [object['path'], verdict]).sort()).toEqual([[join(area.project, 'b.tmp'), 'discard'], [join(area.project, 'lands'), 'commit']]);
      expect(told.every(({ rule }) => rule !== null)).toBe(true);
    });

    gated.test('what a crash of a commit left is recorded when it is finished or taken back', async () => {
      await run('crashed', ['--net', 'off'], 'sh', '-c', 'i=0; while [ $i -lt 3000 ]; do echo $i > many-$i; i=$((i+1)); done');
      const commits = join(area.state, 'commits');
      const [program = '', ...args] = area.as(area.argv(['commit', 'crashed', '--yes']));
      const before = existsSync(commits) ? readdirSync(commits) : [];
      const commit = spawn(program, args, { cwd: area.project, env: { ...area.env }, stdio: 'ignore' });
      const ended = once(commit, 'close');
      const began = (): boolean => existsSync(commits) && readdirSync(commits).some((id) => !id.startsWith('.') && !before.includes(id) && (statSync(join(commits, id, 'plan'), { throwIfNoEntry: false })?.size ?? 0) > 4096);
      while (!began() && commit.exitCode === null) await new Promise((go) => setImmediate(go));
      commit.kill('SIGKILL');
      await ended;
      expect((await area.cli(['recover'])).status).toBe(0);

      const [told] = await records('crashed', '--kind', 'recover');
      expect(told?.detail['outcome']).toMatch(/^(finished|rolled-back|discarded)$/);
      expect((await verified('crashed')).ok).toBe(true);
    });

    gated.test('a kill is recorded before it happens, and the run’s end after it', async () => {
      const running = run('killed', ['--net', 'off'], 'sleep', '1000');
      await eventually('it runs', async () => (await area.cli(['status', 'killed', '--json'])).stdout.includes('"running"'));
      expect((await area.cli(['kill', 'killed'])).status).toBe(0);
      await running;

      expect((await records('killed')).map(({ kind }) => kind)).toEqual(['start', 'policy', 'kill', 'end', 'closed']);
    });

    gated.test('a log that goes on with a second run is one chain', async () => {
      await run('twice', ['--net', 'off'], 'true');
      await area.cli(['run', '--in', 'twice', '--net', 'off', '--', 'false']);

      expect((await records('twice', '--kind', 'end')).map(({ detail }) => detail['status'])).toEqual([0, 1]);
      expect(await verified('twice')).toMatchObject({ ok: true, end: 'signed' });
    });
  });
}
