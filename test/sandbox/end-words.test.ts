import { expect, test } from 'vitest';
import type { Context } from '../../src/context.js';
import { whyEnded } from '../../src/sandbox/end-words.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import type { Outcome } from '../../src/sandbox/supervise.js';

const why = (outcome: Partial<Outcome>, record = {}): unknown => whyEnded({ status: 0, exit: null, failure: null, started: false, ...outcome }, null, { env: {} } as Context, record as SandboxRecord);

test.each([
  [137, 'by SIGKILL.', 'agentfw doctor'], [159, 'by SIGSYS.', 'filter'], [125, 'with status 125.', 'agentfw doctor'], [0, 'with status 0.', 'agentfw doctor'],
])('a driver that ended with status %i and no word before the agent began is no agent that ended so', (status, how, hint) => {
  expect(why({ status })).toMatchObject({ code: 'AFW_DRIVER_ENDED', status: 125, message: `The driver ended before the agent began, ${how}`, hint: expect.stringContaining(hint) as string });
});

test.each([129, 130, 131, 143])('who sends the signal of status %i meant it', (status) => {
  expect(why({ status })).toBeNull();
});

test('an agent that began ends as it does', () => {
  expect(why({ status: 137, started: true, exit: { signal: 9 } })).toBeNull();
  expect(why({ status: 137, started: true })).toBeNull();
});

test.each<[string, string, string | null]>([
  ["can't find /x/data in the view: No such file or directory", 'on', 'An earlier run of a changed'],
  ["can't mount at /x/data: Not a directory", 'on', 'An earlier run of a changed'],
  ["can't mount at /x/data: Invalid argument", 'on', 'An earlier run of a changed'],
  ["can't open /mnt/stick: No such file or directory", 'on', 'came or went on the host'],
  ["can't mount the overlay at /srv: Invalid argument", 'on', 'came or went on the host'],
  ["can't find /x/data in the view: No such file or directory", 'new', 'came or went on the host'],
  ["can't clone a mount: Device or resource busy", 'on', null],
])('a place that is missing is the doing of whoever took it: %s (%s)', (message, run, hint) => {
  const failure: Outcome['failure'] = { event: 'error', code: 'mount', message, hint: null, exit: 125 };

  expect(why({ failure }, { tag: 'a', created: '1', started: run === 'on' ? '2' : '1' })).toMatchObject({ hint: hint === null ? null : (expect.stringContaining(hint) as string) });
});
