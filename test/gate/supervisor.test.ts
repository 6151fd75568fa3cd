/** The supervisor's answers, one by one, with the gate's part played by the test. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { Answer } from '../../src/gate/ask.js';
import { askSandbox } from '../../src/gate/control.js';
import type { Resolution } from '../../src/gate/resolve.js';
import { close, conn, first, play, who } from './played.js';

const A = { host: 'a.test', ports: 'any' };

/** A resolver that answers when the test says so. */
function slowly(): { resolve: () => Promise<Resolution>; found: (...addresses: string[]) => void } {
  let found: (...addresses: string[]) => void = () => undefined;
  const result = new Promise<Resolution>((done) => (found = (...addresses) => done({ kind: 'addresses', addresses })));
  return { resolve: () => result, found: (...addresses) => found(...addresses) };
}

describe('what the gate may do by itself', () => {
  test.each([
    [{ host: 'a.test', ports: 'any' }, 80, 'http', 'match'],
    [{ host: 'a.test', ports: 'any' }, 443, 'tls', 'match'],
    [{ host: 'a.test', ports: 'any' }, 22, 'any', 'match'],
    [{ host: 'a.test', ports: 'any', raw: true }, 443, 'any', 'never'],
    [{ host: 'a.test', ports: [80], methods: ['GET'] }, 80, 'http', 'always'],
  ] as const)('by %j on port %i it waits for %s, and checks: %s', async (rule, port, expect_, check) => {
    const { say, answer } = await play({ allow: [rule] });
    say(conn(1, 'a.test', { port }));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'allow', expect: expect_, check });
  });

  test('what the policy allows it may begin again at once, what a person allowed not', async () => {
    const { gate, say, answer } = await play({ allow: [A] });
    gate.asking.preset('b.test:80', 'allow', 'me');
    say(conn(1, 'a.test'), conn(2, 'b.test'));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'allow', keep: 2000 });
    expect(await answer('conn', 2)).toMatchObject({ verdict: 'allow', keep: 0 });
  });

  test('it dials eight addresses at most, however many are vetted', async () => {
    const many = Array.from({ length: 20 }, (_, at) => `93.184.216.${at + 1}`);
    const { say, answer } = await play({ allow: [A], resolve: () => Promise.resolve({ kind: 'addresses', addresses: many }) });
    say(conn(1, 'a.test'));

    expect(await answer('conn', 1)).toMatchObject({ addrs: many.slice(0, 8) });
  });

  test('a port of the sandbox leads to the host’s only where that was asked for, whatever was allowed there a moment ago', async () => {
    const { say, answer } = await play({ allow: [{ host: '127.0.0.1', ports: [5432], private: true }] });
    say(conn(1, null, { ip: '127.0.0.1', port: 5432 }));
    await answer('conn', 1);
    say(conn(2, null, { ip: '127.0.0.1', port: 5432, forward: true }), who(2));

    expect(await answer('conn', 2)).toMatchObject({ verdict: 'deny', rule: 'net.forward' });
  });
});

