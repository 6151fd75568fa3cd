/** End to end: the built product under a later release line of Node than the tests'. */
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { newerNode } from '../helpers/agents.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, repository, type Area, type Outcome } from '../helpers/sandbox.js';

const node = newerNode();

for (const identity of identities()) {
  needs('newer-node', 'userns', 'overlay').describe(`Node ${node?.version ?? ''} as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => { area = createArea(identity); });
    afterEach(() => area.remove());

    const agentfw = (...words: readonly string[]): Promise<Outcome> => area.native([node?.program ?? '', join(repository, 'bin/run.js'), ...words]);

    needs('newer-node').test('runs, shows, lands and takes back, and complains of nothing', async () => {
      writeFileSync(join(area.project, 'f'), 'one\n');
      chownSync(join(area.project, 'f'), identity.uid, identity.gid);
      const said: string[] = [];
      for (const words of [['run', '--tag', 't', '--net', 'deny', '--', 'sh', '-c', 'echo two > f'], ['diff', 't'], ['commit', 't', '--yes'], ['log', 'verify', 't']]) {
        const outcome = await agentfw(...words);
        expect(outcome.status, outcome.stderr).toBe(0);
        said.push(...outcome.stderr.split('\n').filter((line) => /error|warning|deprecat|unrecognized/i.test(line)));
      }
      expect(readFileSync(join(area.project, 'f'), 'utf8')).toBe('two\n');
      const undone = await agentfw('undo');

      expect(undone.status, undone.stderr).toBe(0);
      expect(readFileSync(join(area.project, 'f'), 'utf8')).toBe('one\n');
      expect(said).toEqual([]);
    });
  });
}
