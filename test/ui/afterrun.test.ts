/** The lines after a run. */
import { expect, test } from 'vitest';
import { NO_CHANGES, NOTHING, type Glance } from '../../src/changes/ended.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import { afterRun } from '../../src/ui/afterrun.js';

const record = { tag: 'fix', mounts: [] } as unknown as SandboxRecord;

function linesOf(left: Partial<Glance>, said = 'fix'): string[] {
  return afterRun(record, NOTHING, { ...NO_CHANGES, ...left }, { removed: false, links: [], said });
}

test('of more changes than were looked at nothing is said of their kinds, and of their classes no more than is known', () => {
  const kinds = { ...NO_CHANGES.kinds, add: 1999, modify: 1 };
  const classes = { normal: 1999, later: 1, control: 0 };

  expect(linesOf({ kinds, classes, more: true }).slice(0, 2)).toEqual(['agentfw: more than 2000 changes in fix', 'agentfw: at least 1 change would run code later']);
  expect(linesOf({ kinds, classes }).slice(0, 2)).toEqual(['agentfw: 1 modified, 1999 added in fix', 'agentfw: 1 change would run code later']);
});

test('the next step names the sandbox as it has to be named where the user is', () => {
  expect(linesOf({ kinds: { ...NO_CHANGES.kinds, add: 1 } }, '--tag fix').at(-1)).toBe('agentfw: look with agentfw diff --tag fix; then agentfw commit --tag fix or agentfw discard --tag fix');
});
