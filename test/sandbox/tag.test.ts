import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { isTag, tagFor } from '../../src/sandbox/tag.js';

describe('tags', () => {
  test.each([
    ['/usr/bin/claude', /^claude-[a-z]{4}$/],
    ['./My Agent.py', /^my-agent-[a-z]{4}$/],
    ['\xff\xfe', /^agent-[a-z]{4}$/],
    ['', /^agent-[a-z]{4}$/],
    [`/${'x'.repeat(200)}`, /^x{40}-[a-z]{4}$/],
  ])('for %j', (agent, form) => {
    const tag = tagFor(agent as Bytes, (bytes) => Buffer.alloc(bytes, 7));

    expect(tag).toMatch(form);
    expect(isTag(tag)).toBe(true);
  });

  test.each(['diff', 'help', '', '.', '..', '-x', 'A', 'a/b', 'a b', 'x'.repeat(64)])('%j is none', (word) => {
    expect(isTag(word)).toBe(false);
  });
});
