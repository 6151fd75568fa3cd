/** What a run keeps of the host's versions is for the policy to say, and for `status` to tell. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');
const [identity] = identities();
const POLICIES = { all: '', small: 'capture: {file: 10B}', few: 'capture: {total: 70B}', none: 'capture: {total: none}' };
/** What was not kept, by reason; and the conflicts of a file that the host touched and one that it changed. */
const FOUND: Record<keyof typeof POLICIES, object> = {
  all: { uncaptured: {}, conflicts: { a: null, b: 'changed' } },
  small: { uncaptured: { large: 2 }, conflicts: { a: 'uncaptured', b: 'uncaptured' } },
  few: { uncaptured: { large: 1 }, conflicts: expect.anything() as object },
  none: { uncaptured: {}, conflicts: { a: 'uncaptured', b: 'uncaptured' } },
};

let area: Area;
beforeEach(() => {
  area = createArea(identity!);
});
afterEach(() => area.remove());

for (const [name, rule] of Object.entries(POLICIES)) {
  test(`changes.capture: ${name}`, async () => {
    const policy = join(area.home, 'policy.yaml');
    writeFileSync(policy, `version: 1\nchanges: {${rule}}\n`, { mode: 0o644 });
    await area.native(['sh', '-ec', 'for n in a b; do seq 30 | head -c 50 >$n; done; sleep 0.05']);
    const run = await area.cli(['run', '--tag', 'box', '--net', 'off', '--policy', policy, '--', 'sh', '-c', 'echo agent >>a; echo agent >>b']);
    expect(run.status, run.stderr).toBe(0);
    await area.native(['sh', '-ec', 'touch a; echo host >>b']);

    const { bases } = jsonOf<{ readonly bases: { readonly captured: number; readonly uncaptured: object } }>(await area.cli(['status', 'box', '--json']));
    const { changes } = jsonOf<{ readonly changes: readonly { readonly path: string; readonly conflict: string | null; readonly type: string }[] }>(await area.cli(['diff', 'box', '--json']));
    const conflicts = Object.fromEntries(changes.filter(({ type }) => type === 'file').map(({ path, conflict }) => [path.slice(area.project.length + 1), conflict]));
    expect({ uncaptured: bases.uncaptured, conflicts }).toEqual(FOUND[name as keyof typeof POLICIES]);
    expect(bases.captured > 0).toBe(name !== 'none');
  });
}
