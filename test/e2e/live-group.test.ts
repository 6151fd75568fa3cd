/** `commit --live` where the sandbox has a control group of version 2: the kernel freezes that. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { childrenOf, exists, strike } from '../helpers/processes.js';
import { allIdentities, createArea, eventually, ownSleep, processesWith, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { holdStore, isAwaited, releaseStores } from '../helpers/store-lock.js';
import { makeUnified, type Unified } from '../helpers/unified.js';

/** Writes a line to `a`, then the same to `b`, and starts programs, forever; a child waits for its vfork. */
const WRITER = `
import subprocess, threading, time
threading.Thread(target=lambda: [subprocess.run(["true"]) for _ in iter(int, 1)], daemon=True).start()
a, b, n = open("a", "w"), open("b", "w"), 0
while True:
    a.write("%d\\n" % n); a.flush(); b.write("%d\\n" % n); b.flush(); n += 1
    n % 200 or time.sleep(0.002)
`;
const { test } = needs('userns', 'overlay', 'cgroup2');

for (const identity of allIdentities()) {
  describe(`commit --live by a control group as ${identity.name}`, () => {
    let area: Area;
    let unified: Unified;
    let agent: ChildProcess;
    const start = (args: readonly string[]): ChildProcess => {
      const [file = '', ...rest] = unified.argv(area.argv(args));
      return spawn(file, rest, { cwd: area.project, env: { ...area.env }, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    };
    const cli = (...words: string[]): Promise<Outcome> => {
      const child = start(words);
      let stderr = '';
      child.stderr?.on('data', (data: Buffer) => (stderr += data.toString('utf8')));
      return new Promise((done) => child.once('close', (status) => done({ status, stdout: '', stderr } as unknown as Outcome)));
    };
    const record = (): { init: { pid: number }; driver: { pid: number } } => JSON.parse(readFileSync(join(area.state, 'sandboxes/live/sandbox.json'), 'utf8')) as never;
    const isFrozen = (): boolean => unified.look('cat agentfw-*/cgroup.events').includes('frozen 1');
    const initState = (): string => /^State:\t(.)/m.exec(readFileSync(`/proc/${record().init.pid}/status`, 'utf8'))?.[1] ?? '';
    const lines = (name: string): number => readFileSync(join(area.project, name), 'latin1').split('\n').length;
    /** how much the agent has written by now */
    const written = async (): Promise<number> => (await area.cli(['show', `live:${join(area.project, 'a')}`])).stdout.length;
    const goesOn = async (): Promise<void> => {
      const before = await written();
      await eventually('the agent goes on', async () => (await written()) > before);
    };
    const freezers = (): readonly number[] => processesWith(new RegExp(`^agentfw-driver freeze ${record().driver.pid} `)).filter(exists);

    beforeEach(async () => {
      area = createArea(identity);
      unified = await makeUnified(area);
      agent = start(['run', '--tag', 'live', '--net', 'off', '--', python, '-c', WRITER]);
      await eventually('the agent writes', async () => (await written()) > 1000);
    });
    afterEach(async () => {
      releaseStores();
      const ended = new Promise((done) => (agent.exitCode === null && agent.signalCode === null ? agent.once('exit', done) : done(null)));
      await area.cli(['kill', 'live']);
      await ended;
      unified.remove();
      await area.remove();
    });

    test('CW17 what lands is one moment; the kernel holds all of it, and nobody is sent a signal', async () => {
      const lock = await holdStore(area);
      const commit = cli('commit', 'live', '--yes', '--live');
      await eventually('the commit waits for the store', () => isAwaited(area));
      expect([isFrozen(), initState()]).not.toContain('T');
      expect(isFrozen()).toBe(true);
      lock.kill();

      expect(await commit).toMatchObject({ status: 0, stderr: expect.stringContaining('Landed') as string });
      expect([0, 1]).toContain(lines('a') - lines('b'));
      await eventually('it is let go', () => !isFrozen());
      await goesOn();
    });

    test('a program that is started in it meanwhile is held with the rest', async () => {
      const lock = await holdStore(area);
      const commit = cli('commit', 'live', '--yes', '--live');
      await eventually('the commit waits for the store', () => isAwaited(area));
      const nap = ownSleep();
      const entered = start(['exec', 'live', '--', ...nap.split(' ')]);
      lock.kill();

      expect(await commit).toMatchObject({ status: 0 });
      await eventually('it runs', () => processesWith(new RegExp(`^${nap}$`)).length > 0);
      expect(entered.exitCode).toBe(null);
      for (const pid of processesWith(new RegExp(`^${nap}$`))) strike(pid);
    });

    test('kill -9 of the commit, of what freezes or of both leaves nothing held that thaw would not let go', async () => {
      const lock = await holdStore(area);
      const hold = async (): Promise<ChildProcess> => {
        const commit = start(['commit', 'live', '--yes', '--live']);
        await eventually('the commit waits for the store', () => isAwaited(area));
        expect(isFrozen()).toBe(true);
        return commit;
      };
      const first = await hold();
      strike(first.pid ?? 0);
      await eventually('it goes on without the commit', () => freezers().length === 0);
      expect(isFrozen()).toBe(false);

      const second = await hold();
      // The child of the other one is the guardian.
      const parent = freezers().find((pid) => childrenOf(pid).some((child) => freezers().includes(child)));
      strike(parent ?? 0);
      await eventually('the guardian lets go', () => freezers().length === 0);
      expect(isFrozen()).toBe(false);
      strike(second.pid ?? 0);
      await eventually('the commit is gone', () => !isAwaited(area));

      const third = await hold();
      for (const pid of freezers()) process.kill(pid, 'SIGSTOP');
      for (const pid of freezers()) strike(pid);
      strike(third.pid ?? 0);
      await eventually('all of them are gone', () => freezers().length === 0 && !isAwaited(area));
      expect(isFrozen()).toBe(true);
      expect(await cli('thaw', 'live')).toMatchObject({ status: 0 });
      expect(isFrozen()).toBe(false);
      await goesOn();
      lock.kill();
    });

    test('what is not in the group is stopped by signals, and all the rest', async () => {
      const [writer] = childrenOf(record().init.pid);
      unified.look(`echo ${writer} > cgroup.procs`);
      const lock = await holdStore(area);
      const commit = cli('commit', 'live', '--yes', '--live');
      await eventually('the commit waits for the store', () => isAwaited(area));
      expect([isFrozen(), initState()]).toEqual([false, 'T']);
      lock.kill();

      expect(await commit).toMatchObject({ status: 0 });
      expect([0, 1]).toContain(lines('a') - lines('b'));
      await goesOn();
    });

    test('a sandbox that is held can be killed', async () => {
      await holdStore(area);
      const commit = start(['commit', 'live', '--yes', '--live']);
      await eventually('the commit waits for the store', () => isAwaited(area));
      expect(isFrozen()).toBe(true);
      const { pid } = record().init;
      expect((await area.cli(['kill', 'live'])).status).toBe(0);
      expect(exists(pid)).toBe(false);
      strike(commit.pid ?? 0);
    });
  });
}
