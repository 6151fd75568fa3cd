import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { Source } from '../../src/policy/compile.js';
import type { CompiledPolicy } from '../../src/policy/compiled.js';
import { GRANTS, type Layer, type PolicyDocument, type RuleList, type RuleText, type SettingText } from '../../src/policy/document.js';
import { judgeChange, judgeEnv, judgeHost, judgePath, judgeSocket } from '../../src/policy/index.js';
import { compiled, HOME, PROJECT } from './make.js';

const ACCESS = ['deny', 'ask', 'allow'];
const EMPTY: PolicyDocument = { version: 1, description: null, extends: [], agent: null, moves: {}, sets: [], socketNames: { docker: ['/run/docker.sock'], 'ssh-agent': ['$SSH_AUTH_SOCK'] }, rules: [], holes: [], settings: [], variables: [] };

const pathText = fc.constantFrom('~/a', '~/a/**', './a', './b/*', './b/**', './**', '**/x', '**/*.k', '~/**', '/etc', './a/x', '**/x/**', './B');
const hostText = fc.constantFrom('a.org', '*.a.org', '*', '10.0.0.0/8', '1.2.3.4', 'x.a.org:8443', 'b.org');
const nameText = fc.constantFrom('A_TOKEN', 'A_*', 'PATH', '*', 'LD_*', 'B');
const socketText = fc.constantFrom('docker', 'ssh-agent', '/run/x.sock');
const subjectsOf: Record<string, fc.Arbitrary<string>> = { files: pathText, changes: pathText, network: hostText, environment: nameText, sockets: socketText };
const lists: RuleList[] = [
  'files.hide', 'files.readonly', 'files.share', 'files.state', 'changes.commit', 'changes.discard', 'changes.escalate', 'changes.accept', 'changes.control', 'changes.later',
  'network.allow', 'network.ask', 'network.deny', 'sockets.allow', 'sockets.deny', 'environment.keep', 'environment.strip', 'environment.secret', 'environment.loader',
];
const denies = lists.filter((list) => !GRANTS.has(list) && list !== 'network.ask');

const ruleOf = (from: readonly RuleList[]): fc.Arbitrary<RuleText> => fc.constantFrom(...from).chain((list) => {
  const subject = subjectsOf[list.split('.')[0] ?? ''] ?? pathText;
  return fc.record({
    list: fc.constant(list), id: fc.constantFrom('r1', 'r2', 'r3', 'net.private'), subjects: fc.array(subject, { minLength: 1, maxLength: 2 }), except: fc.array(subject, { maxLength: 1 }),
    note: fc.constant(null), ports: fc.constantFrom(null, 'any' as const), private: list === 'network.allow' ? fc.boolean() : fc.constant(false), silent: fc.constant(false),
    keys: fc.constant([]), at: fc.record({ line: fc.nat(50), col: fc.nat(9) }),
  });
});
const setting: fc.Arbitrary<SettingText> = fc.oneof(
  fc.record({ key: fc.constant('network.default' as const), value: fc.constantFrom('allow', 'ask', 'deny'), at: fc.constant({ line: 1, col: 1 }) }),
  fc.record({ key: fc.constant('changes.default' as const), value: fc.constantFrom('commit', 'escalate', 'discard'), at: fc.constant({ line: 2, col: 1 }) }),
  fc.record({ key: fc.constant('environment.secrets' as const), value: fc.constantFrom('keep', 'drop'), at: fc.constant({ line: 3, col: 1 }) }),
);
const documentFrom = (from: readonly RuleList[]): fc.Arbitrary<PolicyDocument> => fc.record({ rules: fc.array(ruleOf(from), { maxLength: 5 }), settings: fc.uniqueArray(setting, { maxLength: 3, selector: ({ key }) => key }) }).map((parts) => ({ ...EMPTY, ...parts }));
const source = (layer: Layer, file: string, document: PolicyDocument, trusted = true): Source => ({ layer, file, digest: file, trusted, root: PROJECT, document });
const sources = fc.tuple(documentFrom(lists), documentFrom(lists), documentFrom(lists), documentFrom(lists)).map(([base, managed, user, cli]) => [
  source('built-in', 'base', base), source('managed', 'managed', managed), source('user', 'user', user), source('command line', 'cli', cli),
]);

const paths = ['~/a', '~/a/x', './a', './a/x', './b/c', './b/c/d', './c.k', '/etc/x', './x/y', '~', './b/C'].map((text) => fromText(text.replace('~', HOME).replace(/^\./, PROJECT)));
const hosts = [['a.org', 443], ['x.a.org', 443], ['x.a.org', 8443], ['b.org', 22], ['10.1.1.1', 443], ['1.2.3.4', 443], ['z.org', 80]] as const;

