import { rmSync } from 'node:fs';
import { agentsDir } from './agents.js';

/** For vitest's `globalSetup`: real agents are large, and what tests make goes when they end. */
export function teardown(): void {
  if (process.env['AGENTFW_KEEP_AGENTS'] !== '1') rmSync(agentsDir(), { recursive: true, force: true });
}
