import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { listeningPorts } from '../../src/kernel/listeners.js';
import { outOfReach } from '../../src/sandbox/host-servers.js';

const all = (env: Record<string, string>, connected: readonly number[] = []): readonly string[] =>
  outOfReach(env, new Map(connected.map((port) => [port, port])), () => new Set([80, 443, 5432, 8080, 11434]));

describe('servers of this machine that variables lead to', () => {
  test.each([
    ['ANTHROPIC_BASE_URL', 'http://127.0.0.1:8080', 8080],
    ['OPENAI_BASE_URL', 'http://localhost:11434/v1', 11434],
    ['OLLAMA_HOST', '127.0.0.1:11434', 11434],
    ['DATABASE_URL', 'postgres://me@[::1]:5432/db', 5432],
    ['API', 'http://localhost', 80],
    ['API', 'HTTPS://LOCALHOST/x', 443],
  ])('%s=%s', (name, value, port) => {
    expect(all({ [name]: value })).toEqual([`${name} leads to port ${port} of this machine, which the agent reaches with --connect-host ${port} alone`]);
    expect(all({ [name]: value }, [port])).toEqual([]);
  });

  test.each([
    ['ANTHROPIC_BASE_URL', 'https://api.example.org:8080'],
    ['A', 'http://localhost.example.org:8080'],
    ['A', 'http://example.org/?to=http://localhost:8080'],
    ['A', 'http://localhost:3000'], // nothing listens
    ['https_proxy', 'http://127.0.0.1:8080'],
    ['HOSTNAME', 'localhost'],
  ])('not %s=%s', (name, value) => {
    expect(all({ [name]: value })).toEqual([]);
  });

  test.each([['127.0.0.1'], ['::1']])('a port that is listened on at %s is known', async (address) => {
    const server = createServer().listen(0, address);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    expect(listeningPorts()).toContain(port);
    server.close();
    await once(server, 'close');
    expect(listeningPorts()).not.toContain(port);
  });
});
