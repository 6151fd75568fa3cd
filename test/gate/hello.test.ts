/** attacks.md NT13: the second ClientHello, which a server asks for by a HelloRetryRequest. */
import { beforeAll, describe, expect, test } from 'vitest';
import { allowing, behindGate, buildHarness, listen } from './harness.js';

beforeAll(buildHarness);

const RETRY = Buffer.from('cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c', 'hex');

/** The first bytes of a ServerHello. */
function serverHello(random: Buffer): Buffer {
  return Buffer.concat([Buffer.from('16030300580200005403' + '03', 'hex'), random, Buffer.alloc(50)]);
}

/** `hello(NAME)` is the record of a ClientHello, `MEANWHILE` what may lie between two; then `say` what `steps` does. */
function client(steps: string): string[] {
  return ['/usr/bin/python3', '-c', `
import socket, struct, time
def vec(n, b): return len(b).to_bytes(n, "big") + b
def ext(t, b): return struct.pack(">H", t) + vec(2, b)
def message(name, more):
  names = ext(0, vec(2, b"\\0" + vec(2, name))) if name else b""
  body = b"\\3\\3" + b"r" * 32 + vec(1, b"s" * 32) + vec(2, b"\\x13\\1") + vec(1, b"\\0") + vec(2, names + more + ext(43, vec(1, b"\\3\\4")) + ext(51, vec(2, b"")))
  return b"\\1" + vec(3, body)
def hello(name, more=b""): return b"\\x16\\3\\1" + vec(2, message(name, more))
def pieces(name): m = message(name, b""); return b"".join(b"\\x16\\3\\3" + vec(2, m[i:i + 9]) for i in range(0, len(m), 9))
MEANWHILE = b"\\x14\\3\\3\\0\\1\\1" + b"\\x17\\3\\3\\0\\5early" + b"\\x15\\3\\3\\0\\2\\1\\x5a"
s = socket.create_connection(("ok.test", 443), 60)
s.settimeout(60)
def hear():
  try: return s.recv(4096)
  except OSError as e: return type(e).__name__.encode()
${steps}`];
}

/** A server that answers the first bytes as `answer`, later ones by `ok`. */
async function serve(answer: Buffer): Promise<{ port: number; heard: () => string; close: () => Promise<void> }> {
  let heard = Buffer.alloc(0);
  const { port, close } = await listen((socket) => {
    socket.on('data', (data: Buffer) => {
      socket.write(heard.length === 0 ? answer : 'ok');
      heard = Buffer.concat([heard, data]);
    });
    socket.on('end', () => socket.end());
  });
  return { port, close, heard: () => heard.toString('latin1') };
}

describe('a server that asks for a second ClientHello', () => {
  test.each([
    ['another name', 's.sendall(hello(b"ok.test")); hear(); s.sendall(hello(b"evil.test"))', 'evil.test'],
    ['another name, behind what may lie between', 's.sendall(hello(b"ok.test")); hear(); s.sendall(MEANWHILE + hello(b"evil.test"))', 'evil.test'],
    ['another name, said before the server asked', 's.sendall(hello(b"ok.test") + MEANWHILE + hello(b"evil.test")); hear()', 'evil.test'],
    ['another name, in pieces', 's.sendall(hello(b"ok.test")); hear()\nfor b in pieces(b"evil.test"): s.send(bytes([b])); time.sleep(0.0005)', 'evil.test'],
    ['a hidden name (ECH)', 's.sendall(hello(b"ok.test")); hear(); s.sendall(hello(b"ok.test", ext(0xfe0d, b"evil.test")))', 'ok.test'],
    ['no name', 's.sendall(hello(b"ok.test")); hear(); s.sendall(hello(b""))', null],
    ['what is no hello', 's.sendall(hello(b"ok.test")); hear(); s.sendall(b"\\x18\\3\\3\\0\\1x")', undefined],
  ])('gets none that says %s', async (_, steps, sni) => {
    const server = await serve(serverHello(RETRY));

    const { out, messages } = await behindGate(client(`try:\n  ${steps.replaceAll('\n', '\n  ')}\nexcept OSError: pass\nprint(hear())`), allowing(['ok.test'], server.port));
    await server.close();

    expect(out).toMatch(/^b'(ConnectionResetError|BrokenPipeError)?'\n$/);
    expect(server.heard()).toContain('ok.test');
    expect(server.heard()).not.toContain('evil.test');
    expect(messages).toContainEqual(expect.objectContaining(sni === undefined ? { t: 'first', spoke: 'bad' } : { t: 'first', spoke: 'tls', sni }));
    expect(messages).toContainEqual(expect.objectContaining({ t: 'close', error: 'EPERM' }));
  });

  test.each([
    ['behind a warning', Buffer.concat([Buffer.from('15030300020170', 'hex'), serverHello(RETRY)])],
    ['behind more warnings than servers send', Buffer.from('15030300020170'.repeat(9), 'hex')],
    ['in short records', Buffer.concat([Buffer.from('160303000602000054', 'hex'), Buffer.from('0303', 'hex'), Buffer.from('1603030052', 'hex'), RETRY, Buffer.alloc(50)])],
  ])('gets no other name either where it asks %s', async (_, answer) => {
    const server = await serve(answer);

    const { out } = await behindGate(client(`try:\n  s.sendall(hello(b"ok.test")); hear(); s.sendall(hello(b"evil.test"))\nexcept OSError: pass\nprint(hear())`), allowing(['ok.test'], server.port));
    await server.close();

    expect(out).toMatch(/^b'(ConnectionResetError|BrokenPipeError)?'\n$/);
    expect(server.heard()).not.toContain('evil.test');
  });

  test.each([['whole', 'hello'], ['in pieces', 'pieces']])('gets one that says the same (%s), and what lies between', async (_, how) => {
    const server = await serve(serverHello(RETRY));

    const { out, messages } = await behindGate(client(`s.sendall(hello(b"ok.test") + MEANWHILE); hear(); s.sendall(${how}(b"OK.test") + b"rest"); print(hear())`), allowing(['ok.test'], server.port));
    await server.close();

    expect(out).toBe("b'ok'\n");
    expect(server.heard().replaceAll(/\x16\x03\x03..|\x16\x03\x03\0\t/gs, '')).toMatch(/ok\.test.*early.*OK\.test.*rest$/s);
    expect(messages.some(({ t }) => t === 'first')).toBe(false);
  });

  test('that does not ask gets all that was said meanwhile, also from one that left', async () => {
    const server = await serve(serverHello(Buffer.alloc(32, 7)));

    const { out } = await behindGate(client('s.sendall(hello(b"ok.test") + b"m" * 200000 + b"end"); s.shutdown(1)\nwhile (got := hear())[-2:] != b"ok": pass\nprint(got[-2:])'), allowing(['ok.test'], server.port));
    await server.close();

    expect(out).toBe("b'ok'\n");
    expect(server.heard().split('m').length).toBe(200001);
    expect(server.heard()).toMatch(/mend$/);
  });
});
