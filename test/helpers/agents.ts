/**
 * Real agents from npm, each installed into a prefix of its own, keyed by version
 * and shared by the tests of one run (AGENTFW_KEEP_AGENTS=1: of the next as well). The registry is whatever
 * the user's npm configuration says. Packages that ship a native binary are
 * run by that binary, so Node's version doesn't matter.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { report } from './needs.js';

export interface Agent {
  /** the directory to share with a sandbox */
  readonly prefix: string;
  readonly program: string;
  readonly version: string;
}

interface Package {
  readonly need: 'claude' | 'codex' | 'gemini' | 'opencode' | 'newer-node';
  readonly name: string;
  readonly version: string;
  readonly program: string;
}

export function claude(): Agent | null {
  const version = process.env['AGENTFW_CLAUDE_VERSION'] ?? '2.1.331';
  return install({
    need: 'claude', name: '@anthropic-ai/claude-code', version,
    program: `node_modules/@anthropic-ai/claude-code-linux-${process.arch}/claude`,
  });
}

export function codex(): Agent | null {
  const triple = process.arch === 'arm64' ? 'aarch64-unknown-linux-musl' : 'x86_64-unknown-linux-musl';
  const version = process.env['AGENTFW_CODEX_VERSION'] ?? '0.169.0';
  return install({
    need: 'codex', name: '@openai/codex', version,
    program: `node_modules/@openai/codex-linux-${process.arch}/vendor/${triple}/bin/codex`,
  });
}

/** A script for Node 20 and later. */
export function gemini(): Agent | null {
  const version = process.env['AGENTFW_GEMINI_VERSION'] ?? '0.61.0';
  return install({ need: 'gemini', name: '@google/gemini-cli', version, program: 'node_modules/.bin/gemini' });
}

export function opencode(): Agent | null {
  const version = process.env['AGENTFW_OPENCODE_VERSION'] ?? '1.18.33';
  return install({ need: 'opencode', name: 'opencode-ai', version, program: `node_modules/opencode-linux-${process.arch}/bin/opencode` });
}

/** Node itself, of a later release line than the one that runs the tests. */
export function newerNode(): Agent | null {
  const version = process.env['AGENTFW_NEWER_NODE'] ?? '24.21.0';
  return install({ need: 'newer-node', name: `node-linux-${process.arch}`, version, program: `node_modules/node-linux-${process.arch}/bin/node` });
}

/** Where the agents of this run are installed; removed when all its tests have run, see agents-end.ts. */
export function agentsDir(): string {
  const run = process.env['AGENTFW_TEST_RUN'] ?? 'kept';
  return join(tmpdir(), `agentfw-test-agents-${process.getuid?.() ?? 0}-${run}`);
}

/** null when it can't be had; the reason then goes to `needs`. */
function install({ need, name, version, program }: Package): Agent | null {
  const cache = agentsDir();
  const prefix = join(cache, `${need}-${version}`);
  const agent = { prefix, program: join(prefix, program), version };
  const reason = ready(cache) ?? (existsSync(agent.program) ? null : fetchPackage(`${name}@${version}`, prefix));
  const missing = reason ?? (existsSync(agent.program) ? null : `${name}@${version} has no ${program}`);
  report(need, missing);
  return missing === null ? agent : null;
}

/** A name in a shared directory is ours only if nobody else made it. */
function ready(cache: string): string | null {
  mkdirSync(cache, { recursive: true, mode: 0o755 });
  const found = lstatSync(cache);
  return found.isDirectory() && found.uid === process.getuid?.() ? null : `${cache} belongs to another user`;
}

function fetchPackage(what: string, prefix: string): string | null {
  const fresh = `${prefix}.${process.pid}`;
  mkdirSync(fresh, { mode: 0o755 });
  const npm = spawnSync(
    'npm', ['install', '--prefix', fresh, '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', what],
    { cwd: fresh, encoding: 'utf8', timeout: 280_000 },
  );
  if (npm.status === 0 && !existsSync(prefix)) renameSync(fresh, prefix);
  rmSync(fresh, { recursive: true, force: true });
  if (npm.status === 0) return null;
  const line = npm.stderr?.split('\n').find((text) => text.includes('npm error')) ?? npm.error?.message ?? '';
  return `npm could not install ${what} (${line.replace(/^npm error\s*/, '')})`;
}
