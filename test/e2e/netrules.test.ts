/** What rules grant beyond the dial, the approver, and rules that change while the agent runs. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { allIdentities, eventually, helpers, jsonOf, ownSleep, processesWith, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { inWorld, OTHER, RULES, type Upstream, type World } from '../helpers/upstream.js';

const [GET = '', RAW = '', ASKED = '', REGISTRY = ''] = RULES;

for (const identity of allIdentities()) {
  const gated = needs('root', 'userns', 'overlay', 'python', 'curl');

  gated.describe(`rules of the network gate as ${identity.name}`, () => {
    let area: Area;
    let up: Upstream;
    let world: World;
    inWorld(identity, (made) => ({ area, up, world } = made));

    const file = (name: string, text: string, mode = 0o600): string => {
      const path = join(area.dir, name);
      writeFileSync(path, text, { mode });
      chownSync(path, identity.uid, identity.gid);
      return path;
    };
    const run = (tag: string, policy: string, script: string, flags: readonly string[] = []): Promise<Outcome> =>
      world.cli(['run', '--tag', tag, '--net', 'ask', '--policy', file(`${tag}.yaml`, policy), ...flags, '--', 'sh', '-c', script]);
    const records = async (tag: string, ...kinds: readonly string[]): Promise<readonly AuditRecord[]> =>
      jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--json', ...kinds.flatMap((kind) => ['--kind', kind])])).records;
    const url = (host: string): string => `http://${host}:${up.port}`;
    const code = "curl -s -m 300 -o /dev/null -w '%{http_code}\\n'";

    // EAI_NONAME and EAI_AGAIN.
    for (const [how, told] of [['address', '198.1'], ['nxdomain', '-2'], ['refused', '-3']] as const) gated.test(`a lookup of a refused name is told ${how}, as the policy has it`, async () => {
      const policy = `version: 1\nnetwork:\n  deny: [refused.example]\n  dns: ${how}\n`;
      const script = "python3 -c 'import socket\ntry: print(socket.getaddrinfo(\"refused.example\", 443, socket.AF_INET)[0][4][0][:5])\nexcept socket.gaierror as error: print(error.errno)'";
      const outcome = await run(`dns-${how}`, policy, script);

      expect(outcome.stdout, outcome.stderr).toBe(`${told}\n`);
      expect((await records(`dns-${how}`, 'dns')).map(({ verdict, object }) => [object['name'], verdict])).toEqual([['refused.example', how === 'address' ? 'allow' : 'deny']]);
    });

    gated.test('a rule may limit methods, or pass any bytes', async () => {
      const policy = `version: 1
network:
  allow:
    - {host: ${GET}, ports: [${up.port}], private: true, methods: [GET]}
    - {host: ${RAW}, ports: [${up.port}], private: true, raw: true}
`;
      const other = `${code} -H 'Host: another.example'`;
      const outcome = await run('methods', policy, `${code} ${url(GET)}/; ${code} -X POST ${url(GET)}/; ${other} ${url(GET)}/; ${other} ${url(RAW)}/; ${code} -H 'X_HTTP-Method-Override: DELETE' ${url(GET)}/`);

      expect(outcome.stdout, outcome.stderr).toBe('200\n403\n403\n200\n403\n');
      expect((await records('methods', 'first')).map(({ rule }) => rule)).toEqual(['net.method', 'net.host-mismatch', 'net.method']);
    });

    gated.test('of one plain HTTP connection every request is read: pipelined, kept alive, behind any body (NT13, NT16)', async () => {
      const policy = `version: 1
network:
  allow:
    - {host: ${GET}, ports: [${up.port}], private: true, methods: [GET]}
    - {host: ${RAW}, ports: [${up.port}], private: true}
    - {host: ${OTHER}, ports: [${up.port}], private: true}
`;
      const before = up.seen.length;
      const script = `${python} ${helpers}/http-requests.py ${RAW} ${up.port} ${OTHER}; curl -s -o /dev/null -w '%{http_code} ' ${url(GET)}/ --next -s -o /dev/null -X POST -w '%{http_code}\n' ${url(GET)}/posted`;
      const outcome = await run('requests', policy, script, ['--share', helpers]);

      const lines = outcome.stdout.trim().split('\n');
      expect(lines.slice(0, 2), outcome.stderr).toEqual(['kept 200 200 200 200', 'chunks 200 200']);
      expect(lines.slice(2).map((line) => line.replace(/ 200 cut$/, ' cut'))).toEqual([
        'second cut', 'pipelined cut', 'after-body cut', 'after-chunks cut', 'both 403', 'lf-chunk cut', 'garbage cut', 'upgrade 101 GET /smuggled HT', 'refused-upgrade 101 cut', expect.stringMatching(/^200 (000|403)$/) as string,
      ]);
      const reached = up.seen.slice(before);
      expect(reached.filter((line) => line.includes('smuggled') || line.includes('posted'))).toEqual([]);
      const told = await records('requests', 'first');
      expect(told.length).toBeGreaterThanOrEqual(8);
      expect(new Set(told.map(({ rule }) => rule))).toEqual(new Set(['net.host-mismatch', 'net.malformed', 'net.method']));
    });

    gated.test('datagrams pass by a rule that says `udp`, and are refused at once by one that does not', async () => {
      const echo = createSocket('udp4', (data, from) => echo.send(Buffer.concat([Buffer.from('echo '), data]), from.port, from.address));
      echo.bind(0, '127.0.0.1');
      await once(echo, 'listening');
      const { port } = echo.address();
      try {
        const policy = `version: 1
network:
  allow:
    - {host: ${GET}, ports: [${port}], private: true}
    - {host: ${RAW}, ports: [${port}], private: true, udp: true}
`;
        const send = `import socket,sys
for host in sys.argv[2:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); s.connect((host, int(sys.argv[1])))
    try:
        s.send(host[:3].encode()); print(s.recv(100).decode())
    except OSError as e: print(type(e).__name__)`;
        const outcome = await run('udp', policy, `${python} -c '${send}' ${port} ${RAW} ${GET}`);

        expect(outcome.stdout, outcome.stderr).toBe('echo raw\nConnectionRefusedError\n');
        expect((await records('udp', 'udp')).map(({ verdict, object }) => [verdict, object['host']])).toEqual([['allow', RAW], ['deny', GET]]);
        // It was open when the run ended.
        expect((await records('udp', 'close')).map(({ object, detail }) => [object['host'], detail['up'], detail['down']])).toEqual([[RAW, 3, 8]]);
      } finally {
        echo.close();
      }
    });

    gated.test('TLS that does not say its name passes by a rule that says `hiddenName`, and gets an alert by one that does not (NT14)', async () => {
      const policy = `version: 1
network:
  allow:
    - {host: ${GET}, ports: [${up.port}], private: true}
    - {host: ${RAW}, ports: [${up.port}], private: true, hiddenName: true}
`;
      // The server speaks plain HTTP: what reaches it is answered in no TLS.
      const hello = `import socket,ssl,sys
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
for host in sys.argv[2:]:
    try: c.wrap_socket(socket.create_connection((host, int(sys.argv[1])), 60))
    except ssl.SSLError as e: print(e.reason)`;
      const outcome = await run('hidden', policy, `${python} -c '${hello}' ${up.port} ${GET} ${RAW}`);

      expect(outcome.stdout.split('\n')[0], outcome.stderr).toBe('TLSV1_ALERT_ACCESS_DENIED');
      expect(outcome.stdout.split('\n')[1]).toMatch(/WRONG_VERSION_NUMBER|HTTP/);
      expect((await records('hidden', 'first')).map(({ rule, object }) => [rule, object['host']])).toEqual([['net.sni-missing', GET]]);
    });

    gated.test('an approver answers where nobody watches; what it does not answer is a no', async () => {
      const said = file('said', '');
      const approver = file('approver', `#!/bin/sh\nq=$(cat); echo "$q" >> ${said}\ncase "$q" in *${ASKED}*) echo '{"verdict":"allow","scope":"session"}';; *) exit 1;; esac\n`, 0o700);
      const policy = `version: 1
ask: {timeout: 10m, approver: [${approver}]}
network:
  allow: [{host: ${ASKED}, ports: [${up.port}], private: true}]
  ask: [{host: ${ASKED}, ports: [${up.port}]}]
`;
      const outcome = await run('approver', policy, `${code} ${url(ASKED)}/; ${code} ${url(ASKED)}/; ${code} http://nowhere.example/`);

      expect(outcome.stdout, outcome.stderr).toBe('200\n200\n403\n');
      expect((await records('approver', 'answer')).map(({ verdict, detail }) => [verdict, detail['by']])).toEqual([['allow', 'approver'], ['deny', 'approver: no answer']]);
      const asked = readFileSync(said, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { rule: string; who: { exe: string } });
      expect(asked.map(({ rule }) => rule)).toEqual([`${ASKED}:${up.port}`, 'nowhere.example:80']);
      expect(asked[0]?.who.exe).toMatch(/\/curl$/);
      expect((await run('silent', policy, `${code} ${url(ASKED)}/`, ['--no-ask'])).stdout).toBe('403\n');
    });

    gated.test('an approver that never answers holds up no end, and ends with the run', async () => {
      const nap = ownSleep();
      const approver = file('hangs', `#!/bin/sh\necho '{"verdict":"allow"}'\n${nap}\n`, 0o700);
      const policy = `version: 1\nask: {timeout: 1h, approver: [${approver}]}\n`;
      const outcome = await run('hangs', policy, `until ${code} -m 1 http://nowhere.example/ | grep -q 000; do :; done`);

      expect(outcome.status, outcome.stderr).toBe(0);
      await eventually('it has ended', () => processesWith(nap).length === 0);
      expect((await records('hangs', 'conn')).map(({ verdict }) => verdict)).not.toContain('allow');
    });

    gated.test('a registry of the user’s own configuration at a private address is refused with the very rule that mends it (NT11)', async () => {
      writeFileSync(join(area.home, '.npmrc'), `registry=${url(REGISTRY)}/\n`);
      chownSync(join(area.home, '.npmrc'), identity.uid, identity.gid);
      const refused = await run('mirror', 'version: 1\nnetwork: {allow: [registries]}\n', `curl -s -m 300 ${url(REGISTRY)}/`);
      const mend = /add `(.*?)` to network\.allow/.exec(refused.stdout)?.[1] ?? '';
      expect(mend, refused.stdout).toBe('{host: registries, private: true}');

      expect((await run('mended', `version: 1\nnetwork: {allow: [${mend}]}\n`, `${code} ${url(REGISTRY)}/`)).stdout).toBe('200\n');
    });

    gated.test('`net revoke` cuts what is open', async () => {
      const policy = file('live.yaml', `version: 1\nnetwork: {allow: [{host: ${OTHER}, ports: [${up.port}], private: true}]}\n`);
      const script = `echo up; while ! curl -s -m 60 -o /dev/null --fail ${url(OTHER)}/; do sleep 0.1; done; curl -s -N ${url(OTHER)}/slow; echo "ended $?"`;
      const [program = '', ...args] = world.words(['run', '--tag', 'live', '--net', 'ask', '--no-ask', '--policy', policy, '--', 'sh', '-c', script]);
      const child = spawn(program, args, { cwd: world.cwd, env: { ...world.env }, stdio: ['ignore', 'pipe', 'pipe'] });
      const ended = once(child, 'close');
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const rule = `${OTHER}:${up.port}`;
      await eventually('it runs', () => output.includes('up'));
      // The agent may be there a moment before questions can be answered.
      await eventually('the rule holds', async () => (await area.cli(['net', 'allow', 'live', rule])).status === 0);
      await eventually('it is connected', () => output.includes('begun'));
      const revoked = await area.cli(['net', 'revoke', 'live', rule]);
      await ended;

      expect(revoked.stderr).toMatch(/1/);
      expect(output).toMatch(/ended (56|18|52)/);
    });
  });
}

