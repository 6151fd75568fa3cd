/** Programs whose files have capabilities, which root alone can give them: they start without, and what lands has none. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import type { DiffJson } from '../helpers/policy.js';
import { allIdentities, createArea, jsonOf, python, type Area } from '../helpers/sandbox.js';

/** CAP_NET_RAW, permitted and effective, as ping has it on Debian */
const NET_RAW = '0x0100000200200000000000000000000000000000';
const { describe, test } = needs('root', 'userns', 'overlay', 'python', 'attr');

for (const identity of allIdentities()) {
  describe(`a program with capabilities as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    const give = (file: string): void => { expect(spawnSync('setfattr', ['-n', 'security.capability', '-v', NET_RAW, file]).status).toBe(0); };

    test('is started without them', async () => {
      const program = join(area.dir, 'capable');
      copyFileSync('/bin/cat', program);
      chmodSync(program, 0o755);
      give(program);
      const inside = async (script: string): Promise<string> => {
        const outcome = await area.cli(['run', '--rm', '--net', 'off', '--share', program, '--', 'sh', '-c', script]);
        expect(outcome.status, outcome.stderr).toBe(0);
        return outcome.stdout;
      };

      expect(await inside(`${program} /proc/self/status | grep -E 'CapEff|CapPrm' | tr -d '\\n'; grep -vc nosuid /proc/self/mountinfo || true`))
        .toMatch(/^CapPrm:\t([0-9a-f]+)CapEff:\t\1\n?0\n$/);
      expect(await inside(`${program} /proc/self/status`)).not.toMatch(/^CapPrm:\t[0-9a-f]{12}[2367abef]/m);
    });

    test('that the agent gave are shown, and told where they do not land (CW11)', async () => {
      // A plain user's agent is root of a namespace of its own.
      const gift = (file: string): string => `${identity.uid === 0 ? '' : 'unshare -Ur '}setfattr -n security.capability -v ${NET_RAW} ${file}`;
      writeFileSync(join(area.project, 'old'), 'text\n');
      chownSync(join(area.project, 'old'), identity.uid, identity.gid);
      const script = `echo one > new; ${gift('new')}; mkdir dir; echo two > dir/in; ${gift('dir/in')}; ${gift('old')}; echo plain > beside`;
      const run = await area.cli(['run', '--tag', 'given', '--net', 'off', '--', 'sh', '-euc', script]);
      expect(run.status, run.stderr).toBe(0);
      const path = (name: string): string => join(area.project, name);

      const shown = jsonOf<DiffJson>(await area.cli(['diff', 'given', '--json'])).changes;
      const capable = shown.filter(({ reason }) => reason === 'file capabilities');
      expect(capable.map((change) => change.path).sort()).toEqual(['dir/in', 'new', 'old'].map(path));
      for (const change of capable) expect(change.class).toBe('later');

      const landed = await area.cli(['commit', 'given', '--yes']);
      expect(landed.status, landed.stderr).toBe(0);
      expect([...landed.stderr.matchAll(/Warning: (\S+): landed without (.*)/g)].map(([, name, lost]) => [name, lost]).sort())
        .toEqual(['dir', 'new', 'old'].map((name) => [path(name), 'file capabilities']));
      const left = await area.native([python, '-c', 'import os; print([n for n in ("new", "dir/in", "old") if "security.capability" in os.listxattr(n)])']);
      expect(left.stdout.trim()).toBe('[]');
      expect(readFileSync(path('dir/in'), 'utf8')).toBe('two\n');
    });

    test('can be copied up; what lands has none, and an undo brings them back (E53)', async () => {
      const ping = join(area.project, 'ping');
      writeFileSync(ping, '#!/bin/sh\n');
      chownSync(ping, identity.uid, identity.gid);
      give(ping);
      const attributes = async (): Promise<string> => (await area.native([python, '-c', 'import os; print(os.listxattr("ping"))'])).stdout;
      expect(await attributes()).toContain('security.capability');

      // A plain user's namespace has no id 0, which the kernel needs to copy the attribute: the change is refused, a replacement is not.
      const change = identity.uid === 0 ? 'echo more >> ping' : '{ ! echo more >> ping; } 2>&1; cp ping new; echo more >> new; mv new ping';
      const script = `cp ping copy; ${change}; mv ping moved; mv moved ping; rm copy`;
      const run = await area.cli(['run', '--tag', 't', '--net', 'off', '--', 'sh', '-euc', script]);
      expect(run.status, run.stderr).toBe(0);

      expect((await area.cli(['commit', '--tag', 't', '--yes'])).status).toBe(0);
      expect(readFileSync(ping, 'utf8')).toBe('#!/bin/sh\nmore\n');
      expect(await attributes()).not.toContain('capability');
      expect((await area.cli(['undo'])).status).toBe(0);
      expect(await attributes()).toContain('security.capability');
    });
  });
}
