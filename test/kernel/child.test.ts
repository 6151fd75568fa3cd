/** Starting a program without a fork: what it gets, and how its end is told. */
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { startChild, type Child } from '../../src/kernel/child.js';

function shell(script: string, channels = 1): Child {
  const input = openSync('/etc/hostname', 'r');
  try {
    return startChild('/bin/sh', { argv: ['named', '-c', script], env: { ONLY: 'this', PATH: '/usr/bin:/bin' }, input, channels });
  } finally {
    closeSync(input);
  }
}

async function said(child: Child): Promise<string> {
  let text = '';
  child.channels[0]?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await child.ended;
  return text;
}

describe('a program of ours', () => {
  test('has its name, its environment, and the descriptors that it was given', async () => {
    expect(await said(shell('echo "$0 $ONLY $HOME" >&4'))).toBe('named this \n');
    // The directory that is listed is one more.
    const open = (await said(shell('ls /proc/self/fd >&4', 2))).split('\n').slice(0, -1).map(Number);
    // What whoever started the tests has open far above is not ours.
    expect(open.filter((fd) => fd < 64).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('has no signal blocked or ignored, whatever we have', async () => {
    const ignore = (): void => undefined;
    process.on('SIGUSR2', ignore);
    const told = await said(shell('cat /proc/self/status >&4'));
    process.off('SIGUSR2', ignore);
    const signals = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, 'm').exec(told)?.[1] ?? 'f'}`);
    // The C library keeps 32 and 33 for itself, and ignores them in what it starts.
    expect([signals('SigBlk'), signals('SigIgn') & 0x7fff_ffffn, signals('SigCgt')]).toEqual([0n, 0n, 0n]);
  });

  test('tells its status, and a signal as a shell does', async () => {
    expect(await shell('exit 7').ended).toBe(7);
    expect(await shell('kill -KILL $$').ended).toBe(137);
  });

  test('is spoken to, and its end waits for what it said on a channel that nobody read', async () => {
    const child = shell('read line <&4; echo "got $line" >&4; echo unread >&5', 2);
    child.channels[0]?.write('word\n');
    const [chunk] = (await once(child.channels[0] as NodeJS.EventEmitter, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('got word\n');
    expect(await child.ended).toBe(0);
  });

  test('that is not there throws, and leaves nothing open', () => {
    const input = openSync('/etc/hostname', 'r');
    expect(() => startChild('/no/such/program', { argv: ['x'], env: {}, input, channels: 2 })).toThrow(/ENOENT/);
    const next = openSync('/etc/hostname', 'r');
    closeSync(next);
    closeSync(input);
    expect(next).toBe(input + 1);
  });
});
