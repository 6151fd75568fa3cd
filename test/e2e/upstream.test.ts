/** A company's proxy is the only way out: `network.upstream`. */
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { startProxy } from '../helpers/proxy.js';
import { identities, type Area } from '../helpers/sandbox.js';
import { FAR, inWorld, type Upstream, type World } from '../helpers/upstream.js';

for (const identity of identities()) {
  needs('root', 'userns', 'overlay', 'curl').describe(`a proxy as the only way out, as ${identity.name}`, () => {
    let area: Area;
    let up: Upstream;
    let world: World;
    inWorld(identity, (made) => ({ area, up, world } = made));

    needs('root', 'userns', 'overlay', 'curl').test('the proxy of the environment is used by programs that know of none, found by those set up for it, and judged by name', async () => {
      const policy = join(area.dir, 'upstream.yaml');
      writeFileSync(policy, `version: 1\nnetwork: {upstream: environment, allow: [${FAR}]}\n`);
      chownSync(policy, identity.uid, identity.gid);
      const proxy = await startProxy((host) => (host === FAR ? up.port : null));
      const env = { HTTPS_PROXY: `http://me:hidden-word@127.0.0.1:${proxy.port}` };
      const script = `env | grep -ci proxy; curl -sS -m 60 -x http://127.0.0.1:${proxy.port} http://${FAR}/configured; curl -sS -m 60 http://${FAR}/; curl -s -m 60 -o /dev/null -w '%{http_code}\n' http://evil.${FAR}/`;
      const outcome = await world.cli(['run', '--tag', 'proxied', '--no-ask', '--policy', policy, '--', 'sh', '-c', script], { env });
      const off = await world.cli(['run', '--rm', '--net', 'off', '--policy', policy, '--', 'echo', 'off'], { env });
      await proxy.close();

      expect(outcome.stdout, outcome.stderr).toBe('0\nfrom upstream\nfrom upstream\n403\n');
      expect(proxy.seen.map((line) => line.replace(/ Basic .*/, ' LOGIN'))).toEqual([`GET http://${FAR}/configured LOGIN`, `GET http://${FAR}/ LOGIN`]);
      expect(off.stdout, off.stderr).toBe('off\n');
      // Who passed it would give the login away.
      expect(outcome.stderr).not.toContain('pass one with --env');
      const log = await world.cli(['log', 'proxied', '--json']);
      expect(log.stdout).toContain(`"via":"127.0.0.1:${proxy.port}"`);
      expect(log.stdout).not.toContain('hidden-word');
    });

    needs('root', 'userns', 'overlay').test('`doctor` names the setting where a variable names a proxy', async () => {
      const doctor = await area.cli(['doctor'], { env: { https_proxy: 'http://127.0.0.1:1' } });

      expect(doctor.stderr).toContain('https_proxy is set: the network gate goes through that proxy where your policy says `network: {upstream: environment}`.');
      expect((await area.cli(['doctor'])).stderr).not.toContain('proxy');
    });
  });
}
