/** A kernel that takes rungs of the network gate away, by a filter around agentfw: from the ladder's first step to its end. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, helpers, jsonOf, python, type Area, type Outcome } from '../helpers/sandbox.js';

interface Doctor {
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string; readonly mend: string | null }[];
}

for (const identity of allIdentities()) {
  const gated = needs('root', 'userns', 'overlay', 'python');

  gated.describe(`a kernel without rungs for the network gate, as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => void (area = createArea(identity)));
    afterAll(() => area.remove());

    const without = (rungs: 'nft' | 'all', args: readonly string[]): Promise<Outcome> => area.native([python, join(helpers, 'without-rungs.py'), rungs, ...area.argv(args)]);
    const gate = async (rungs: 'nft' | 'all'): Promise<Doctor['checks'][number] | undefined> =>
      jsonOf<Doctor>(await without(rungs, ['doctor', '--json'])).checks.find(({ name }) => name === 'gate');

    gated.test('without netfilter the last rung is taken, in a run as in `doctor`', async () => {
      const outcome = await without('nft', ['run', '--tag', 'last', '--net', 'deny', '--', 'sh', '-c', 'echo went > went']);

      expect(outcome.status, outcome.stderr).toBe(0);
      const log = jsonOf<{ readonly records: readonly { readonly object: object }[] }>(await area.cli(['log', 'last', '--kind', 'gate', '--json']));
      expect(log.records[0]?.object).toEqual({ rung: 'notify' });
      expect((await gate('nft'))?.detail).toMatch(/^rung notify, /);
    });

    for (const net of ['deny', 'ask']) {
      gated.test(`without any rung the start is refused, with what mends it, and nothing runs: --net ${net}`, async () => {
        const outcome = await without('all', ['run', '--rm', '--tag', 'gone', '--net', net, '--', 'echo', 'ran']);

        expect(outcome.status).toBe(125);
        expect(outcome.stdout).toBe('');
        expect(outcome.stderr).toContain("Error: The network gate can't work here: nftables is refused, and so is a seccomp listener: Invalid argument.");
        expect(outcome.stderr).toContain('Hint: As root: modprobe nf_tables nft_tproxy nft_redir; or start agentfw outside of the container or sandbox');
        expect(jsonOf<{ readonly sandboxes: readonly { readonly tag: string }[] }>(await area.cli(['list', '--json'])).sandboxes.map(({ tag }) => tag)).not.toContain('gone');
      });
    }

    gated.test('no flag and no forced rung weakens that; what needs no gate still runs', async () => {
      const insisted = await area.native(['env', 'AGENTFW_GATE=notify', python, join(helpers, 'without-rungs.py'), 'all', ...area.argv(['run', '--rm', '--net', 'deny', '--accept-degraded=netgate,gate', '--', 'true'])]);
      expect(insisted.status).toBe(125);
      expect(await gate('all')).toMatchObject({ ok: false, detail: "can't listen for connections by seccomp: Invalid argument" });
      expect((await gate('all'))?.mend).toMatch(/nf_tables|security-opt|unconfined/);

      const off = await without('all', ['run', '--rm', '--net', 'off', '--', 'echo', 'ran']);
      expect([off.status, off.stdout]).toEqual([0, 'ran\n']);
    });
  });
}
