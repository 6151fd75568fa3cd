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

  test('NP01 what is no plain question about a host is answered without one, or not at all', async () => {
    const code = `
import socket,struct
def ask(head, tail, name=b"\\x02ok\\x04test\\0", opt=b""):
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(1); s.connect(("8.8.8.8",53))
  s.send(struct.pack(">HHHHHH",7,head,1,0,0,1 if opt else 0)+name+struct.pack(">HH",*tail)+opt)
  try:
    r=s.recv(5000); return (r[3]&15, r[2]&2, len(r))
  except socket.timeout: return "nothing"
opt=lambda size: b"\\0"+struct.pack(">HHIH",41,size,0,0)
print(ask(0x8100,(1,1)), ask(0x2900,(6,1)), ask(0x0100,(1,3)), ask(0x0100,(1,255)), ask(0x0100,(1,1),b"\\0"))
print(ask(0x0100,(1,1),b"\\x03o k\\x04test\\0"), ask(0x0100,(1,1),b"\\x03o.k\\x04test\\0"), ask(0x0100,(1,1),b"\\x03o\\0k\\x04test\\0"))
print([ask(0x0100,(16,1),b"\\x03"+n+b"\\x04test\\0",o) for n,o in ((b"300",opt(100)),(b"990",b""),(b"990",opt(1200)),(b"999",opt(4096)))])`;
    // As long as the name's number says; 999 is more than any datagram may have here.
    const packet = (name: string): string => {
      const head = Buffer.from('000781800001000100000000', 'hex');
      const question = Buffer.from(`\u0003${name.slice(0, 3)}\u0004test\0\0\u0010\0\u0001`, 'latin1');
      return Buffer.concat([head, question, Buffer.alloc((name === '999.test' ? 1300 : Number(name.slice(0, 3))) - 26)]).toString('base64');
    };
    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { dns: (name) => (name.includes('\\') ? 'nxdomain' : { packet: packet(name) }) });

    expect(out.trim().split('\n')).toEqual([
      // an answer; an update; of another class; of any; of the root
      'nothing (4, 0, 12) (5, 0, 25) (5, 0, 25) (5, 0, 17)',
      '(3, 0, 26) (3, 0, 26) (3, 0, 26)',
      '[(0, 0, 300), (0, 2, 26), (0, 0, 990), (0, 2, 26)]',
    ]);
    expect(messages.flatMap((message) => (message.t === 'dns' ? [message.name] : []))).toEqual([
      ...['o\\032k.test', 'o\\046k.test', 'o\\000k.test'], // what can be no host's
      ...['300.test', '990.test', '990.test', '999.test'],
    ]);
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

  test('a client that ends its side after its questions gets every answer, then the end', async () => {
    const code = `
import socket,struct
q=lambda i,name: struct.pack(">HHHHHH",i,0x100,1,0,0,0)+bytes([len(name)])+name+b"\\x04test\\0"+struct.pack(">HH",1,1)
s=socket.create_connection(("8.8.8.8",53)); s.settimeout(60)
for i in range(3): s.sendall(struct.pack(">H",len(q(i,b"ok%d"%i)))+q(i,b"ok%d"%i))
s.shutdown(socket.SHUT_WR)
got=b""
while True:
  part=s.recv(4096)
  if not part: break
  got+=part
ids=[]
while got: n=struct.unpack(">H",got[:2])[0]; ids.append(got[3]); got=got[2+n:]
print(sorted(ids))`;
    const { out } = await behindGate(['/usr/bin/python3', '-c', code], {});

    expect(out).toBe('[0, 1, 2]\n');
  });

  test('of more questions than are decided at a time none is lost: the rest of the connection waits', async () => {
    const code = `
import socket,struct,threading
q=lambda i: struct.pack(">HHHHHH",i,0x100,1,0,0,0)+b"\\x05%05d\\x04test\\0"%i+struct.pack(">HH",1,1)
s=socket.create_connection(("8.8.8.8",53)); s.settimeout(60)
def ask():
  s.sendall(b"".join(struct.pack(">H",len(q(i)))+q(i) for i in range(5000))); s.shutdown(socket.SHUT_WR)
threading.Thread(target=ask).start()
got=b""
while True:
  part=s.recv(65536)
  if not part: break
  got+=part
ids=set()
while got: n=struct.unpack(">H",got[:2])[0]; ids.add(got[2]<<8|got[3]); got=got[2+n:]
print(len(ids))`;
    const { out } = await behindGate(['/usr/bin/python3', '-c', code], {});

    expect(out).toBe('5000\n');
  });

  test('the reverse of a fake address is its name', async () => {
    const { out } = await behindGate(sh('getent hosts ok.test | cut -d" " -f1 | xargs getent hosts'), {});

    expect(out).toMatch(/198\.19\.0\.1\s+ok\.test/);
  });
});
