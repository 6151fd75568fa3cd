import { beforeAll, describe, expect, test } from 'vitest';
import { behindGate, buildHarness, sh } from './harness.js';

beforeAll(buildHarness);

describe('DNS', () => {
  const query = (server: string, qtype: number, tcp: boolean): string => `
import socket,struct
q=struct.pack(">HHHHHH",7,0x100,1,0,0,0)+b"\\x02Ok\\x04tEst\\0"+struct.pack(">HH",${qtype},1)
f=socket.AF_INET6 if ":" in "${server}" else socket.AF_INET
s=socket.socket(f,socket.SOCK_STREAM if ${tcp ? 1 : 0} else socket.SOCK_DGRAM); s.settimeout(60)
s.connect(("${server}",53)); s.send((struct.pack(">H",len(q)) if ${tcp ? 1 : 0} else b"")+q)
print(s.recv(600)[${tcp ? 2 : 0}:].hex())`;

  test.each([['8.8.8.8', false], ['1.1.1.1', true], ['2001:4860:4860::8888', false], ['2001:4860:4860::8888', true]])('NP01, NP02 a query to %s (tcp %s) is answered here', async (server, tcp) => {
    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', query(server, 1, tcp)], {});

    expect(out.trim()).toMatch(/^00078180000100010000000002/);
    expect(out.trim()).toMatch(/c613[0-9a-f]{4}$/);
    expect(messages).toContainEqual(expect.objectContaining({ t: 'dns', name: 'ok.test', type: 1 }));
    expect(messages.some(({ t }) => t === 'conn' || t === 'udp')).toBe(false);
  });

  test.each([['nxdomain', '8183'], ['refused', '8185'], ['nodata', '8180']] as const)('`%s` is what the client gets', async (verdict, flags) => {
    const { out } = await behindGate(['/usr/bin/python3', '-c', query('8.8.8.8', 1, false)], { dns: () => verdict });

    expect(out).toContain(`0007${flags}00010000`);
  });

  test.each([
    [600_000, ['1', '16', '16']], [0, ['1', '1', '28', '65', '16', '16']],
  ])('a name that is asked again within %i ms has the same address, and is asked once', async (dnsKeep, asked) => {
    const code = `
import socket,struct
def ask(t):
  q=struct.pack(">HHHHHH",7,0x100,1,0,0,0)+b"\\x02ok\\x04test\\0"+struct.pack(">HH",t,1)
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.connect(("8.8.8.8",53)); s.send(q)
  r=s.recv(600); print(r[3]&15, r[7], r[-4:-2].hex() if r[7] else "")
for t in (1,1,28,65,16,16): ask(t)`;
    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { dnsKeep });

    expect(out).toBe(`0 1 c613\n0 1 c613\n${'0 0 \n'.repeat(4)}`);
    expect(messages.flatMap((message) => (message.t === 'dns' ? [String(message.type)] : []))).toEqual(asked);
  });

  test('a name that was refused, or whose time is over, is asked again', async () => {
    const again = sh('getent ahostsv4 no.test; getent ahostsv4 no.test; getent ahostsv4 ok.test >/dev/null; sleep 0.2; getent ahostsv4 ok.test >/dev/null');
    const { messages } = await behindGate(again, { dnsKeep: 1, dns: (name, type) => (name === 'no.test' ? 'nxdomain' : type === 1 ? 'fake' : 'nodata') });
    const names = messages.flatMap((message) => (message.t === 'dns' && message.type === 1 ? [message.name] : []));

    expect(names.filter((name) => name === 'no.test').length).toBeGreaterThanOrEqual(2);
    expect(names.filter((name) => name === 'ok.test').length).toBeGreaterThanOrEqual(2);
  });

  test('of reverse names only those of the own addresses are known; of others there is no such data, which denies no name', async () => {
    const code = `
import socket,struct
def ask(name):
  wire=b"".join(bytes([len(one)])+one.encode() for one in name.split("."))
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.connect(("8.8.8.8",53))
  s.send(struct.pack(">HHHHHH",7,0x100,1,0,0,0)+wire+b"\\0"+struct.pack(">HH",12,1)); r=s.recv(600); print(name, r[3]&15, r[7])
for name in ("8.8.8.8.in-addr.arpa","1.0.ip6.arpa","ok.test","b._dns-sd._udp.ok.test"): ask(name)`;
    const { out } = await behindGate(['/usr/bin/python3', '-c', code], {});

    expect(out).toBe('8.8.8.8.in-addr.arpa 3 0\n1.0.ip6.arpa 3 0\nok.test 0 0\nb._dns-sd._udp.ok.test 0 0\n');
  });

  test('the reverse of a fake address is its name', async () => {
    const { out } = await behindGate(sh('getent hosts ok.test | cut -d" " -f1 | xargs getent hosts'), {});

    expect(out).toMatch(/198\.19\.0\.1\s+ok\.test/);
  });
});
