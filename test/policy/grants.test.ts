import { describe, expect, test } from 'vitest';
import { hostGrants, isPrivatelyAllowed, judgeHost, settingOf } from '../../src/policy/index.js';
import { policyOf, problemsOf, type Layers } from './make.js';

async function grants(layers: Layers, host: string, port: number): Promise<object> {
  const policy = await policyOf(layers);
  const judgement = judgeHost(policy, { host, port });
  return { verdict: judgement.verdict, ...hostGrants(policy, judgement) };
}

describe('what a rule grants beyond the dial', () => {
  const user = `version: 1
network:
  allow:
    - {host: get.example, methods: [GET, HEAD]}
    - {host: both.example, methods: [GET], ports: [8080]}
    - {host: both.example, ports: [8080], udp: true}
    - {host: raw.example, ports: [443], raw: true}
    - {host: quiet.example, hiddenName: true}
`;

  test.each([
    ['methods mean port 80', 'get.example', 80, { verdict: 'allow', methods: ['GET', 'HEAD'] }],
    ['and not 443', 'get.example', 443, { verdict: 'ask' }],
    ['a rule without methods lifts those of another', 'both.example', 8080, { verdict: 'allow', udp: true }],
    ['raw', 'raw.example', 443, { verdict: 'allow', raw: true }],
    ['hiddenName', 'quiet.example', 443, { verdict: 'allow', hiddenName: true }],
    ['nothing for what no rule names', 'other.example', 443, { verdict: 'ask' }],
  ])('%s', async (_, host, port, expected) => {
    expect(await grants({ user }, host, port)).toEqual(expected);
  });

  test('below a managed floor only its own rules grant', async () => {
    const managed = 'version: 1\nnetwork: {default: deny, allow: [git.corp.example]}\n';
    const loose = 'version: 1\nnetwork: {allow: [{host: git.corp.example, raw: true, private: true}]}\n';
    const policy = await policyOf({ managed, user: loose });
    const judgement = judgeHost(policy, { host: 'git.corp.example', port: 443 });

    expect(judgement.verdict).toBe('allow');
    expect(hostGrants(policy, judgement)).toEqual({});
    expect(isPrivatelyAllowed(policy, judgement)).toBe(false);
  });

  test.each([
    ['deny: [{host: a.example, udp: true}]', '`udp` belongs to `allow` rules'],
    ['allow: [{host: a.example, methods: [GET], ports: [443]}]', 'plain HTTP only'],
    ['allow: [{host: a.example, methods: [GET], raw: true}]', '`raw` checks nothing'],
    ['allow: [{host: a.example, methods: [get]}]', 'methods'],
  ])('%s is an error', async (text, message) => {
    expect(await problemsOf(`version: 1\nnetwork: {${text}}\n`)).toContain(message);
  });
});

describe('settings of questions and of the audit', () => {
  test('they are read with units', async () => {
    const policy = await policyOf({ user: 'version: 1\nask: {timeout: 2m, approver: [/usr/bin/approve, --quick]}\naudit: {full: drop, exec: true}\n' });

    expect(['ask.timeout', 'ask.approver', 'audit.full', 'audit.exec'].map((key) => settingOf(policy, key as 'ask.timeout')?.value)).toEqual([120, '["/usr/bin/approve","--quick"]', 'drop', 'on']);
  });

  test('a project file names no approver until it is trusted; a managed one holds', async () => {
    const project = 'version: 1\nask: {approver: [/evil], timeout: 5s}\n';
    const managed = 'version: 1\nask: {approver: [/corp]}\n';
    const strange = await policyOf({ project });
    const above = await policyOf({ managed, user: 'version: 1\nask: {approver: [/mine]}\n', project });

    expect(settingOf(strange, 'ask.approver')).toBeNull();
    expect(settingOf(strange, 'ask.timeout')?.value).toBe(5);
    expect(strange.loosened.map(({ what }) => what)).toEqual(['ask.approver: ["/evil"]']);
    expect(settingOf(above, 'ask.approver')?.value).toBe('["/corp"]');
    expect(above.loosened).toHaveLength(2);
  });

  test('a connection is held no longer than a timer can wait', async () => {
    expect(await problemsOf('version: 1\nask: {timeout: 25d}\n')).toContain('`25d` is longer than a connection is held');
    expect(settingOf(await policyOf({ user: 'version: 1\nask: {timeout: 24d}\n' }), 'ask.timeout')?.value).toBe(2_073_600);
  });

  test('an approver is named by an absolute path', async () => {
    expect(await problemsOf('version: 1\nask: {approver: [approve]}\n')).toContain('neither an absolute path nor below');
  });
});