/** What lands: a change that waits or goes is not allowed either way. */
function landing(verdict: string): number {
  return verdict === 'commit' ? -1 : 0;
}

/** Every verdict on a fixed set of subjects, loose to strict as rising numbers. */
function verdictsOf(policy: CompiledPolicy): number[] {
  const classes = ['normal', 'later', 'control'] as const;
  return [
    ...paths.flatMap((path) => (['read', 'write'] as const).map((op) => -ACCESS.indexOf(judgePath(policy, path, op).verdict))),
    ...paths.flatMap((path) => classes.map((name) => landing(judgeChange(policy, { path, from: null, kind: 'modify', type: 'file', class: name, conflict: null }).verdict))),
    ...hosts.map(([host, port]) => -ACCESS.indexOf(judgeHost(policy, { host, port }).verdict)),
    ...hosts.map(([host, port]) => -ACCESS.indexOf(judgeHost(policy, { host, port, addresses: ['10.2.2.2'] }).verdict)),
    ...['A_TOKEN', 'A_B', 'PATH', 'LD_PRELOAD', 'B'].map((name) => -ACCESS.indexOf(judgeEnv(policy, name, 'v').verdict)),
    ...['docker', 'ssh-agent', '/run/x.sock'].map((name) => -ACCESS.indexOf(judgeSocket(policy, name).verdict)),
  ];
}

/** No verdict is looser than before. */
function expectNoLooser(before: CompiledPolicy, after: CompiledPolicy): void {
  const [was, is] = [verdictsOf(before), verdictsOf(after)];
  expect(is.every((verdict, i) => verdict >= (was[i] ?? 0))).toBe(true);
}

describe('one precedence rule', () => {
  test('PO08 the order of rules and files never changes a verdict', () => {
    fc.assert(fc.property(sources, fc.integer(), (all, seed) => {
      const shuffle = <T>(items: readonly T[]): T[] => [...items].map((item, i) => [Math.imul(seed ^ (i + 1), 0x9e3779b1) >>> 0, item] as const).sort(([a], [b]) => a - b).map(([, item]) => item);
      const shuffled = shuffle(all).map((one) => ({ ...one, document: { ...one.document, rules: shuffle(one.document.rules), settings: shuffle(one.document.settings) } }));

      expect(verdictsOf(compiled(shuffled))).toEqual(verdictsOf(compiled(all)));
    }), { numRuns: 300 });
  });

  test('PO08 adding a deny never allows more', () => {
    fc.assert(fc.property(sources, fc.nat(3), ruleOf(denies), (all, where, rule) => {
      const more = all.map((one, i) => (i === where ? { ...one, document: { ...one.document, rules: [...one.document.rules, rule] } } : one));

      expectNoLooser(compiled(all), compiled(more));
    }), { numRuns: 500 });
  });

  test('PO01 adding an untrusted project file never allows more', () => {
    fc.assert(fc.property(sources, documentFrom(lists), fc.array(fc.record({ id: fc.constantFrom('r1', 'r2', 'net.private'), subjects: fc.constantFrom(['~/**'], ['./**'], ['a.org']), at: fc.constant({ line: 9, col: 1 }) })), (all, document, holes) => {
      expectNoLooser(compiled(all), compiled([...all, source('project', '.agentfw.yaml', { ...document, holes, variables: [{ name: 'A_B', value: 'x', at: { line: 1, col: 1 } }] }, false)]));
    }), { numRuns: 500 });
  });

  test('nothing below the managed file loosens what it says', () => {
    fc.assert(fc.property(documentFrom(denies), documentFrom(lists), documentFrom(lists), (managed, user, cli) => {
      const base = source('managed', 'managed', managed);
      const below = compiled([base, source('user', 'user', { ...user, settings: [] }), source('command line', 'cli', cli)]);
      const strict = managed.rules.filter((rule) => rule.list === 'files.hide' && rule.except.length === 0 && rule.subjects.every((text) => !text.includes('*')));

      for (const rule of strict) {
        for (const text of rule.subjects) expect(judgePath(below, fromText(text.replace('~', HOME).replace(/^\./, PROJECT)), 'read').verdict).toBe('deny');
      }
      for (const one of managed.settings) expect(below.settings.find(({ key }) => key === one.key)).toBeDefined();
      if (managed.settings.some(({ key, value }) => key === 'network.default' && value === 'deny')) {
        for (const [host, port] of hosts) expect(judgeHost(below, { host, port }).verdict).toBe('deny');
      }
    }), { numRuns: 300 });
  });
});
