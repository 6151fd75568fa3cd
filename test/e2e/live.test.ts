/** Committing what a running sandbox has at one moment (I18). */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { childrenOf, strike } from '../helpers/processes.js';
import { createArea, eventually, identities, jsonOf, ownSleep, processesWith, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { holdStore, isAwaited, releaseStores } from '../helpers/store-lock.js';
import { groupOf, isHeldByGroup } from '../helpers/unified.js';

/** Writes a line to `a`, then the same to `b`, forever, some 50,000 a second: at every moment `a` has as many as `b`, or one more. */
const WRITER = `
import os, signal, subprocess, sys, threading, time
stopped = subprocess.Popen(["sleep", "1000"]); os.kill(stopped.pid, signal.SIGSTOP)
threading.Thread(target=lambda: [subprocess.run(["true"]) for _ in iter(int, 1)], daemon=True).start()
open("stopped", "w").write(str(stopped.pid))
a, b, n = open("a", "w"), open("b", "w"), 0
while True:
    a.write("%d\\n" % n); a.flush(); b.write("%d\\n" % n); b.flush(); n += 1
    n % 200 or time.sleep(0.002)
`;
const { test } = needs('userns', 'overlay');

for (const identity of identities()) {
  describe(`commit --live as ${identity.name}`, () => {
    let area: Area;
    let agent: ChildProcess;
    const live = (...more: string[]): Promise<Outcome> => area.cli(['commit', 'live', '--yes', '--live', ...more]);
    const lines = (name: string): number => readFileSync(join(area.project, name), 'latin1').split('\n').length;
    /** how much the agent has written by now, seen from inside */
    const written = async (): Promise<number> => Number((await area.cli(['exec', 'live', '--', 'stat', '-c', '%s', 'a'])).stdout);
    const goesOn = async (): Promise<void> => {
      const before = await written();
      await eventually('the agent goes on', async () => (await written()) > before);
    };
    const freezers = (): readonly number[] => processesWith(new RegExp(`^agentfw-driver freeze ${driverOf(area)} `)).filter((pid) => !['', 'Z'].includes(statOf(pid).split(' ')[2] ?? ''));

    beforeAll(async () => {
      area = createArea(identity);
      writeFileSync(join(area.project, 'kept'), 'kept\n', { mode: 0o666 });
      agent = start(area, ['run', '--tag', 'live', '--net', 'off', '--', python, '-c', WRITER]);
      await eventually('the agent writes', async () => (await written()) > 1000);
    });
    afterEach(releaseStores);
    afterAll(async () => {
      const ended = new Promise((done) => agent.once('exit', done));
      await area.cli(['kill', 'live']);
      await ended;
      await area.remove();
    });

    test('without it a running sandbox is refused, and the way out is named', async () => {
      const refused = await area.cli(['commit', 'live', '--yes']);
      expect(refused).toMatchObject({ status: 1 });
      expect(refused.stderr).toContain('Sandbox live is running.');
      expect(refused.stderr).toContain('agentfw commit live --live');
    });

    test('CW17 what lands is one moment, again and again, while the agent goes on; what it has stopped itself stays so', async () => {
      let last = 0;
      for (let round = 0; round < 4; round += 1) {
        expect(await live()).toMatchObject({ status: 0, stderr: expect.stringContaining('Landed') as string });
        const [a, b] = [lines('a'), lines('b')];
        expect(a - b === 0 || a - b === 1, `${a} lines and ${b}`).toBe(true);
        expect(a).toBeGreaterThan(last);
        last = a;
        await goesOn();
      }
      const stopped = await area.cli(['exec', 'live', '--', 'sh', '-c', 'cut -d" " -f3 "/proc/$(cat stopped)/stat"']);
      expect(stopped.stdout).toBe('T\n');
      expect(freezers()).toEqual([]);
    });

    test('an undo takes it back, and it can land again', async () => {
      expect((await area.cli(['undo'])).status).toBe(0);
      const before = lines('a');
      expect((await live()).status).toBe(0);
      expect(lines('a')).toBeGreaterThan(before);
    });

    test('kill -9 of the commit lets the agent go on, and nothing of it landed; a second one waits for that', async () => {
      const before = readFileSync(join(area.project, 'a'), 'latin1').length;
      const lock = await holdStore(area);
      const commit = start(area, ['commit', 'live', '--yes', '--live']);
      const freezer = await eventually('all is held', () => freezers()[0]);
      await eventually('the agent is stopped', () => isStopped(area));
      const second = live();
      for (const pid of childrenOf(process.pid)) if (pid === commit.pid) strike(pid);
      await eventually('all goes on', () => freezer !== undefined && !freezers().includes(freezer));
      lock.kill();

      expect((await second).status).toBe(0);
      expect(readFileSync(join(area.project, 'a'), 'latin1').length).toBeGreaterThan(before);
      await goesOn();
      expect((await area.cli(['recover'])).status).toBe(0);
    });

    test('two at once take turns', async () => {
      const both = await Promise.all([live(), live()]);
      expect(both.map(({ status }) => status)).toEqual([0, 0]);
      await goesOn();
    });

    // Where the kernel freezes a group, that program is held too: live-group.test.ts.
    test('a program that is started in it meanwhile ends the commit before anything landed', async () => {
      if (groupOf(area, 'live') !== null) return;
      const before = readFileSync(join(area.project, 'a'), 'latin1');
      const lock = await holdStore(area);
      const commit = live();
      // All of it is frozen then: before, a new program would be held with the rest.
      await eventually('the commit waits for the store', () => isAwaited(area));
      const nap = ownSleep();
      const napping = new RegExp(`^${nap}$`);
      const entered = start(area, ['exec', 'live', '--', ...nap.split(' ')]);
      await eventually('it runs', () => processesWith(napping).length > 0);
      lock.kill();

      expect(await commit).toMatchObject({ status: 1, stderr: expect.stringContaining('a program was started in it') as string });
      expect(readFileSync(join(area.project, 'a'), 'latin1')).toBe(before);
      await goesOn();

      // One that was there before is held with the rest, and its own driver doesn't take that for a Ctrl-Z.
      expect(await live()).toMatchObject({ status: 0 });
      expect(entered.exitCode).toBe(null);
      for (const pid of processesWith(napping)) strike(pid);
    });

    test('nothing can be dropped from it; deletions and directories land by copy, and are no changes any more', async () => {
      await area.cli(['exec', 'live', '--', 'sh', '-c', 'rm kept; mkdir -p d/e; echo x > d/e/x; ln -s x d/e/l']);
      const dropped = await live('--take', 'host', 'd', '--', 'd');
      expect(dropped).toMatchObject({ status: 1, stderr: expect.stringContaining('nothing can be dropped from a sandbox that runs') as string });

      expect((await live('kept', 'd')).status).toBe(0);
      expect(existsSync(join(area.project, 'kept'))).toBe(false);
      expect(readFileSync(join(area.project, 'd/e/l'), 'utf8')).toBe('x\n');
      expect((await area.cli(['diff', 'live', '--name-only', 'kept', 'd'])).stdout).toBe('');
      expect(jsonOf<{ sandboxes: { state: string }[] }>(await area.cli(['list', '--json'])).sandboxes[0]?.state).toBe('running');
    });
  });
}

function start(area: Area, args: readonly string[]): ChildProcess {
  const [file = '', ...rest] = area.as(area.argv(args));
  return spawn(file, rest, { cwd: area.project, env: { ...area.env }, stdio: 'ignore', detached: true });
}

/** Other tests freeze sandboxes of their own. */
function driverOf(area: Area): number {
  return (JSON.parse(readFileSync(join(area.state, 'sandboxes/live/sandbox.json'), 'utf8')) as { driver: { pid: number } }).driver.pid;
}

/** The agent's own process, not the supervisor that has its words too. */
function isStopped(area: Area): boolean {
  if (isHeldByGroup(area, 'live')) return true;
  const agents = processesWith('stopped = subprocess.Popen').map(statOf).filter((stat) => stat.includes('(python'));
  return agents.length > 0 && agents.every((stat) => stat.slice(stat.lastIndexOf(')') + 2).startsWith('T'));
}

/** Empty for one that has ended since: the agent starts many that live for a moment. */
function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}
