import { describe, expect, test } from 'vitest';
import { secondsOf } from '../helpers/effort.js';
import { mergeState } from '../../src/policy/index.js';

const json = (value: unknown): string => JSON.stringify(value, null, 2);
const keys = ['mcpServers', 'projects.*.mcpServers'];

describe('an agent state file is merged by key', () => {
  test('an untouched host takes the agent bytes as they are', () => {
    const agent = '{"a":2}\n';

    expect(mergeState({ base: '{"a":1}', host: '{"a":1}', agent, keys })).toEqual({ text: agent, escalated: [], contested: [] });
  });

  test('two sandboxes that wrote different keys both keep theirs', () => {
    const merged = mergeState({ base: json({ a: 1, b: 1 }), host: json({ a: 1, b: 2, c: 3 }), agent: json({ a: 2, b: 1 }), keys });

    expect(JSON.parse(merged?.text ?? '')).toEqual({ a: 2, b: 2, c: 3 });
    expect(merged?.contested).toEqual([]);
  });

  test('a key that both changed is contested, and the agent stands', () => {
    const merged = mergeState({ base: json({ n: 1 }), host: json({ n: 2 }), agent: json({ n: 3 }), keys });

    expect(JSON.parse(merged?.text ?? '')).toEqual({ n: 3 });
    expect(merged?.contested).toEqual(['n']);
  });

  test('keys that start programs escalate, at any depth, also in new objects', () => {
    const agent = json({ mcpServers: { x: { command: 'evil' } }, projects: { '/p': { mcpServers: { y: {} }, history: [1] } } });
    const merged = mergeState({ base: '{}', host: '{}', agent, keys });

    expect(JSON.parse(merged?.text ?? '')).toEqual({ projects: { '/p': { history: [1] } } });
    expect(merged?.escalated).toEqual(['mcpServers', 'projects./p.mcpServers']);
  });

  test('where the host has none, an empty one starts nothing; emptying the host’s is a change', () => {
    const fresh = json({ mcpServers: {}, projects: { '/p': { mcpServers: {}, history: [1] } } });
    expect(mergeState({ base: '{}', host: '{}', agent: fresh, keys })).toEqual({ text: fresh, escalated: [], contested: [] });

    const host = json({ mcpServers: { x: { command: 'kept' } } });
    expect(mergeState({ base: host, host, agent: json({ mcpServers: {} }), keys })?.escalated).toEqual(['mcpServers']);
    for (const value of ['', null, false, 0, [[]], { a: {} }]) expect(mergeState({ base: '{}', host: '{}', agent: json({ mcpServers: value }), keys })?.escalated, json(value)).toEqual(['mcpServers']);
  });

  test('a key that starts programs is not lost when the agent replaces its parent', () => {
    const host = json({ projects: { '/p': { mcpServers: { y: {} } } } });
    const merged = mergeState({ base: host, host, agent: json({ projects: { '/p': { a: 1 } } }), keys });

    expect(JSON.parse(merged?.text ?? '')).toEqual({ projects: { '/p': { mcpServers: { y: {} }, a: 1 } } });
    expect(merged?.escalated).toEqual(['projects./p.mcpServers']);
  });

  test('a new file is taken, also in place of an empty one', () => {
    for (const host of [null, '', '\n']) expect(mergeState({ base: host, host, agent: '{"b":1}', keys })).toEqual({ text: '{"b":1}', escalated: [], contested: [] });
  });

  test('comments are passed over, on either side', () => {
    const host = '// Managed: do not edit.\n{"a": "http://x//y", /* one */ "b": 1}\n';
    const agent = '// Managed: do not edit.\n{"a": "/* no comment */", "b": 1} // end';

    expect(mergeState({ base: host, host, agent, keys })).toEqual({ text: agent, escalated: [], contested: [] });
    expect(mergeState({ base: host, host, agent: `// x\n{"a": "http://x//y", "b": 1, "mcpServers": {"x": 1}}`, keys })).toMatchObject({ escalated: ['mcpServers'], text: host });
    for (const bad of ['/* {"b": 2}', '{"b": 2} /', '/ {"b": 2}', '{"b": 2 /* }', '# {"b": 2}\n{}']) expect([bad, mergeState({ base: host, host, agent: bad, keys })]).toEqual([bad, null]);
  });

  test('comments that are never closed take no time', () => {
    const seconds = secondsOf(() => {
      for (const unit of ['/* ', '"/*', '/', '// ']) expect(mergeState({ base: '{}', host: '{}', agent: `{${unit.repeat(100_000)}`, keys })).toBeNull();
    });
    expect(seconds).toBeLessThan(3);
  });

  test('`__proto__` is given on by programs that copy key by key: it waits, at any depth', () => {
    const merged = mergeState({ base: '{}', host: '{}', agent: '{"__proto__":{"mcpServers":{"x":1}},"projects":{"/p":{"__proto__":{"a":1},"b":1}}}', keys });

    expect(merged?.text).toBe('{"projects":{"/p":{"b":1}}}');
    expect(merged?.escalated).toEqual(['__proto__', 'projects./p.__proto__']);
  });

  test('what is nested beyond the end of the stack can’t be merged, and is no error', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;

    expect(mergeState({ base: null, host: '{}', agent: `{"deep":${deep},"mcpServers":{"x":1}}`, keys })).toBeNull();
    expect(mergeState({ base: `{"deep":${deep}}`, host: `{"deep":${deep}}`, agent: `{"deep":${deep}}`, keys })).toBeNull();
  });

  test.each([['agent', '{}', '[1]'], ['host', 'x', '{}']])('a %s that is no JSON object can’t be merged', (_, host, agent) => {
    expect(mergeState({ base: null, host, agent, keys })).toBeNull();
  });
});
