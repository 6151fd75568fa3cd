/** Programs and surroundings that a run can't be started with, or not as they are. */
import { spawnSync } from 'node:child_process';
import { lchownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test as plain } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, unnoticed, type Area } from '../helpers/sandbox.js';

/** Null where it does not run without a sandbox either. */
function narrowProgram(): Buffer | null {
  const code = Buffer.from('b80100000031dbcd80', 'hex');
  const base = 0x0804_8000;
  const header = Buffer.alloc(84);
  header.write('7f454c46010101', 'hex');
  for (const [at, value] of [[16, 2], [18, 3], [40, 52], [42, 32], [44, 1]] as const) header.writeUInt16LE(value, at);
  for (const [at, value] of [[20, 1], [24, base + 84], [28, 52], [52, 1], [60, base], [64, base], [68, 84 + code.length], [72, 84 + code.length], [76, 5], [80, 4096]] as const) header.writeUInt32LE(value, at);
  const dir = mkdtempSync(join(tmpdir(), 'agentfw-narrow-'));
  const program = Buffer.concat([header, code]);
  writeFileSync(join(dir, 'program'), program, { mode: 0o755 });
  const runs = spawnSync(join(dir, 'program')).status === 0;
  rmSync(dir, { recursive: true });
  return runs ? program : null;
}

