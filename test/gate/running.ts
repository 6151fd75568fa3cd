import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { newKey, publicKeyOf } from '../../src/audit/chain.js';
import type { AuditRecord } from '../../src/audit/event.js';
import { readLog } from '../../src/audit/read.js';
import { verifyLog } from '../../src/audit/verify.js';
import { openAudit, type Audit } from '../../src/audit/write.js';
import { fromText } from '../../src/bytes.js';
import { askSandbox } from '../../src/gate/control.js';
import { startGate, type Gate, type GateOptions } from '../../src/gate/gate.js';
import { makeRecords } from '../../src/gate/records.js';
import { native as kernel } from '../../src/kernel/native.js';
import type { CompiledPolicy } from '../../src/policy/compiled.js';
import { serveOnLoopback } from '../helpers/loopback.js';
import { eventually } from '../helpers/sandbox.js';
import { policyOf as compilePolicyOf } from '../policy/make.js';
import { buildHarness, HARNESS } from './harness.js';

const web = createServer((request, response) => {
  const answer = (): void => void response.end(`hello ${request.headers.host ?? ''}\n`);
  if (request.url === '/held') answerHeld = answer;
  else answer();
});
/** Answers what asks the server for `/held`. */
export let answerHeld = (): void => undefined;
/** The audit log, the control socket and the agent's notes of one run. */
export let dir = '';
/** What the program waits for until `letGo`, where nobody else may look. */
export let waits = '';
export let letGo = (): void => undefined;
let places: readonly string[] = [];
/** Of a server on loopback that says hello to who asks for which host. */
export let port = 0;

beforeAll(async () => {
  buildHarness();
  port = await serveOnLoopback(web);
});
afterAll(() => web.close());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentfw-session-'));
  chmodSync(dir, 0o700);
  const place = mkdtempSync(join(tmpdir(), 'agentfw-session-go-'));
  chmodSync(place, 0o755);
  waits = `until test -e ${place}/go; do sleep 0.02; done`;
  letGo = () => writeFileSync(join(place, 'go'), '');
  places = [dir, place];
});
afterEach(() => places.forEach((place) => rmSync(place, { recursive: true })));

/** Everything asks, but for what is listed: names on this test's own loopback server, so `private`. */
export async function policyOf(rules: { allow?: string[]; deny?: string[] }): Promise<CompiledPolicy> {
  const allow = (rules.allow ?? []).map((host) => ({ host, ports: 'any', private: true, id: 'test.allow' }));
  const text = JSON.stringify({ version: 1, network: { allow, deny: (rules.deny ?? []).map((host) => ({ host, id: 'test.deny' })), default: 'ask' } });
  return await compilePolicyOf({ user: text });
}

/** A program in the harness, behind a gate that is ours. */
export interface Running {
  readonly gate: Gate;
  readonly audit: Audit;
  readonly child: ChildProcess;
  readonly done: Promise<{ status: number; out: string }>;
}

let ids = 0;
/** Starts it; names in `.test` lead to loopback, but for `typo.test` and `*far.test`. */
export async function start(argv: readonly string[], policy: CompiledPolicy, more: Partial<GateOptions['ask']> & Pick<Partial<GateOptions>, 'publish' | 'upstream'> = {}, onResolve: (name: string) => Promise<void> | void = () => undefined): Promise<Running> {
  const root = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const command = [...root, HARNESS, '--', ...argv];
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'ignore', 'ignore', 'ignore', 'pipe'], env: { PATH: '/usr/bin:/bin', HOME: '/' }, cwd: '/' });
  let out = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')));
  const done = once(child, 'close').then(([code]) => ({ status: (code as number | null) ?? 128, out }));
  const audit = openAudit({ kernel, dir: fromText(dir), tag: 't', policy: policy.digest, now: () => new Date(), onFull: 'stop' });
  const gate = await startGate({
    ...{ stream: (child.stdio as unknown as Duplex[])[5]!, policy, audit, dir, now: () => new Date(), newId: () => `q${(ids += 1)}` },
    ask: { enabled: true, person: true, timeoutMs: 300_000, approver: null, onChanged: () => undefined, stored: [], store: () => undefined, ...more },
    ...{ publish: more.publish ?? [], connectHost: new Map(), upstream: more.upstream ?? null, unusedProxy: null },
    records: makeRecords({
      resolveTxt: () => Promise.resolve([['hello text']]),
      resolveMx: () => Promise.resolve([{ exchange: 'mail.a.test', priority: 1 }]),
      resolveSrv: () => Promise.resolve([{ name: 'srv.a.test', port: 1, priority: 1, weight: 1 }]),
    }),
    resolve: async (name) => {
      await onResolve(name);
      return name.endsWith('.test') && name !== 'typo.test' && !name.endsWith('far.test') ? { kind: 'addresses', addresses: ['127.0.0.1'] } : { kind: 'none', missing: true, why: 'it does not exist' };
    },
  });
  return { gate, audit, child, done };
}

/** Waits for its end, and for a log that verifies. */
export async function finish({ gate, audit, done }: Running): Promise<{ status: number; out: string; log: AuditRecord[] }> {
  const ended = await done;
  await gate.session.ended;
  gate.close();
  const key = newKey();
  audit.close(key);
  expect(verifyLog(kernel, fromText(dir), 't', { publicKey: publicKeyOf(key), anchor: null })).toMatchObject({ ok: true, end: 'signed' });
  return { ...ended, log: [...readLog(kernel, fromText(dir))] };
}

/** The first question that is open. */
export async function question(): Promise<{ id: string; rule: string }> {
  return eventually('something is asked', async (): Promise<{ id: string; rule: string }> => {
    const reply = await askSandbox(dir, { do: 'state' });
    return (reply?.ok === true && 'state' in reply ? reply.state.questions[0] : undefined)!;
  });
}

/** Asks the server, by that name. */
export const curl = (host: string): string => `curl -s -m 300 http://${host}:${port}/`;
