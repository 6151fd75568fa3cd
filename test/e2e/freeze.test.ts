/** `freeze` and `thaw`: a running sandbox that stands still for as long as its user wants. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { childrenOf, exists, strike } from '../helpers/processes.js';
import { createArea, eventually, identities, jsonOf, processesWith, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { holdStore, isAwaited, releaseStores } from '../helpers/store-lock.js';
import { isHeldByGroup } from '../helpers/unified.js';

/** Appends to `a` forever, beside a program that it has stopped itself. */
const WRITER = `
import os, signal, subprocess, threading
stopped = subprocess.Popen(["sleep", "1000"]); os.kill(stopped.pid, signal.SIGSTOP)
threading.Thread(target=lambda: [subprocess.run(["true"]) for _ in iter(int, 1)], daemon=True).start()
with open("a", "w") as a:
    while True: a.write("x"); a.flush()
`;
/** Waits for a child of vfork, which never goes on. */
const WAITING = 'import ctypes; c = ctypes.PyDLL(None)\nif c.vfork() == 0:\n while True: c.pause()';
const { test } = needs('userns', 'overlay');

interface Seen {
  readonly state: string;
  readonly frozen: boolean;
  readonly init: number;
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

for (const identity of identities()) {
  describe(`freeze as ${identity.name}`, () => {
    let area: Area;
    let agent: ChildProcess;
    const cli = (...words: string[]): Promise<Outcome> => area.cli(words);
    const status = async (): Promise<Seen> => jsonOf<Seen>(await cli('status', 'box', '--json'));
    const written = async (): Promise<number> => (await cli('show', `box:${join(area.project, 'a')}`)).stdout.length;
    const goesOn = async (): Promise<void> => {
      const before = await written();
      await eventually('the agent goes on', async () => (await written()) > before);
    };
    /** first processes of the sandbox, and all others but what the agent stopped */
    const running = async (): Promise<readonly number[]> => {
      const { init, processes } = await status();
      return [init, ...processes.filter(({ command }) => command !== 'sleep 1000').map(({ pid }) => pid)];
    };
    const sleeper = async (): Promise<number> => (await status()).processes.find(({ command }) => command === 'sleep 1000')?.pid ?? 0;

    beforeEach(async () => {
      area = createArea(identity);
      agent = start(area, ['run', '--tag', 'box', '--net', 'off', '--', python, '-c', WRITER]);
      await eventually('the agent writes', async () => (await cli('show', `box:${join(area.project, 'a')}`)).stdout.length > 100);
    });
    afterEach(async () => {
      releaseStores();
      const ended = new Promise((done) => (agent.exitCode === null && agent.signalCode === null ? agent.once('exit', done) : done(null)));
      await cli('kill', 'box');
      await ended;
      await area.remove();
    });

    test('a parent that waits for its vfork stands still as its child does, to commit --live too', async () => {
      const waiting = start(area, ['exec', 'box', '--', python, '-c', WAITING]);
      await eventually('it waits', async () => (await status()).processes.some(({ pid, command }) => command.includes('vfork') && stateOf(pid) === 'D'));
      expect(await cli('freeze', 'box')).toMatchObject({ status: 0, stderr: 'Froze box\n' });
      expect(await written()).toBe(await written());
      // A file that a disk has damaged ends neither.
      writeFileSync(join(area.state, 'sandboxes/box/frozen.json'), '{"driver');
      expect(await cli('list')).toMatchObject({ status: 0, stdout: expect.stringContaining('frozen') as string });
      expect((await cli('thaw', 'box')).status).toBe(0);
      expect(await cli('commit', 'box', '--live', '--yes')).toMatchObject({ status: 0 });
      await goesOn();
      await cli('kill', 'box');
      await eventually('it has ended', () => waiting.exitCode !== null || waiting.signalCode !== null);
    });

    test('all of it stands still, everything says so, and goes on by thaw; what the agent had stopped stays so', async () => {
      expect(await cli('freeze', 'box')).toMatchObject({ status: 0, stderr: 'Froze box\n' });

      const still = await running();
      expect(still.length).toBeGreaterThan(1);
      expect(still.filter(isGoing)).toEqual([]);
      expect(await status()).toMatchObject({ state: 'running', frozen: true });
      expect((await cli('status', 'box')).stdout).toContain('running, frozen: agentfw thaw lets it go on');
      expect((await cli('list')).stdout).toMatch(/^box +frozen /m);
      expect(jsonOf(await cli('list', '--json'))).toMatchObject({ sandboxes: [{ tag: 'box', frozen: true }] });
      expect(jsonOf(await cli('freeze', 'box', '--json'))).toEqual({ version: 1, tag: 'box', frozen: false });
      expect(await cli('exec', 'box', '--', 'true')).toMatchObject({ status: 125, stderr: expect.stringContaining('agentfw thaw box') as string });

      expect(jsonOf(await cli('thaw', 'box', '--json'))).toEqual({ version: 1, tag: 'box', thawed: true });
      await goesOn();
      expect(stateOf(await sleeper())).toBe('T');
      expect(await status()).toMatchObject({ state: 'running', frozen: false });
      expect(await cli('thaw', 'box')).toMatchObject({ status: 0, stderr: 'box was not frozen\n' });
      expect(stateOf(await sleeper())).toBe('T');
      const kinds = jsonOf<{ records: { kind: string }[] }>(await cli('log', 'box', '--json')).records.map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'freeze' || kind === 'thaw')).toEqual(['freeze', 'thaw']);
    });

    test('a commit of a frozen one needs --live as of any that runs, and leaves it frozen', async () => {
      await cli('freeze', 'box');
      expect(await cli('commit', 'box', '--yes')).toMatchObject({ status: 1, stderr: expect.stringContaining('--live') as string });

      expect(await cli('commit', 'box', '--yes', '--live')).toMatchObject({ status: 0 });
      expect(readFileSync(join(area.project, 'a'), 'latin1').length).toBe(await written());
      expect((await running()).filter(isGoing)).toEqual([]);

      await cli('thaw', 'box');
      await goesOn();
    });

    test('kill ends a frozen one', async () => {
      await cli('freeze', 'box');
      const gone = await running();

      expect(await cli('kill', 'box')).toMatchObject({ status: 0, stderr: 'Killed box\n' });
      expect(gone.map((pid) => exists(pid))).not.toContain(true);
      expect(await cli('freeze', 'box')).toMatchObject({ status: 1, stderr: expect.stringContaining('Sandbox box is not running.') as string });
      expect(await cli('thaw', 'box')).toMatchObject({ status: 1 });
    });

    test('kill -9 of what freezes for a commit lets all go on; of its guardian too, then thaw does', async () => {
      const lock = await holdStore(area);
      const first = cli('commit', 'box', '--yes', '--live');
      await waiting('the first commit', first);
      strike(freezers().find((pid) => childrenOf(pid).length > 0) ?? 0);
      await goesOn();
      lock.kill();
      // It went on: nothing of it may land.
      expect((await first).status).toBe(1);
      expect(existsSync(join(area.project, 'a'))).toBe(false);

      const again = await holdStore(area);
      const second = cli('commit', 'box', '--yes', '--live');
      await waiting('the second commit', second);
      // The guardian first: else it would do its work.
      const both = freezers();
      for (const pid of [...both].sort((a, b) => childrenOf(a).length - childrenOf(b).length)) strike(pid);
      await eventually('both are gone', () => freezers().every((pid) => !both.includes(pid)));
      expect(isHeldByGroup(area, 'box') ? [] : (await running()).filter(isGoing)).toEqual([]);
      again.kill();
      expect((await second).status).toBe(0);

      expect(await cli('thaw', 'box')).toMatchObject({ status: 0, stderr: 'Thawed box\n' });
      await goesOn();
    });

    /** What it says when it ended instead. */
    const waiting = async (name: string, commit: Promise<Outcome>): Promise<void> => {
      let ended: Outcome | null = null;
      void commit.then((outcome) => (ended = outcome));
      await eventually(`${name} waits for the store`, () => ended !== null || isAwaited(area));
      expect(ended).toBeNull();
    };
    const freezers = (): readonly number[] => {
      const box = jsonDriver(area);
      return processesWith(new RegExp(`^agentfw-driver freeze ${box} `)).filter((pid) => !['', 'Z'].includes(stateOf(pid)));
    };
  });
}

function jsonDriver(area: Area): number {
  return (JSON.parse(readFileSync(join(area.state, 'sandboxes/box/sandbox.json'), 'utf8')) as { driver: { pid: number } }).driver.pid;
}

function start(area: Area, args: readonly string[]): ChildProcess {
  const [file = '', ...rest] = area.as(area.argv(args));
  return spawn(file, rest, { cwd: area.project, env: { ...area.env }, stdio: 'ignore', detached: true });
}

/** Neither stopped nor ended. */
function isGoing(pid: number): boolean {
  return !['T', 'Z', 'X', ''].includes(stateOf(pid));
}

/** '' when there is no such process. */
function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '';
  } catch {
    return '';
  }
}