describe('a connection that', () => {
  test('ended before its program was known opens no question', async () => {
    const { gate, say, answer, records } = await play({});
    say(conn(1, 'a.test'), close(1));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'deny', rule: 'ask.gone' });
    expect(records('ask')).toEqual([]);
    expect(gate.asking.open()).toEqual([]);
    expect(records('conn')).toMatchObject([{ verdict: 'deny', rule: 'ask.gone', detail: { gone: true } }]);
  });

  test.each(['before', 'after'])('was left with something said %s its program was known is refused, and its question stays for the retry', async (when) => {
    const { gate, say, answer, records } = await play({});
    const left = { t: 'left', id: 1 } as const;
    say(...(when === 'before' ? [conn(1, 'a.test'), left, who(1)] : [conn(1, 'a.test'), who(1)]));
    if (when === 'after') {
      await vi.waitFor(() => expect(gate.asking.open()).toMatchObject([{ waiting: 1 }]));
      say(left);
    }

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'deny', rule: 'ask.gone' });
    expect(gate.asking.open()).toMatchObject([{ host: 'a.test', port: 80, waiting: 0, asked: 1 }]);
    expect(records('ask')).toHaveLength(1);
  });

  test('was left with something said is decided by policy as ever: it would have reached a server', async () => {
    const { say, answer } = await play({ allow: [A] });
    say(conn(1, 'a.test'), { t: 'left', id: 1 } as const);

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'allow' });
  });

  test('is refused is refused once its program is known: the record names it', async () => {
    const { say, answer, seen, records } = await play({ deny: ['a.test'] });
    say(conn(1, 'a.test'));
    await pause(50);
    expect(seen.filter((one) => 't' in one)).toEqual([]);
    say(who(1));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'deny', rule: 'test.deny' });
    expect(records('conn')).toMatchObject([{ subject: { pid: 7, exe: '/bin/sh' } }]);
  });

  test('was begun and ended before it was decided is recorded with its bytes', async () => {
    const { resolve, found } = slowly();
    const { say, answer, records } = await play({ allow: [A], resolve });
    say(conn(1, 'a.test', { begun: true }), close(1));
    await pause(20);
    found('93.184.216.34');
    await answer('conn', 1);

    expect(records('conn')).toMatchObject([{ verdict: 'allow' }]);
    expect(records('conn')[0]?.detail).not.toHaveProperty('gone');
    expect(records('close')).toMatchObject([{ detail: { up: 1, down: 2 } }]);
  });

  test('says its first bytes while it is decided is judged by both', async () => {
    const { resolve, found } = slowly();
    const { say, answer } = await play({ allow: [{ host: 'a.test', ports: [80], methods: ['GET'] }], resolve });
    say(conn(1, 'a.test', { begun: true }), first(1, 'a.test'));
    await pause(20);
    found('93.184.216.34');

    expect(await answer('first', 1)).toMatchObject({ verdict: 'allow', methods: ['GET'] });
  });

  test('is held when the gate ends is on record', async () => {
    const { gate, say, end, records } = await play({});
    say(conn(1, 'a.test'), who(1));
    await vi.waitFor(() => expect(gate.asking.open()).toHaveLength(1));
    end();
    await gate.session.ended;

    expect(records('conn')).toMatchObject([{ verdict: 'deny', rule: 'ask.gone' }]);
  });

  test('a proxy refused leaves a note of its answer', async () => {
    const { say, answer, dir } = await play({ allow: [A] });
    say(conn(1, 'a.test'));
    await answer('conn', 1);
    say(close(1, { proxy: 502 }));

    await vi.waitFor(() => expect(readFileSync(join(dir, 'notes', 'notes'), 'utf8')).toContain('a.test:80 [net.upstream] the proxy answered 502'));
  });
});

test('NP01 whatever leaves by a lookup is on record before, once for each kind', async () => {
  const asked: string[] = [];
  const { say, answer, records } = await play({ allow: [A], records: (name, type) => {
    asked.push(`${name} ${type} after ${records('dns').length}`);
    return Promise.resolve(Buffer.from('x'));
  } });
  for (const [at, type] of [16, 15, 16].entries()) {
    say({ t: 'dns', id: at + 1, name: 'a.test', type });
    await answer('dns', at + 1);
  }

  expect(asked).toEqual(['a.test 16 after 1', 'a.test 15 after 2', 'a.test 16 after 2']);
  expect(records('dns').map(({ object }) => object?.['type'])).toEqual([16, 15]);
});

test('names that were answered here are on record, the first 10,000 of them: they are no means to fill the log', async () => {
  const { say, answer, records } = await play({ allow: [A], records: () => Promise.resolve('nodata') });
  const ask = async (from: number, names: readonly string[], type = 1): Promise<void> => {
    say(...names.map((name, at) => ({ t: 'dns', id: from + at, name, type }) as const));
    await answer('dns', from + names.length - 1);
  };
  await ask(1, ['x.test', 'x.test', 'y.test', 'metadata.google.internal']);
  expect(records('dns').map(({ object, rule }) => [object?.['name'], rule])).toEqual([['x.test', 'net.lookup'], ['y.test', 'net.lookup'], ['metadata.google.internal', 'net.metadata']]);

  await ask(100, Array.from({ length: 10_100 }, (_, at) => `${at}.test`));
  expect(records('dns')).toHaveLength(10_000);
  await ask(20_000, ['a.test'], 16);
  await ask(20_001, ['10.in-addr.local', 'metadata.google.internal']);
  expect(records('dns').slice(10_000).map(({ object, verdict }) => [object?.['name'], verdict])).toEqual([['a.test', 'allow']]);
});

