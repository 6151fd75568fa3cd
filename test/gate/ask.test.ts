import { describe, expect, test, vi } from 'vitest';
import { makeAsking, MOST_MISSED } from '../../src/gate/ask.js';
import { askApprover } from '../../src/gate/approver.js';
import { decideUdp, lookAt, vet } from '../../src/gate/decide.js';
import { exactRule, gateHost } from '../../src/gate/names.js';
import { about, ASK, conn, options } from './asked.js';

describe('asking', () => {
  test('a thousand clients of one destination are one question, answered together', async () => {
    const opened = vi.fn();
    const asking = makeAsking({ ...ASK, holdMs: 5000, onOpened: opened });
    const waiting = Array.from({ length: 1000 }, () => asking.ask(about('a.test')));

    expect(asking.open()).toMatchObject([{ id: 'q1', rule: 'a.test:443', waiting: 1000 }]);
    expect(asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' })).toBe('ok');
    expect(new Set((await Promise.all(waiting)).map(({ verdict }) => verdict))).toEqual(new Set(['allow']));
    expect(opened).toHaveBeenCalledOnce();
    expect(asking.answered('a.test:443')).toBeNull();
    asking.close();
  });

  test('PO13 nobody answers: no; the question stays and its answer serves the retry once', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 5 });

    expect(await asking.ask(about('a.test'))).toMatchObject({ verdict: 'deny', rule: 'ask.timeout', approval: 'q1' });
    expect(asking.open()).toMatchObject([{ waiting: 0, asked: 1 }]);
    asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    expect(await asking.ask(about('a.test'))).toMatchObject({ verdict: 'allow', approval: 'q1' });
    expect(asking.answered('a.test:443')).toBeNull();
    asking.close();
  });

  test('an answer for once is spent by the connection that it lets through, not by datagrams that need a rule', async () => {
    const given = options({ names: { 'a.test': ['93.184.216.34'] }, ask: { holdMs: 5 } });
    await given.asking.ask(about('a.test'));
    given.asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    const connects = async (): Promise<string> => {
      const look = lookAt(given, conn('a.test'));
      return look.kind === 'dial' ? (await vet(given, look, 443)).verdict : look.kind;
    };

    expect(await decideUdp(given, { ...conn('a.test'), t: 'udp' })).toMatchObject({ rule: 'net.udp' });
    expect(await connects()).toBe('allow');
    expect(await connects()).toBe('ask');
    given.asking.close();
  });

  test('a client that gives up leaves its question open', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 5000 });
    const gone = new AbortController();
    const answer = asking.ask(about('a.test'), gone.signal);
    gone.abort();

    expect(await answer).toMatchObject({ verdict: 'deny', rule: 'ask.gone' });
    expect(asking.open()).toMatchObject([{ waiting: 0 }]);
    asking.close();
  });

  test('a client that has gone already is not held', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 100_000 });

    expect(await asking.ask(about('a.test'), AbortSignal.abort())).toMatchObject({ rule: 'ask.gone' });
    asking.close();
  });

  test('PO10 so many questions are open at once, and a minute later more may be opened', async () => {
    let now = 0;
    let ids = 0;
    const asking = makeAsking({ ...ASK, elapsed: () => now, newId: () => `q${(ids += 1)}`, holdMs: 100_000, maxOpen: 3, perMinute: 2 });
    const tried = async (host: string): Promise<string> => {
      const gone = new AbortController();
      const outcome = asking.ask(about(host), gone.signal);
      gone.abort();
      const found = await outcome;
      return found.verdict === 'deny' ? found.rule : found.verdict;
    };

    expect([await tried('a.test'), await tried('b.test'), await tried('c.test'), await tried('a.test')]).toEqual(['ask.gone', 'ask.gone', 'ask.flood', 'ask.gone']);
    now = 60_001;
    expect([await tried('c.test'), await tried('d.test'), await tried('c.test')]).toEqual(['ask.gone', 'ask.flood', 'ask.gone']);
    asking.close();
  });

  test('what would have been asked is counted for a thousand destinations, not for any number', async () => {
    const asking = makeAsking({ ...ASK, enabled: false });
    for (let i = 0; i < MOST_MISSED + 5; i += 1) await asking.ask(about(`n${i}.test`));
    await asking.ask(about('n0.test'));

    expect(asking.wouldAsk()).toHaveLength(MOST_MISSED);
    expect(asking.wouldAsk()[0]).toEqual({ rule: 'n0.test:443', count: 2 });
    asking.close();
  });

  test('PO11 an answer is bound to its id and its exact rule', () => {
    const asking = makeAsking(ASK);
    void asking.ask(about('a.test'));
    const answer = { id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'session', by: 't' } as const;

    expect([asking.answer({ ...answer, rule: '*.test:443' }), asking.answer({ ...answer, id: 'q2' }), asking.answer(answer), asking.answer(answer)]).toEqual(['changed', 'unknown', 'ok', 'unknown']);
    expect(asking.rules()).toEqual([{ rule: 'a.test:443', verdict: 'allow', by: 't' }]);
    asking.close();
  });

  test('PO10 a flood of destinations is refused, and listed', async () => {
    let n = 0;
    const asking = makeAsking({ ...ASK, newId: () => `q${(n += 1)}`, perMinute: 5, holdMs: 5000 });
    const answers = Array.from({ length: 1000 }, (_, i) => asking.ask(about(`h${i}.test`)));
    asking.close();

    const rules = (await Promise.all(answers)).map((one) => (one.verdict === 'deny' ? one.rule : ''));
    expect(rules.filter((rule) => rule === 'ask.flood')).toHaveLength(995);
    expect(asking.wouldAsk()).toHaveLength(995);
  });

  test('RS05 a clock that jumps while a question is open neither answers it nor makes a yes last longer', async () => {
    let [clock, elapsed] = [1e12, 0];
    const asking = makeAsking({ ...ASK, now: () => clock, elapsed: () => elapsed, perMinute: 1 });
    const retried = (): string => asking.answered('a.test:443')?.verdict ?? 'asks';
    const held = asking.ask(about('a.test'));
    clock += 1e9;
    expect(await asking.ask(about('b.test'))).toMatchObject({ verdict: 'deny', rule: 'ask.flood' });
    expect(await held).toMatchObject({ verdict: 'deny', rule: 'ask.timeout' });

    asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    clock -= 2e9;
    elapsed += 5 * 60_000 + 1;
    expect(retried()).toBe('asks');
    asking.close();
  });

  test('a question goes when its time is over, but not while somebody waits for it', async () => {
    vi.useFakeTimers();
    try {
      let ids = 0;
      const asking = makeAsking({ ...ASK, elapsed: () => Date.now(), newId: () => `q${(ids += 1)}`, holdMs: 600_000, keepMs: 10_000 });
      const gone = new AbortController();
      void asking.ask(about('left.test'), gone.signal);
      const held = asking.ask(about('a.test'));
      gone.abort();
      await vi.advanceTimersByTimeAsync(31_000);

      expect(asking.open().map(({ host }) => host)).toEqual(['a.test']);
      expect(asking.answer({ id: 'q2', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' })).toBe('ok');
      expect(await held).toMatchObject({ verdict: 'allow' });
      asking.close();
    } finally {
      vi.useRealTimers();
    }
  });

  test('PO07 an answer is about one host and one port, whatever separators stand in a name', () => {
    const names = ['a.test', 'a.test:443', 'a.test:443,b.test', 'a.test 443', 'a.test;b.test', 'a.test|b.test', 'a.test/b.test', '*.test', 'a.test:*', '[a.test]', 'a.test\n', 'a__test', 'a.test:44', 'b.a.test', 'a.testa', '443'];
    const hosts = names.map(gateHost);
    expect(names.filter((_, at) => hosts[at]?.kind === 'name')).toEqual(['a.test', 'a__test', 'b.a.test', 'a.testa']);

    const rules = hosts.filter(({ kind }) => kind !== 'bad').flatMap((host) => [4, 44, 443].map((port) => exactRule(host, port)));
    expect(new Set(rules).size).toBe(rules.length);
    for (const given of rules) {
      const asking = makeAsking(ASK);
      asking.preset(given, 'allow', 'me');
      expect(rules.filter((rule) => asking.answered(rule) !== null)).toEqual([given]);
    }
  });

  test.each([[undefined, 'the answer was no'], ['the approver gave no answer', 'the approver gave no answer']])('a no says whose it is (%s)', async (why, told) => {
    const asking = makeAsking(ASK);
    const held = asking.ask(about('a.test'));
    const [question] = asking.open();
    asking.answer({ id: question!.id, rule: 'a.test:443', verdict: 'deny', scope: 'once', by: 't', ...(why === undefined ? {} : { why }) });

    expect(await held).toMatchObject({ verdict: 'deny', rule: 'ask.answer', why: told });
    asking.close();
  });

  test('`--no-ask` denies at once and lists ready-made rules, most wanted first', async () => {
    const asking = makeAsking({ ...ASK, enabled: false });
    for (const host of ['a.test', 'b.test', 'b.test']) expect(await asking.ask(about(host))).toMatchObject({ verdict: 'deny', rule: 'ask.off' });

    expect(asking.wouldAsk()).toEqual([{ rule: 'b.test:443', count: 2 }, { rule: 'a.test:443', count: 1 }]);
  });

  test.each([['nonsense', null], ['{"verdict":"deny","verdict":"allow"}', null], ['{"verdict":"deny","\\u0076erdict":"allow"}', null], ['{"verdict":"deny"}{"verdict":"allow"}', null], ['{"verdict":"allow","note":"say \\"yes\\""}', 'allow'], ['{"verdict":"allow","scope":"project"}', null], ['{"verdict":"allow"}', 'allow'], ['{"verdict":"deny","scope":"session"}', 'deny']])('an approver that prints %s', async (output, verdict) => {
    const answer = await askApprover(() => Promise.resolve(output), ['x'], { ...about('a.test'), id: 'q', opened: 0, expires: 0, waiting: 1, asked: 1 }, { timeoutMs: 1000, signal: new AbortController().signal });

    expect(answer?.verdict ?? null).toBe(verdict);
  });
});
