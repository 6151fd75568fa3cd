/** Judging by directory gives what judging path by path gives, for every name that no rule can be about. */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import type { CompiledPolicy } from '../../src/policy/compiled.js';
import type { PolicyDocument, RuleList, RuleText } from '../../src/policy/document.js';
import { judgeChange, type ChangeFacts } from '../../src/policy/index.js';
import { judgesAlike, mergedStateRule, ruledNames } from '../../src/policy/judge.js';
import { parsePattern } from '../../src/policy/pattern.js';
import { ordinaryIn } from '../helpers/ordinary.js';
import { at, compiled, HOME, policyOf, PROJECT } from './make.js';

const EMPTY: PolicyDocument = { version: 1, description: null, extends: [], agent: null, moves: {}, sets: [], socketNames: {}, rules: [], holes: [], settings: [], variables: [] };
const LISTS: readonly RuleList[] = ['changes.commit', 'changes.discard', 'changes.escalate', 'changes.accept', 'changes.control', 'changes.later', 'files.hide', 'files.readonly', 'files.state'];
const NAMES = ['a', 'b', 'B', 'a.k', 'x.tar.gz', '.env', 'src', 'ab', 'Makefile', '.git', 'hooks', 'é', 'ﬁ', 'fi', '\u212a', 'a b', '{a}', '-', 'node_modules', 'f1.js', '.agentfw.d'];

const glob = fc.array(fc.constantFrom('*', '?', '[ab]', '[!a]', 'a', 'b', '.k', 'K', 'src', '.', 'é', '{a,b}', '\\*'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''));
const part = fc.oneof(fc.constantFrom(...NAMES), glob, fc.constant('**'));
const pattern = fc.tuple(fc.constantFrom('~', '.', '', '**'), fc.array(part, { maxLength: 3 }), fc.boolean())
  .map(([root, parts, tree]) => [root, ...parts, ...(tree ? ['**'] : [])].join('/'))
  .filter((text) => parsePattern(text).ok);
const rule: fc.Arbitrary<RuleText> = fc.record({
  list: fc.constantFrom(...LISTS), id: fc.constantFrom('r1', 'r2', 'r3', 'r4'), subjects: fc.array(pattern, { minLength: 1, maxLength: 3 }), except: fc.array(pattern, { maxLength: 2 }),
  note: fc.constant(null), ports: fc.constant(null), private: fc.constant(false), silent: fc.constant(false), keys: fc.constantFrom([], ['k']), at: fc.record({ line: fc.nat(50), col: fc.nat(9) }),
});
const policy = fc.tuple(fc.array(rule, { maxLength: 6 }), fc.array(rule, { maxLength: 2 })).map(([own, project]) => compiled([
  { layer: 'user', file: 'user', digest: 'user', trusted: true, root: PROJECT, document: { ...EMPTY, rules: own } },
  { layer: 'project', file: '.agentfw.yaml', digest: 'project', trusted: false, root: PROJECT, document: { ...EMPTY, rules: project } },
]));
const path = fc.tuple(fc.constantFrom(HOME, PROJECT, '/etc', ''), fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }))
  .map(([root, parts]) => fromText(`${root}/${parts.join('/')}`));
const facts = fc.record({
  kind: fc.constantFrom('add', 'modify', 'delete', 'metadata', 'type'), type: fc.constantFrom('file', 'dir', 'symlink'),
  class: fc.constantFrom('normal', 'normal', 'normal', 'later', 'control'), conflict: fc.constantFrom(null, null, null, 'changed'), from: fc.constant(null),
}) as fc.Arbitrary<Omit<ChangeFacts, 'path'>>;

function expectSame(by: CompiledPolicy, path: Bytes, rest: Omit<ChangeFacts, 'path'>): boolean {
  const dir = ordinaryIn(path, ruledNames(by));
  const change = { ...rest, path };
  expect(judgeChange(by, { ...change, ordinaryIn: dir })).toEqual(judgeChange(by, change));
  expect(mergedStateRule(by, { path, ordinaryIn: dir })).toBe(mergedStateRule(by, { path }));
  return dir !== undefined;
}

test('with rules of all kinds', () => {
  let ordinary = 0;
  fc.assert(fc.property(policy, fc.array(fc.tuple(path, facts), { minLength: 1, maxLength: 20 }), (by, changes) => {
    for (const [path, rest] of changes) ordinary += expectSame(by, path, rest) ? 1 : 0;
  }), { numRuns: 1500 });

  expect(ordinary).toBeGreaterThan(1000);
});

test('with the shipped rules', async () => {
  const shipped = await policyOf({ profile: 'claude-code' });
  const deep = ['.ssh', '.config', 'node_modules', '.git', '.cargo', '.claude', 'new', 'd1', '.cache', 'opencode', '.local', 'share', 'sub'];
  const paths = fc.tuple(fc.constantFrom(HOME, PROJECT, '/etc', '/home/other', '/root', ''), fc.array(fc.constantFrom(...deep), { maxLength: 3 }), fc.constantFrom('f1.js', 'README', 'x.pem', 'config', 'y.tar', '.env.local', 'settings.json', 'a'));
  fc.assert(fc.property(fc.array(fc.tuple(paths, facts), { minLength: 1, maxLength: 20 }), (changes) => {
    for (const [[root, dirs, name], rest] of changes) expectSame(shipped, fromText([root, ...dirs, name].join('/')), rest);
  }), { numRuns: 1000 });

  expect(expectSame(shipped, at('./src/f1.js'), { kind: 'add', type: 'file', class: 'normal', conflict: null, from: null })).toBe(true);
});

const AGENTS = readdirSync(new URL('../../profiles', import.meta.url)).filter((file) => !file.startsWith('base-')).map((file) => file.replace('.yaml', ''));

// Else a commit of 20,000 files takes twice as long, and a diff three times.
test.each(AGENTS)('the shipped rules of %s say nothing of what is deep in a project in the home', async (profile) => {
  const shipped = await policyOf({ profile });
  for (const dir of [`${HOME}/p/src`, `${HOME}/p/new/d1`, `${PROJECT}/src/deep`]) expect([dir, judgesAlike(shipped, fromText(dir))]).toEqual([dir, true]);
});
