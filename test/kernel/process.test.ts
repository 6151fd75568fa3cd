import { spawn, type ChildProcess } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { isSameProcess, isStopped, startTimeOf } from '../../src/kernel/process.js';
import { eventually } from '../helpers/sandbox.js';
import { tempDir } from './temp.js';

const children: ChildProcess[] = [];
afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')));

function started(file: string, ...args: readonly string[]): number {
  const child = spawn(file, args, { stdio: 'ignore' });
  children.push(child);
  return child.pid as number;
}

test('a process is known by its start: another one of its number is not it', () => {
  const start = startTimeOf(process.pid) ?? '';

  expect([start, `${start}0`].map((time) => isSameProcess({ pid: process.pid, start: time }))).toEqual([true, false]);
});

test('one that has ended, and that nobody asked for yet, is not it any more', async () => {
  const parent = started('sh', '-c', 'sleep 0.3 & exec sleep 1000');
  const found = await eventually('the child', () => /\d+/.exec(readFileSync(`/proc/${parent}/task/${parent}/children`, 'latin1')));
  const pid = Number(found?.[0]);
  const start = startTimeOf(pid) ?? '';
  await eventually('its end', () => !isSameProcess({ pid, start }));

  expect(startTimeOf(pid)).toBe(start);
});

test('a program\'s name may look like the end of it', async () => {
  const file = `${tempDir()}/a) T 1`;
  copyFileSync('/bin/sleep', file);
  const pid = started(file, '1000');
  await eventually('the program', () => readFileSync(`/proc/${pid}/comm`, 'latin1') === 'a) T 1\n');
  expect(isStopped(pid)).toBe(false);
  process.kill(pid, 'SIGSTOP');

  await eventually('it stands still', () => isStopped(pid));
});