for (const identity of identities()) {
  const gated = needs('userns', 'overlay');

  gated.describe(`the start of a run as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    plain('an agent has as many arguments as a program can have', async () => {
      // The kernel bounds their bytes, not their number.
      const words = Array.from({ length: 70_000 }, () => 'x');
      const { status, stdout, stderr } = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'echo $#', 'sh', ...words]);
      expect([status, stdout], stderr).toEqual([0, '70000\n']);
    });

    // Version 1 of the control groups gives a new group no share of real time.
    if (identity.uid === 0) plain.runIf(spawnSync('chrt', ['-f', '1', 'true']).status === 0)('a process of real time can start it, and its agent is one', async () => {
      const { status, stdout, stderr } = await area.native(['chrt', '-f', '1', ...area.argv(['run', '--rm', '--net', 'off', '--', 'chrt', '-p', '1'])]);
      expect([status, stdout], stderr).toEqual([0, expect.stringContaining('SCHED_FIFO')]);
    });

    const run = (flags: readonly string[], ...agent: readonly string[]): ReturnType<Area['cli']> =>
      area.cli(['run', '--net', 'off', ...flags, '--', ...agent]);
    /** None, before the first. */
    const sandboxes = (): readonly string[] => {
      try {
        return readdirSync(join(area.state, 'sandboxes')).filter((name) => !name.startsWith('.'));
      } catch {
        return [];
      }
    };

    gated.test('says of a program that the policy hides that it is hidden', async () => {
      const { status, stderr } = await run(['--hide', '/usr/bin/env'], '/usr/bin/env', 'true');

      // Absent in a layer, covered in a bind.
      expect([status, unnoticed(stderr)]).toEqual([identity.name === 'root' ? 127 : 126, expect.stringMatching(/^Error: Can't execute .*\nHint: It is hidden \(--hide \/usr\/bin\/env\): agentfw policy explain path \/usr\/bin\/env\n$/)]);
    });

    // `exit(0)` by int 0x80, where the kernel knows such programs
    const narrow = narrowProgram();
    (narrow === null ? { test: plain.skip } : gated).test('says of a program of 32 bits why it ends by SIGSYS', async () => {
      const path = join(area.project, 'narrow');
      writeFileSync(path, narrow ?? '', { mode: 0o755 });
      const { status, stderr } = await run(['--rm'], path);
      rmSync(path);

      expect([status, unnoticed(stderr)]).toEqual([159, expect.stringMatching(/^agentfw: SIGSYS ended the agent, .*32 bits/)]);
    });

    gated.test('where too few files may be open, says so before anything is made', async () => {
      const limited = async (most: string): ReturnType<Area['native']> =>
        area.native(['sh', '-c', `ulimit -n ${most} && exec "$@"`, 'sh', ...area.argv(['run', '--net', 'off', '--rm', '--', 'true'])]);
      expect((await limited('209')).status).toBe(0);
      for (const most of ['24', '30', '208']) {
        const { status, stderr } = await limited(most);
        expect([status, stderr]).toEqual([125, `Error: Only ${most} files may be open at once here, and a run needs 209.\nHint: Raise the hard limit: ulimit -Hn\n`]);
      }
      expect(sandboxes()).toEqual([]);
    });

    gated.test('where too few processes may run, likewise, but for root, who has no such limit', async () => {
      // What else the user runs counts, too, but for what is outside of a user namespace.
      const apart = identity.name === 'root' ? [] : ['unshare', '--user', '--map-current-user'];
      const { status, stderr } = await area.native([...apart, 'bash', '-c', 'ulimit -u 15 && exec "$@"', 'sh', ...area.argv(['run', '--net', 'off', '--rm', '--', 'true'])]);
      if (identity.name === 'root') return expect(status, stderr).toBe(0);
      expect([status, stderr]).toEqual([125, 'Error: Only 15 processes and threads may run here, and a run needs 16 beside what you run already.\nHint: Raise the limit of processes: ulimit -u\n']);
      expect(sandboxes()).toEqual([]);
    });

    gated.test('the agent has the limit of descriptors that its caller has, and not the one that Node takes', async () => {
      const { stdout, stderr } = await area.native(['sh', '-c', 'ulimit -Sn 400; "$@"; ulimit -Hn', 'sh', ...area.argv(['run', '--net', 'off', '--rm', '--', 'sh', '-c', 'ulimit -Sn; ulimit -Hn'])]);
      const [soft, hard, callers] = stdout.trim().split('\n');

      expect([soft, hard], stderr).toEqual(['400', callers]);
    });

    gated.test('a log on a full disk takes neither the run nor its status', async () => {
      const outcome = await area.native(['sh', '-c', '"$@" 2>/dev/full', 'sh', ...area.argv(['run', '--net', 'off', '--tag', 'unheard', '--', 'sh', '-c', 'echo made > made; exit 7'])]);

      expect(outcome.status).toBe(7);
      expect((await area.cli(['diff', 'unheard', '--name-only'])).stdout).toBe(`${area.project}/made\n`);
      await area.cli(['discard', 'unheard', '--yes']);
    });

    gated.test('where files may not grow, says so in place of being ended by the kernel', async () => {
      const { status, stderr } = await area.native(['sh', '-c', 'ulimit -f 1 && exec "$@"', 'sh', ...area.argv(['run', '--net', 'off', '--', 'true'])]);
      expect([status, stderr]).toEqual([125, expect.stringMatching(/^Error: A file may have only \d+ bytes here, and a run writes some of up to 16777216\.\nHint: Raise the largest size of a file: ulimit -f\n$/)]);
    });

    gated.test('a home directory behind a symlink of /tmp is found inside', async () => {
      const link = mkdtempSync('/tmp/agentfw-home-');
      onTestFinished(() => rmSync(link, { recursive: true, force: true }));
      rmSync(link, { recursive: true });
      symlinkSync(area.home, link);
      lchownSync(link, identity.uid, identity.gid);
      const { status, stderr } = await area.cli(['run', '--net', 'off', '--rm', '--', 'sh', '-c', 'cd && touch "$HOME/new"'], { env: { HOME: link } });
      expect([status, unnoticed(stderr)]).toEqual([0, '']);
    });

    gated.test('refuses a program by a name that leads elsewhere inside', async () => {
      for (const [word, dir] of [['/proc/self/exe', '/proc'], ['/dev/fd/../fd/3', '/dev/fd'], ['/proc/1/exe', '/proc']] as const) {
        const { status, stderr } = await run(['--rm'], word);
        expect([status, stderr]).toEqual([127, expect.stringMatching(new RegExp(`^Error: Can't execute \\S+: the sandbox has a ${dir} of its own\\.\nHint: Name the program itself(: \\S+)?\n$`))]);
      }
    });

    gated.test('returns 127 for no such program, 126 for one that can not be executed, 125 for our own refusals, and leaves no sandbox', async () => {
      expect((await run([], '/no/such/program')).status).toBe(127);
      expect((await run([], 'no-such-program')).status).toBe(127);
      expect((await run([], '')).status).toBe(127);
      expect((await run([], '/etc/passwd')).status).toBe(126);
      const directory = await run([], '.');
      expect([directory.status, directory.stderr]).toEqual([126, expect.stringMatching(/\nHint: \/\S+\/\. is a directory\. The agent starts in the one that you are in: agentfw run -- sh\n$/)]);
      expect((await run(['--passthrough', '/etc/passwd'], 'true')).status).toBe(125);
      expect((await area.cli(['run', '--net', 'off', '--publish', '3000', '--', 'true'])).status).toBe(125);
      expect(sandboxes()).toEqual([]);
    });

    gated.test('a directory of PATH that can not be entered is passed over, as shells do', async () => {
      const closed = join(area.dir, 'closed');
      mkdirSync(closed, { mode: 0o000 });
      const options = { env: { PATH: `${closed}:/root/no-such-bin:${area.env['PATH'] ?? ''}` } };
      const none = await area.cli(['run', '--net', 'off', '--', 'no-such-program'], options);

      expect([none.status, none.stderr]).toEqual([127, expect.stringContaining("No directory of the sandbox's PATH has it: agentfw run -- ")]);
      expect((await area.cli(['run', '--rm', '--net', 'off', '--', 'true'], options)).status).toBe(0);
      expect(sandboxes()).toEqual([]);
    });

    gated.test('a directory for a standard stream would lead out of the view, and is refused', async () => {
      const words = area.argv(['run', '--rm', '--net', 'off', '--', 'ls', '/proc/self/fd/0/']);
      const outcome = await area.native(['sh', '-c', 'exec "$@" < /etc', 'sh', ...words]);

      expect([outcome.status, outcome.stdout, unnoticed(outcome.stderr)]).toEqual([125, '', 'Error: Descriptor 0 is a directory: it would lead out of the view.\nHint: Redirect it: agentfw run ... < /dev/null\n']);
    });

    gated.test('a store that can not hold layers is refused with the mend (E14)', async () => {
      const outcome = await area.cli(['run', '--', 'true'], { env: { AGENTFW_STATE_DIR: '/proc/agentfw' } });

      expect(outcome.status).toBe(125);
      expect(outcome.stderr).toContain('AGENTFW_STATE_DIR');
    });
  });
}
