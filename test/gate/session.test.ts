import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readLog } from '../../src/audit/read.js';
import { fromText } from '../../src/bytes.js';
import { askSandbox, type ControlReply } from '../../src/gate/control.js';
import { native as kernel } from '../../src/kernel/native.js';
import { eventually, python } from '../helpers/sandbox.js';
import { needs } from '../helpers/needs.js';
import { startProxy } from '../helpers/proxy.js';
import { sh } from './harness.js';
import { answerHeld, curl, dir, finish, letGo, policyOf, port, question, start, waits } from './running.js';

const withCurl = needs('curl');
const state = (reply: ControlReply | null): ControlReply & { ok: true; state: never } => reply as never;

describe('a run behind policy, questions and records', () => {
  withCurl.test('the agent reads of an address as rules write it', async () => {
    const run = await start(sh(`curl -s -m 300 "http://[2001:db8::1]:${port}/"`), await policyOf({ deny: ['2001:db8::/32'] }));
    await finish(run);

    expect(readFileSync(`${dir}/notes/notes`, 'utf8')).toContain(` [2001:db8::1]:${port} [`);
  });

  withCurl.test('allowed and denied names, each with exactly one record of its decision', async () => {
    const run = await start(sh(`${curl('a.test')}held; ${curl('d.test')}; ${curl('169.254.169.254')}`), await policyOf({ allow: ['a.test'], deny: ['d.test'] }));
    // An allowed connection doesn't wait until it is known whose it is.
    await expect.poll(() => run.gate.session.connections()).toMatchObject([{ host: 'a.test', state: 'open', exe: expect.stringContaining('curl') }]);
    await expect.poll(() => answerHeld.name).toBe('answer');
    answerHeld();
    const { out, log } = await finish(run);

    expect(out).toContain(`hello a.test:${port}`);
    expect(out).toContain(`Forbidden by agentfw: d.test:${port}`);
    expect(out).toContain('Rule: net.metadata');
    const decided = log.filter(({ kind }) => kind === 'conn');
    expect(decided.map(({ object, verdict, rule }) => [object['host'], verdict, rule])).toEqual([
      ['a.test', 'allow', 'test.allow'], ['d.test', 'deny', 'test.deny'], ['169.254.169.254', 'deny', 'net.metadata'],
    ]);
    expect(decided[1]?.subject).toMatchObject({ exe: expect.stringContaining('curl') });
    expect(decided[1]?.origin).toMatch(/:1$/);
    expect(log.filter(({ kind }) => kind === 'close')).toMatchObject([{ object: { host: 'a.test' }, subject: { exe: expect.stringContaining('curl'), argv: ['curl', '-s', '-m', '300', `http://a.test:${port}/held`], cwd: '/' } }]);
    expect(readFileSync(join(dir, 'notes', 'notes'), 'utf8')).toMatch(/d\.test:\d+ \[test\.deny\]/);
  });

  test('arguments of any length and bytes end no run, at the edge of what a message holds neither', async () => {
    const loop = String.raw`
ask='exec 3<>/dev/tcp/a.test/$PORT; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3 >/dev/null; echo done'
export PORT=${port}
escaped=$(printf '%01300d' 0 | tr 0 '\001')
for n in $(seq 60 240); do bash -c "$ask" x "$escaped$(printf "%0"$n"d" 0)"; done
bash -c "$ask" x "$(printf '%07000d' 0)"
bash -c "$ask" x "$(printf '\377\200')"`;
    const { status, out, log } = await finish(await start(['/bin/bash', '-c', loop], await policyOf({ allow: ['a.test'] })));

    expect([status, out.match(/done/g)?.length]).toEqual([0, 183]);
    const last = log.filter(({ kind }) => kind === 'close').map(({ subject }) => subject?.argv?.at(-1) ?? '');
    expect(last).toHaveLength(183);
    expect(last.some((argument) => argument.length > 1000)).toBe(true);
  });

  withCurl.test('what was allowed a moment ago begins at once, and is judged and recorded all the same', async () => {
    const evil = `curl -s -m 300 -H 'Host: evil.test' http://a.test:${port}/`;
    const run = await start(sh(`for i in 1 2 3 4 5 6 7 8; do ${curl('a.test')}; done; ${evil}; ${evil}`), await policyOf({ allow: ['a.test'] }));
    const { out, log } = await finish(run);

    expect(out.match(/hello/g)).toHaveLength(8);
    expect(out.match(/Rule: net\.host-mismatch/g)).toHaveLength(2);
    expect(log.filter(({ kind }) => kind === 'conn')).toHaveLength(10);
    expect(log.filter(({ kind }) => kind === 'close')).toHaveLength(10);
    expect(log.filter(({ kind }) => kind === 'first')).toMatchObject([{ verdict: 'deny' }, { verdict: 'deny' }]);
  });

  withCurl.test('an unknown destination is held, answered from another terminal, and goes through', async () => {
    const run = await start(sh(`${curl('new.test')}; ${curl('new.test')}`), await policyOf({ allow: ['other.test'] }));
    const asked = await question();
    expect(asked.rule).toBe(`new.test:${port}`);
    expect(await askSandbox(dir, { do: 'answer', ...asked, rule: 'new.test:1', verdict: 'allow', scope: 'session', by: 'me' })).toMatchObject({ ok: false });
    expect(await askSandbox(dir, { do: 'answer', id: asked.id, rule: asked.rule, verdict: 'deny', scope: 'session', by: 'me' })).toMatchObject({ ok: true });
    const { out, log } = await finish(run);

    expect(out.match(/Forbidden by agentfw/g)).toHaveLength(2);
    expect(log.map(({ kind }) => kind).filter((kind) => kind === 'ask' || kind === 'answer')).toEqual(['ask', 'answer']);
    expect(log.filter(({ kind }) => kind === 'conn')).toMatchObject([{ verdict: 'deny', rule: 'ask.answer', approval: asked.id }, { verdict: 'deny', rule: 'ask.answer', approval: asked.id }]);
  });

  withCurl.test('a yes after the client gave up serves its retry', async () => {
    const policy = await policyOf({});
    const run = await start(sh(`curl -s -m 5 http://new.test:${port}/; echo $?; ${waits}; ${curl('new.test')}`), policy);
    const asked = await question();
    await expect.poll(() => [...readLog(kernel, fromText(dir))].some(({ kind, detail }) => kind === 'conn' && detail['gone'] === true)).toBe(true);
    await askSandbox(dir, { do: 'answer', id: asked.id, rule: asked.rule, verdict: 'allow', scope: 'once', by: 'me' });
    letGo();
    const { out, log } = await finish(run);

    // The policy does not let it have a private address: a yes lifts no deny.
    expect(out).toMatch(/^28\n/);
    expect(log.filter(({ kind }) => kind === 'conn')).toMatchObject([{ detail: { gone: true } }, { approval: null, rule: 'net.private' }]);
  });

  withCurl.test('`net deny` cuts what is open', async () => {
    const run = await start(sh(`/usr/bin/python3 -c 'import socket\ns=socket.create_connection(("a.test",${port}))\nprint("up",flush=True)\ntry: print(s.recv(1))\nexcept OSError as e: print(type(e).__name__)'; ${curl('a.test')}`), await policyOf({ allow: ['a.test'] }));
    await expect.poll(() => run.gate.session.connections().filter((one) => one.state === 'open').length).toBe(1);
    expect(await askSandbox(dir, { do: 'net', op: 'deny', rule: `a.test:${port}` })).toMatchObject({ ok: true, cut: 1 });
    const { out } = await finish(run);

    expect(out).toContain('ConnectionResetError');
    expect(out).toContain('ask.answer');
  });

  withCurl.test('`net deny` without a port is about every port, until it is revoked or a port is allowed', async () => {
    const net = (op: 'allow' | 'deny' | 'revoke', rule: string): ReturnType<typeof askSandbox> => askSandbox(dir, { do: 'net', op, rule });
    const run = await start(sh(`/usr/bin/python3 -c 'import socket\ns=socket.create_connection(("a.test",${port}))\ntry: print(s.recv(1))\nexcept OSError as e: print(type(e).__name__)'; ${curl('a.test')}; ${waits}; ${curl('a.test')}`), await policyOf({ allow: ['a.test'] }));
    await expect.poll(() => run.gate.session.connections().filter((one) => one.state === 'open').length).toBe(1);
    expect(await net('deny', 'A.Test')).toEqual({ ok: true, result: 'a.test', cut: 1 });
    await expect.poll(() => [...readLog(kernel, fromText(dir))].some(({ kind, verdict, object }) => kind === 'conn' && verdict === 'deny' && object['port'] === port)).toBe(true);
    expect(run.gate.asking.answered(`a.test:8443`)).toMatchObject({ verdict: 'deny' });
    expect(await net('allow', `a.test:${port}`)).toMatchObject({ ok: true });
    expect(run.gate.asking.answered(`a.test:8443`)).toMatchObject({ verdict: 'deny' });
    expect(await net('revoke', 'a.test')).toMatchObject({ ok: true });
    expect(run.gate.asking.rules()).toEqual([]);
    letGo();
    const { out } = await finish(run);

    expect(out).toContain('ConnectionResetError');
    expect(out.match(/Forbidden by agentfw/g)).toHaveLength(1);
  });

  test('a rule for a run that would open nothing is refused, and says why', async () => {
    const run = await start(sh(waits), await policyOf({ allow: ['a.test'], deny: ['d.test'] }));
    const allow = (rule: string): ReturnType<typeof askSandbox> => askSandbox(dir, { do: 'net', op: 'allow', rule });

    expect(await allow('169.254.169.254:80')).toMatchObject({ ok: false, why: expect.stringContaining('never reached') as string });
    expect(await allow(`d.test:${port}`)).toMatchObject({ ok: false, why: expect.stringContaining('test.deny') as string });
    for (const set of ['registries', 'db']) expect(await allow(set)).toMatchObject({ ok: false, why: expect.stringContaining(`\`${set}:PORT\``) as string });
    expect(await allow(`db:${port}`)).toMatchObject({ ok: true });
    expect(await allow(`new.test:${port}`)).toMatchObject({ ok: true });
    letGo();
    await finish(run);
  });

  for (const op of ['deny', 'revoke'] as const) {
    withCurl.test(`PO11 a \`net ${op}\` while addresses are looked up holds for what is found`, async () => {
      let release: () => void = () => undefined;
      let lookups = 0;
      // The first lookup is for the name's own address, of one kind; the second is to dial, and takes its time.
      const onResolve = (): Promise<void> | void => ((lookups += 1) === 2 ? new Promise((resolve) => (release = resolve)) : undefined);
      const run = await start(sh(`${curl('a.test')} -4; ${curl('a.test')} -4`), await policyOf({ allow: ['a.test'] }), {}, onResolve);
      await expect.poll(() => lookups).toBe(2);
      if (op === 'revoke') run.gate.asking.preset(`a.test:${port}`, 'allow', 'net');
      expect(await askSandbox(dir, { do: 'net', op, rule: `a.test:${port}` })).toMatchObject({ ok: true });
      release();
      const { out, log } = await finish(run);

      expect(log.filter(({ kind }) => kind === 'conn')[0]).toMatchObject({ verdict: 'deny', rule: 'ask.answer' });
      expect(out.match(/Forbidden by agentfw/g)).toHaveLength(op === 'deny' ? 2 : 1);
    });
  }

  withCurl.test('an approver\'s answer that can\'t be recorded ends the session', async () => {
    const cutsLog = (): Promise<string> => {
      writeFileSync(join(dir, 'audit.jsonl'), '');
      return Promise.resolve('{"verdict":"allow"}');
    };
    const run = await start(sh(curl('new.test')), await policyOf({}), { approver: { argv: ['x'], run: cutsLog } });

    expect(await run.gate.session.ended).toMatchObject({ code: 'AFW_AUDIT' });
    await run.done;
    run.gate.close();
    run.audit.leave();
  });

  test('a rule for the run that can\'t be recorded does not hold', async () => {
    const run = await start(sh(waits), await policyOf({}));
    await expect.poll(() => [...readLog(kernel, fromText(dir))].length).toBeGreaterThan(0);
    writeFileSync(join(dir, 'audit.jsonl'), '');

    expect(await askSandbox(dir, { do: 'net', op: 'allow', rule: `a.test:${port}` })).toMatchObject({ ok: false });
    expect(run.gate.asking.rules()).toEqual([]);
    letGo();
    await run.done;
    run.gate.close();
    run.audit.leave();
  });

  withCurl.test('an answer for the project that can\'t be kept holds for nothing, and the log says so', async () => {
    let full = true;
    const store = (): void => {
      if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    const run = await start(sh(curl('new.test')), await policyOf({}), { store });
    const asked = await question();
    const yes = { do: 'answer', id: asked.id, rule: asked.rule, verdict: 'allow', scope: 'project', by: 'me' } as const;

    expect(await askSandbox(dir, yes)).toMatchObject({ ok: false, why: expect.stringContaining('no space left') as string });
    expect([run.gate.asking.open().length, run.gate.asking.rules()]).toEqual([1, []]);
    full = false;
    expect(await askSandbox(dir, yes)).toMatchObject({ ok: true });
    const { log } = await finish(run);

    expect(log.filter(({ kind }) => kind === 'answer').map(({ verdict, detail }) => [verdict, detail['error']])).toEqual([['allow', undefined], [null, 'ENOSPC'], ['allow', undefined]]);
  });

  withCurl.test('nobody can answer: refused at once, and listed as a ready-made rule', async () => {
    const run = await start(sh(`${curl('x.test')}; ${curl('x.test')}`), await policyOf({}), { enabled: false });
    const wanted = run.gate.asking;
    const { out } = await finish(run);

    expect(out).toContain(`add \`x.test:${port}\` to network.allow`);
    expect(wanted.wouldAsk()).toEqual([{ rule: `x.test:${port}`, count: 2 }]);
  });

  withCurl.test('through a proxy, the record says so, and a client that is set up for it is asked about by the name it wants', async () => {
    const proxy = await startProxy((host) => (host.endsWith('far.test') ? port : null));
    const upstream = { host: '127.0.0.1', port: proxy.port, login: 'me:secret', direct: [] };
    const curl = 'curl -sS -m 60 -o /dev/null -w "%{http_code}\\n"';
    const running = await start(sh(`${curl} http://far.test/; until ${curl} -x http://localhost:${proxy.port} http://far.test/; do sleep 0.1; done 2>/dev/null; ${curl} -x http://127.0.0.1:${proxy.port} http://other.far.test/; ${curl} http://other.far.test/; ${curl} http://no.test/`), await policyOf({ allow: ['far.test', 'no.test'], deny: ['other.far.test'] }), { upstream });
    const { out, log } = await finish(running);
    await proxy.close();

    expect(out).toMatch(/^200\n(000\n)*200\n403\n403\n403\n$/);
    expect(proxy.seen.map((line) => line.replace(/ Basic .*/, ' LOGIN'))).toEqual(['GET http://far.test/ LOGIN', 'GET http://far.test/ LOGIN', 'GET http://no.test/ LOGIN']);
    expect(log.find(({ kind }) => kind === 'gate')?.detail).toMatchObject({ upstream: `127.0.0.1:${proxy.port}` });
    expect(log.find(({ kind, object }) => kind === 'conn' && object['host'] === 'far.test')?.detail).toMatchObject({ via: `127.0.0.1:${proxy.port}`, addresses: ['127.0.0.1'] });
    expect(JSON.stringify(log)).not.toContain('secret');
  });

  test('other terminals see rung, connections and questions; a stopped sandbox is told apart', async () => {
    const run = await start(sh(waits), await policyOf({}));
    expect(state(await askSandbox(dir, { do: 'state' })).state).toMatchObject({ rung: 'tproxy', questions: [], connections: [] });
    letGo();
    await finish(run);

    expect(await askSandbox(dir, { do: 'state' })).toBeNull();
  });

  test('the longest command line hides no question from who lists them', async () => {
    const asking = `import socket, subprocess
held = [socket.socket() for _ in range(12)]
for at, one in enumerate(held):
  one.setblocking(False); one.connect_ex((socket.gethostbyname("q%d.test" % at), 80))
subprocess.run(["sh", "-c", ${JSON.stringify(waits)}])`;
    const run = await start([python, '-c', asking, ...Array.from({ length: 10 }, () => 'x'.repeat(120_000))], await policyOf({}));
    await eventually('all are asked', () => run.gate.asking.open().length === 12);

    const listed = state(await askSandbox(dir, { do: 'state' })).state as { questions: { who: { argv: string[] } }[] };
    expect(listed.questions).toHaveLength(12);
    expect(listed.questions[0]?.who.argv.slice(0, 2)).toEqual([python, '-c']);
    letGo();
    await finish(run);
  });

  withCurl.test('an audit that can\'t be written ends the tree', async () => {
    const run = await start(sh(`${waits}; ${curl('a.test')}; sleep 1000`), await policyOf({ allow: ['a.test'] }));
    run.audit.leave();
    letGo();
    const { status, out } = await run.done;

    expect(status).not.toBe(0);
    expect(out).not.toContain('hello');
    expect(await run.gate.session.ended).not.toBeNull();
    run.gate.close();
  });
});
