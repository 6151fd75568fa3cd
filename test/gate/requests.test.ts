import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { helpers, python } from '../helpers/sandbox.js';
import { startUpstream, type Upstream } from '../helpers/upstream.js';
import { behindGate, buildHarness, type Answers } from './harness.js';

/** By hand, so that the sanitizers see it too. */
const SCRIPT = readFileSync(join(helpers, 'http-requests.py'), 'utf8');

describe('plain HTTP, request by request', () => {
  let up: Upstream;
  beforeAll(async () => {
    buildHarness();
    up = await startUpstream();
  });
  afterAll(() => up.close());

  const run = (check: 'match' | 'always', first: boolean): ReturnType<typeof behindGate> => {
    const answers: Answers = { conn: () => ({ addrs: ['127.0.0.1'], port: up.port, check }), first: () => first };
    return behindGate([python, '-c', SCRIPT, 'ok.test', String(up.port), 'other.test'], answers);
  };

  test.each(['match', 'always'] as const)('a request for another host never arrives, whoever judged the first (`check: %s`)', async (check) => {
    const before = up.seen.length;
    const { out, messages } = await run(check, check === 'always');

    const lines = out.trim().split('\n');
    // Where the first was judged, only what is like it may follow: a POST is not like a GET.
    expect(lines[0]).toBe(check === 'match' ? 'kept 200 200 200 200' : 'kept 200 200 cut');
    expect(lines.filter((line) => line.startsWith('second') || line.startsWith('garbage')).map((line) => line.replace(' 200', ''))).toEqual(['second cut', 'garbage cut']);
    expect(lines.find((line) => line.startsWith('upgrade'))).toBe('upgrade 101 GET /smuggled HT');
    expect(up.seen.slice(before).filter((line) => line.includes('smuggled'))).toEqual([]);
    expect(messages.filter((message) => message.t === 'first' && message.spoke === 'bad').length).toBeGreaterThan(0);
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(messages.filter(({ t }) => t === 'conn').length);
  });
});
