/** With too few descriptors a command tells all that there is, or fails and says the mend: never half of it, nor something else. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area, type Outcome } from '../helpers/sandbox.js';

const [identity] = identities();
/** From the first one that Node starts with to what all have enough of. */
const MANY = 12;

needs('userns', 'overlay').describe('few descriptors', () => {
  let area: Area;
  let limits: readonly number[];
  const within = (limit: number, words: readonly string[]): Promise<Outcome> => area.native(['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh', ...area.argv(words)]);
  beforeAll(async () => {
    area = createArea(identity!);
    const lines = Array.from({ length: 40 }, (_, n) => `${n}\n`).join('');
    await area.native(['mkdir', '-p', 'a/b']);
    for (const name of ['a/b/edited', 'a/moved']) writeFileSync(join(area.project, name), lines);
    const run = await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', 'sed -i 3d a/b/edited; mv a/moved a/b/elsewhere; mkdir -p n/1; echo x > n/1/f']);
    expect(run.status, run.stderr).toBe(0);
    let lowest = 12;
    while (!(await within(lowest, ['diff', '--tag', 'none'])).stderr.startsWith('Error:')) lowest += 1;
    limits = Array.from({ length: MANY }, (_, n) => lowest + n);
  });
  afterAll(() => area.remove());

  test.each([['diff', 'job', '--stat'], ['diff', 'job'], ['commit', 'job', '--dry-run']])('%s %s %s', async (...words) => {
    const whole = await area.cli(words);
    let failed = 0;
    for (const limit of limits) {
      const { status, stdout, stderr } = await within(limit, words);
      if (status === whole.status) expect([limit, stdout, stderr]).toEqual([limit, whole.stdout, whole.stderr]);
      else expect([limit, status, stdout, stderr]).toEqual([limit, 1, '', expect.stringMatching(/^Error: EMFILE: .*\nHint: Allow more open files: ulimit -n\n$/)]);
      failed += status === whole.status ? 0 : 1;
    }
    expect(failed).toBeGreaterThan(0);
    expect(failed).toBeLessThan(limits.length);
  });

  test('an export tells the mend, and leaves the file that was there', async () => {
    const file = join(area.home, 'out.patch');
    expect((await area.cli(['export', 'job', '-o', file])).status).toBe(0);
    const whole = readFileSync(file, 'utf8');
    for (const limit of limits) {
      writeFileSync(file, 'older\n');
      const { status, stderr } = await within(limit, ['export', 'job', '-o', file]);
      if (status === 0) expect(readFileSync(file, 'utf8')).toBe(whole);
      // Once, whatever else would fail for the same want; Node's own words where it couldn't begin.
      else expect([limit, stderr.match(/^Hint: .*$/gm)]).toEqual([limit, ['Hint: Allow more open files: ulimit -n']]);
    }
  });
});
