import { expect, test } from 'vitest';
import { hostMoved } from '../../src/sandbox/moved.js';

const failed = (code: string, message: string): Parameters<typeof hostMoved>[0]['failure'] => ({ event: 'error', code, message, hint: null, exit: 125 });

test.each<[string, Parameters<typeof hostMoved>[0], boolean]>([
  ['what was to be mounted is gone', { started: false, failure: failed('mount', "can't mount at /x: No such file or directory") }, true],
  ['something was mounted below a layer', { started: false, failure: failed('mount', "can't mount the overlay at /srv: Invalid argument") }, true],
  ['a right is missing', { started: false, failure: failed('mount', "can't mount at /x: Operation not permitted") }, false],
  ['it failed elsewhere', { started: false, failure: failed('userns', "can't create a user namespace: Invalid argument") }, false],
  ['the agent ran', { started: true, failure: failed('mount', 'No such file or directory') }, false],
  ['nothing failed', { started: false, failure: null }, false],
])('a new plan is made where %s: %#', (_, outcome, again) => {
  expect(hostMoved(outcome)).toBe(again);
});