describe('answers', () => {
  test('one for the session is not kept for the project', async () => {
    const store = vi.fn<(answer: Answer) => void>();
    const { gate, say, answer } = await play({ ask: { store } });
    for (const [at, scope] of (['session', 'project'] as const).entries()) {
      say(conn(at + 1, `${scope}.test`), who(at + 1));
      await vi.waitFor(() => expect(gate.asking.open()).toHaveLength(1));
      gate.asking.answer({ id: gate.asking.open()[0]!.id, rule: `${scope}.test:80`, verdict: 'allow', scope, by: 'me' });
      await answer('conn', at + 1);
    }

    expect(store.mock.calls.map(([{ rule }]) => rule)).toEqual(['project.test:80']);
  });

  test('one kept for the project serves without a question', async () => {
    const { say, answer, records } = await play({ ask: { stored: [{ rule: 'a.test:80', verdict: 'allow' }, { rule: 'b.test:80', verdict: 'deny' }] } });
    say(conn(1, 'a.test'), conn(2, 'b.test'), who(2));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'allow' });
    expect(await answer('conn', 2)).toMatchObject({ verdict: 'deny', rule: 'ask.answer' });
    expect(records('ask')).toEqual([]);
  });

  test('a no cuts what was open to the place', async () => {
    const { gate, dir, say, answer, seen } = await play({});
    gate.asking.preset('a.test:80', 'allow', 'net');
    say(conn(1, 'a.test'));
    await answer('conn', 1);
    gate.asking.revoke('a.test:80');
    say(conn(2, 'a.test'), who(2));
    await vi.waitFor(() => expect(gate.asking.open()).toHaveLength(1));

    expect(await askSandbox(dir, { do: 'answer', id: 'q1', rule: 'a.test:80', verdict: 'deny', scope: 'once', by: 'me' })).toMatchObject({ ok: true, cut: 1 });
    expect(await answer('conn', 2)).toMatchObject({ verdict: 'deny' });
    expect(seen).toContainEqual({ t: 'cut', id: 1 });
  });

  test('the agent hears no id of a question that nobody answered: its user could be led to say yes to another', async () => {
    const { gate, say, answer, records } = await play({ ask: { timeoutMs: 20 } });
    say(conn(1, 'a.test'), who(1));

    const told = await answer('conn', 1);
    expect(told).toMatchObject({ verdict: 'deny', rule: 'ask.timeout', how: 'Have your user run: agentfw approvals, which says what is asked and how to answer, then try again.' });
    expect(gate.asking.open()[0]?.id).toBe('q1');
    expect(JSON.stringify(told)).not.toContain('q1');
    await vi.waitFor(() => expect(records('conn')).toMatchObject([{ verdict: 'deny', approval: 'q1' }]));
  });

  test('where only the approver can answer, none from it is a no', async () => {
    const approver = { argv: ['x'], run: () => Promise.reject(new Error('it failed')) };
    const { say, answer } = await play({ ask: { approver, person: false } });
    say(conn(1, 'a.test'), who(1));

    expect(await answer('conn', 1)).toMatchObject({ verdict: 'deny', message: 'a.test:80: the approver gave no answer' });
  });

  test.each([['a.test:*', 'names one port'], ['*.test', 'names one host'], ['10.0.0.0/8', 'names one host']])('no rule of a run is as wide as %s', async (rule, why) => {
    const { gate, dir } = await play({});

    expect(await askSandbox(dir, { do: 'net', op: 'allow', rule })).toMatchObject({ ok: false, why: expect.stringContaining(why) as string });
    expect(gate.asking.rules()).toEqual([]);
  });

  test('what a run denies is on record with what it cut', async () => {
    const { dir, say, answer, records } = await play({ allow: [A] });
    say(conn(1, 'a.test'));
    await answer('conn', 1);

    expect(await askSandbox(dir, { do: 'net', op: 'deny', rule: 'a.test' })).toMatchObject({ ok: true, cut: 1 });
    expect(records('net')).toMatchObject([{ object: { op: 'deny', rules: ['a.test'] }, detail: { cut: 1 } }]);
  });
});
