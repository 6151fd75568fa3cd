/**
 * Random sequences of what users do with changes: edits on both sides, commits
 * of all, of some, by hunk, with sides taken, cut off by a crash, discards and
 * undos. After each step `diff` tells what differs, nothing else of host and
 * view has changed, and nobody's edit is lost.
 * AGENTFW_VERBS_SEEDS sets how many seeds, AGENTFW_VERBS_FIRST the first, AGENTFW_VERBS_STEPS their length.
 */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { bundleRunner } from '../crash/bundle.js';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, jsonOf, repository, type Area } from '../helpers/sandbox.js';

const total = Number(process.env['AGENTFW_VERBS_SEEDS'] ?? 2);
const first = Number(process.env['AGENTFW_VERBS_FIRST'] ?? 1);
const steps = process.env['AGENTFW_VERBS_STEPS'] ?? '20';

let program = '';
beforeAll(async () => {
  program = await bundleRunner('../verbs/program.ts');
});
afterAll(() => rmSync(dirname(program), { recursive: true, force: true }));

for (const identity of allIdentities()) {
  needs('userns', 'overlay', 'python').describe(`random verbs as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove(), 120_000);

    needs('python').test(`seeds ${first} to ${first + total - 1}: host, view and diff are what the verbs make of them`, async () => {
      const seeds = Array.from({ length: total }, (_, n) => String(first + n));
      const done = await area.native([process.execPath, program, repository, steps, ...seeds], { timeout: 3_600_000 });
      expect(jsonOf<readonly object[]>(done)).toEqual([]);
    });
  });
}
