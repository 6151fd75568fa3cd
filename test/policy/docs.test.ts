import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { runCases } from '../../src/policy/cases.js';
import { policyOf, PROJECT, type Layers } from './make.js';

interface Snippet {
  readonly kind: string;
  readonly text: string;
  readonly line: number;
}

const guide = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');

function snippets(): Snippet[] {
  return [...guide.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    kind: match[1] ?? '', text: match[2] ?? '', line: guide.slice(0, match.index).split('\n').length,
  }));
}

/** Cases and the policy they stand under. */
const pairs = snippets().flatMap((one, i, all) => (one.kind === 'yaml cases' ? [{ cases: one, policy: all[i - 1] }] : one.kind === 'yaml test' ? [{ cases: one, policy: undefined }] : []));

describe('docs/policy.md', () => {
  test('each snippet is a policy with cases, or cases alone', () => {
    const kinds = new Set(snippets().map(({ kind }) => kind));

    expect([...kinds].sort()).toEqual(['yaml cases', 'yaml managed', 'yaml policy', 'yaml project', 'yaml test']);
    expect(pairs.length).toBe(snippets().filter(({ kind }) => kind !== 'yaml cases').length);
  });

  test.each(pairs.map((pair) => [pair.cases.line, pair] as const))('the cases of line %i hold', async (_, { cases, policy }) => {
    const layers: Record<string, Layers> = { 'yaml policy': { user: policy?.text ?? '' }, 'yaml managed': { managed: policy?.text ?? '' }, 'yaml project': { project: policy?.text ?? '' } };
    const compiled = await policyOf({ ...(policy === undefined ? {} : layers[policy.kind]), sets: { registries: ['packages.example'] }, env: { SSH_AUTH_SOCK: '/tmp/agent.sock' } });
    const text = policy === undefined ? cases.text : `version: 1\ncases:\n${cases.text}`;

    const wrong = runCases(compiled, 'docs/policy.md', text, PROJECT).filter(({ ok }) => !ok);

    expect(wrong.map(({ line, expected, got }) => `${line + cases.line - 2}: ${got.subject}: ${expected}, got ${got.verdict} by ${got.rule}`)).toEqual([]);
  });
});
