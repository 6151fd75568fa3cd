/** End to end: limits of memory, processes, time and layers, and what holds them here. */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, helpers, identities, jsonOf, python, type Area, type Outcome } from '../helpers/sandbox.js';

interface StatusJson {
  readonly limits: readonly { readonly name: string; readonly value: number; readonly by: string; readonly used: number | null }[];
  readonly limited: string | null;
  readonly driver: number;
  readonly degraded: readonly { readonly name: string; readonly accepted?: boolean }[];
}

/** Every control group of one supervisor, anywhere: other runs have theirs. */
function groups(supervisor: number, dir = '/sys/fs/cgroup', depth = 0): readonly string[] {
  if (depth > 6) return [];
  try {
    return readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap((entry) =>
      entry.name.startsWith(`agentfw-${supervisor}-`) ? [join(dir, entry.name)] : groups(supervisor, join(dir, entry.name), depth + 1));
  } catch {
    return [];
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

for (const identity of identities()) {
  const kernel = identity.name === 'root' ? needs('userns', 'overlay', 'python', 'cgroup') : needs('userns', 'overlay', 'python');
  kernel.describe(`limits as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => {
      area = createArea(identity);
    });
    afterEach(() => area.remove());

    const policy = (text: string): void => {
      const dir = join(area.home, '.config/agentfw');
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(join(dir, 'policy.yaml'), `version: 1\n${text}`, { mode: 0o600 });
      for (const path of [join(area.home, '.config'), dir, join(dir, 'policy.yaml')]) chownSync(path, identity.uid, identity.gid);
    };
    const run = (flags: readonly string[], ...agent: readonly string[]): Promise<Outcome> => area.cli(['run', '--net', 'off', ...flags, '--', ...agent]);
    const status = async (tag: string): Promise<StatusJson> => jsonOf<StatusJson>(await area.cli(['status', tag, '--json']));

    kernel.test('`--time` ends the tree, says so, and nothing lands although the agent says all is well', async () => {
      policy('changes: {commit: ["./**"]}\n');
      const outcome = await run(['--tag', 't', '--time', '1s'], 'sh', '-c', 'trap "exit 0" TERM; echo x > made; while :; do sleep 0.1; done');

      expect(outcome).toMatchObject({ status: 143 });
      expect(outcome.stderr).toMatch(/ended, because its time of 1s is over/);
      expect(existsSync(join(area.project, 'made'))).toBe(false);
      expect((await status('t')).limited).toBe('its time of 1s is over');
      expect((await area.cli(['log', 't'])).stdout).toMatch(/limit/);
    });

    kernel.test('an agent that ignores the end is killed', async () => {
      const outcome = await run(['--rm', '--time', '1s'], 'sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done');

      expect(outcome.status).toBe(137);
    });

    kernel.test('`--pids` holds for the tree, threads included, and `exec` counts too', async () => {
      const outcome = await run(['--rm', '--pids', '12'], python, '-c', [
        'import os, threading, time', 'made = 0',
        'for i in range(40):',
        '  try:',
        '    if i % 2: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()',
        '    elif os.fork() == 0: time.sleep(600); os._exit(0)',
        '    made += 1',
        '  except (OSError, RuntimeError): break',
        'print(made)',
      ].join('\n'));

      expect(Number(outcome.stdout)).toBeGreaterThan(6);
      expect(Number(outcome.stdout)).toBeLessThanOrEqual(12);
    });

    kernel.test('`--memory` holds for one process and for the sum of many', async () => {
      const one = await run(['--rm', '--memory', '150MB'], python, '-c', 'x = b"a" * 400000000; print(len(x))');
      expect(one.stdout).toBe('');
      expect(one.status).not.toBe(0);

      const many = await run(['--rm', '--memory', '200MB'], python, '-c', [
        'import os, time', 'for i in range(5):',
        '  if os.fork() == 0: x = b"a" * 90000000; time.sleep(600); os._exit(0)',
        'print(os.wait())',
      ].join('\n'));
      expect(many.stderr).toMatch(identity.name === 'root' ? /the kernel ended (a process|\d+ processes) at the memory limit of 200MB/ : /ended, because its processes hold .*, the limit is 200MB/);
    });

    kernel.test('`--layer` and `inodes` end the tree when its layers are full, also below directories that it locks', async () => {
      const bytes = await run(['--tag', 't', '--layer', '20MB'], 'sh', '-c', 'mkdir d; cd d; chmod 333 .; i=0; while [ $i -lt 100 ]; do i=$((i+1)); head -c 5000000 /dev/zero > f$i; sleep 0.1; done');
      expect(bytes.status).toBe(143);
      expect(bytes.stderr).toMatch(/its layers hold .*MB, the limit is 20MB/);
      expect((await status('t')).limits).toEqual([expect.objectContaining({ name: 'layer', value: 20_000_000, by: 'watch' })]);

      policy('limits: {inodes: 50}\n');
      const files = await run(['--rm'], 'sh', '-c', 'i=0; while :; do i=$((i+1)); : > f$i; sleep 0.01; done');
      expect(files.stderr).toMatch(/its layers hold \d+ files, the limit is 50/);
    });

    for (const [what, script] of [
      ['a directory that can be listed and not searched', 'mkdir d; : > d/x; chmod 400 d; head -c 50000000 /dev/zero > big'],
      ['one that holds it all', 'mkdir d; head -c 50000000 /dev/zero > d/big; chmod 400 d'],
      ['paths longer than a path may be', 'n=$(printf %0200d 0); i=0; while [ $i -lt 30 ]; do i=$((i+1)); mkdir $n; cd -P $n; done; head -c 50000000 /dev/zero > big'],
    ] as const) kernel.test(`\`--layer\` counts whatever the agent does against it: ${what}`, async () => {
      const outcome = await run(['--rm', '--layer', '20MB'], 'sh', '-c', `${script}; sleep 600`);
      expect([outcome.status, outcome.stderr]).toEqual([143, expect.stringMatching(/its layers hold .*MB, the limit is 20MB/)]);
      // Only the sweeper removes what is so deep.
      await eventually('the trash is empty', () => readdirSync(join(area.state, 'trash')).every((name) => name.startsWith('.')));
    });

    kernel.test('`status` shows limits and use, a program of `exec` is limited, and no control group stays', async () => {
      await run(['--detach', '--tag', 't', '--memory', '1GB', '--pids', '50', '--layer', '1GB', '--time', '1h'], 'sleep', '1000');
      const { limits, driver } = await status('t');
      const supervisor = parentOf(driver);
      const by = identity.name === 'root' ? 'group' : undefined;

      expect(limits.map(({ name }) => name)).toEqual(['memory', 'pids', 'layer', 'time']);
      expect(limits.slice(0, 2).map((limit) => limit.by)).toEqual([by ?? expect.stringMatching(/group|watch/), by ?? expect.stringMatching(/group|rlimit/)]);
      expect(limits[0]?.used).toBeGreaterThan(0);
      expect(limits[1]?.used).toBeGreaterThan(0);
      const inside = await area.cli(['exec', 't', '--', 'sh', '-c', 'i=0; while [ $i -lt 80 ]; do sleep 600 > /dev/null 2>&1 & i=$((i+1)); done']);
      expect(inside.stderr).toMatch(/fork/i);
      await area.cli(['kill', 't']);
      await eventually('the group to go', () => groups(supervisor).length === 0);
    });

    kernel.test('what can not be held stops the start, and `--accept-degraded` takes the loss by name', async () => {
      policy('limits: {cpu: 0.5}\n');
      const refused = await run(['--rm'], 'true');
      if (refused.status === 0) return; // control groups hold it here
      expect(refused).toMatchObject({ status: 125, stderr: expect.stringMatching(/Can't hold the cpu limit of .*policy\.yaml:2: .*\n.*--accept-degraded cpu/) as string });

      const accepted = await run(['--tag', 't', '--accept-degraded', 'cpu'], 'true');
      expect(accepted.status).toBe(0);
      expect(accepted.stderr).toMatch(/accepted: no cpu limit/);
      expect(accepted.stderr).toMatch(/ran without cpu, as accepted/);
      expect((await status('t')).degraded).toContainEqual(expect.objectContaining({ name: 'cpu', accepted: true }));
      expect((await area.cli(['log', 't'])).stdout).toMatch(/degraded.*cpu/);
    });

    kernel.test('names of losses that do not exist are refused', async () => {
      expect(await run(['--accept-degraded', 'memry'], 'true')).toMatchObject({ status: 125, stderr: expect.stringMatching(/Did you mean memory\?/) as string });
    });
  });

  if (identity.name === 'root') {
    needs('userns', 'overlay', 'cgroup').test('the agent can not lift its limit from a namespace of its own', async () => {
      const area = createArea(identity);
      try {
        const script = [
          'mkdir c; for o in pids cgroup2; do',
          '  if [ $o = cgroup2 ]; then mount -t cgroup2 none c; else mount -t cgroup -o $o none c; fi || continue',
          '  find c -name pids.max -exec sh -c "echo max > {}" \\;', '  umount c',
          'done; i=0; while [ $i -lt 80 ]; do sleep 600 & i=$((i+1)); done',
        ].join('\n');
        const outcome = await area.cli(['run', '--rm', '--net', 'off', '--pids', '30', '--', 'unshare', '-U', '-r', '-m', '-C', 'sh', '-c', script]);

        expect(outcome.stderr).toMatch(/Cannot fork/);
        expect(outcome.stderr).toMatch(/the limit of 30 processes was met/);
      } finally {
        await area.remove();
      }
    });

    const ways = [['born in it', []], ['moved there, where clone3 is refused', [python, join(helpers, 'without-rungs.py'), 'clone3']]] as const;
    for (const [way, above] of ways) needs('userns', 'overlay', 'cgroup', 'python').test(`the view of control groups begins at the tree: ${way}`, async () => {
      const area = createArea(identity);
      try {
        const outside = readlinkSync('/proc/self/ns/cgroup');
        const outcome = await area.native([...above, ...area.argv(['run', '--rm', '--net', 'off', '--pids', '30', '--', 'sh', '-c', 'cat /proc/self/cgroup; readlink /proc/self/ns/cgroup'])]);
        const [own, ...groups] = outcome.stdout.trim().split('\n').reverse();

        expect(outcome).toMatchObject({ status: 0 });
        expect(own).toMatch(/^cgroup:/);
        expect(own).not.toBe(outside);
        expect(groups.filter((line) => /:pids:|^0::/.test(line)).length).toBeGreaterThan(0);
        for (const line of groups.filter((one) => /:pids:|^0::/.test(one))) expect(line).toMatch(/:\/$/);
      } finally {
        await area.remove();
      }
    });

    needs('userns', 'overlay', 'cgroup').test('a control group whose supervisor was killed is removed by the next command', async () => {
      const area = createArea(identity);
      try {
        await area.cli(['run', '--detach', '--tag', 't', '--net', 'off', '--pids', '30', '--', 'sleep', '1000']);
        const pid = parentOf(jsonOf<StatusJson>(await area.cli(['status', 't', '--json'])).driver);
        expect(groups(pid)).not.toEqual([]);
        process.kill(pid, 'SIGKILL');
        await eventually('the tree to end', async () => jsonOf<{ readonly state: string }>(await area.cli(['status', 't', '--json'])).state === 'stopped');
        await eventually('the group to go', async () => {
          await area.cli(['list']);
          return groups(pid).length === 0;
        });
      } finally {
        await area.remove();
      }
    });
  }
}
