import { rmSync } from 'node:fs';
import { agentsDir } from './agents.js';

/** A directory for each run: another one that ends must not take the agents from under it. */
export function setup(): void {
  if (process.env['AGENTFW_KEEP_AGENTS'] !== '1') process.env['AGENTFW_TEST_RUN'] = String(process.pid);
}

/** For vitest's `globalSetup`: real agents are large, and what tests make goes when they end. */
export function teardown(): void {
  if (process.env['AGENTFW_KEEP_AGENTS'] !== '1') rmSync(agentsDir(), { recursive: true, force: true });
}
