/**
 * What real agents wrote in an empty home and a second time in the home they
 * left, in one scripted turn each (recorded.json: files and directories, names
 * of sessions replaced). Each file must pass through, land or be dropped by the
 * agent's own profile; and the same files must wait under `generic`.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { JudgedChange } from '../../src/changes/change.js';
import { judgeChanges, judgePath } from '../../src/policy/index.js';
import { at, policyOf } from './make.js';

const recorded = JSON.parse(readFileSync(new URL('recorded.json', import.meta.url), 'utf8')) as Record<string, { agent: string; files: string[] }>;

function added(path: string): JudgedChange {
  const type = path.endsWith('/') ? 'dir' : 'file';
  const bytes = at(`~/${path.replace(/\/$/, '')}`);
  return {
    path: bytes, kind: 'add', from: null, type, oldType: null, upper: null, base: null, at: { layer: 0, path: bytes }, opaque: false, implied: false,
    target: null, meta: [], content: true, class: 'control', reason: null, conflict: null, verdict: null, rule: null,
  };
}

describe('state of real agents', () => {
  test.each(Object.entries(recorded))('%s: not one needless escalation, at any exit status', async (profile, { files }) => {
    const policy = await policyOf({ profile });
    const changes = files.map(added).filter(({ path }) => judgePath(policy, path, 'write').lands !== 'host');

    const waiting = judgeChanges(policy, changes, { code: 1, keep: false }).changes.filter(({ verdict, type }) => verdict === 'escalate' && type === 'file');

    expect(waiting.map(({ path, rule }) => `${path} ${rule}`)).toEqual([]);
  });

  test.each(Object.entries(recorded))('%s: without its profile nothing of it lands', async (_, { files }) => {
    const judged = judgeChanges(await policyOf(), files.map(added), { code: 0, keep: false });

    expect(judged.counts.commit).toBe(0);
  });

  test.each([['claude-code', '~/.claude/settings.json'], ['claude-code', '~/.claude/hooks/x.sh'], ['claude-code', '~/.claude/plugins/installed.json'], ['codex', '~/.codex/config.toml'], ['codex', '~/.codex/skills/mine/SKILL.md'], ['gemini-cli', '~/.gemini/settings.json'], ['gemini-cli', '~/.gemini/extensions/x/y.json'], ['opencode', '~/.config/opencode/opencode.json'], ['opencode', '~/.config/opencode/plugin/x.js'], ['goose', '~/.config/goose/config.yaml']])('%s: %s waits for a person', async (profile, path) => {
    const policy = await policyOf({ profile, user: 'version: 1\nchanges: {commit: ["~/**"], default: commit}\n' });
    const change = added(path.slice(2));

    expect(judgePath(policy, change.path, 'write').lands).toBe('layer');
    expect(judgeChanges(policy, [change], { code: 0, keep: false }).counts.escalate).toBe(1);
  });

  test.each([
    ['claude-code', '.claude/shell-snapshots/snapshot-bash-1.sh'], ['claude-code', '.claude/session-env/1/hook-1.sh'], ['claude-code', '.cache/claude/staging/2.0.0/claude'],
    ['codex', '.codex/tmp/arg0/codex-arg01/apply_patch'], ['codex', '.codex/.tmp/plugins/plugins/x/.mcp.json'], ['codex', '.codex/shell_snapshots/1.sh'],
    ['codex', '.codex/app-server-control/app-server-control.sock'], ['codex', '.codex/packages/app-server-daemon/current'],
    ['gemini-cli', '.gemini/tmp/bin/rg'], ['gemini-cli', '.gemini/history/p/.git/config'],
    ['opencode', '.cache/opencode/node_modules/plugin/index.js'], ['opencode', '.local/share/opencode/snapshot/1/config'], ['opencode', '.local/share/opencode/bin/rg'],
    ['copilot-cli', '.cache/copilot/pkg/x/index.js'], ['cursor-agent', '.cache/cursor-compile-cache/v1/x'], ['cursor-agent', '.cursor/projects/p/mcp-approvals.json'], ['goose', '.local/share/goose/schedule.json'],
  ])('EX11 WR13 %s: %s, which the agent on the host would run, never reaches it by itself', async (profile, path) => {
    const policy = await policyOf({ profile });
    const change = added(path);

    expect(judgePath(policy, change.path, 'write').lands).toBe('layer');
    expect(judgeChanges(policy, [change], { code: 0, keep: false }).counts.commit).toBe(0);
  });
});
