import { expect, test } from 'vitest';
import type { ConnQuestion } from '../../src/gate/channel.js';
import { refuse, type Allowed } from '../../src/gate/decide.js';
import { gateHost } from '../../src/gate/names.js';
import { makeRecent, type Recent } from '../../src/gate/recent.js';

const question = (more: Partial<ConnQuestion> = {}): ConnQuestion => ({ t: 'conn', id: 1, name: 'a.test', ip: '198.19.0.1', port: 443, stray: false, forward: false, begun: false, ...more });
const allowed = (approval: string | null = null): Allowed => ({ verdict: 'allow', host: gateHost('a.test'), addresses: ['93.184.216.34'], port: 443, rule: 'r', origin: null, approval, flags: {}, via: null });
const kept = (decision: Parameters<Recent['keep']>[1] = allowed(), now = (): number => 0): Recent => {
  const recent = makeRecent(now);
  recent.keep(question(), decision);
  return recent;
};

test('what was allowed moments ago is allowed again at the same place alone', () => {
  const recent = kept();

  expect(recent.get(question({ id: 2 }))?.decision.rule).toBe('r');
  for (const other of [{ port: 22 }, { name: 'b.test' }, { name: null }, { ip: '198.19.0.2' }, { stray: true }]) expect(recent.get(question(other)), JSON.stringify(other)).toBe(null);
});

test('for two seconds', () => {
  let now = 0;
  const recent = kept(allowed(), () => now);
  now = 2000;
  expect(recent.get(question())).not.toBe(null);
  now = 2001;
  expect(recent.get(question())).toBe(null);
});

test('a person’s answer and a refusal are never repeated by themselves', () => {
  expect(kept(allowed('q1')).get(question())).toBe(null);
  expect(kept(refuse('net.private', 'no')).get(question())).toBe(null);
});
