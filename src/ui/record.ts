import type { Bytes } from '../bytes.js';
import { isText, nameOf, toBuffer, toText } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';

/** `{"path": text}`, and `"pathBytes"` in base64 where text would lose something. */
export function bytesJson<N extends string>(name: N, bytes: Bytes): Record<string, string> {
  const text = { [name]: toText(bytes) };
  return isText(bytes) ? text : { ...text, [`${name}Bytes`]: toBuffer(bytes).toString('base64') };
}

/** `{"added": texts}`, and `"addedBytes"` with all of them in base64 where a text would lose something. */
export function listJson<N extends string>(name: N, list: readonly Bytes[]): Record<string, readonly string[]> {
  const texts = { [name]: list.map(toText) };
  return list.every(isText) ? texts : { ...texts, [`${name}Bytes`]: list.map((bytes) => toBuffer(bytes).toString('base64')) };
}

/** A sandbox in `list --json` and `status --json`; docs/json.md. */
export function recordJson(record: SandboxRecord): Record<string, unknown> {
  const { tag, state, mode, created, started, stopped, net, exit, driver, init, degraded, durable } = record;
  return {
    ...{ tag, state, agent: toText(nameOf(record.argv[0] ?? ('' as Bytes))) },
    ...listJson('argv', record.argv),
    ...bytesJson('cwd', record.cwd),
    ...{ mode, net, durable, created, started, stopped, exit },
    ...{ driver: driver?.pid ?? null, init: init?.pid ?? null, degraded },
  };
}

/** How the agent ended: `status 0`, `signal 9`, or nothing while it runs. */
export function exitText(exit: SandboxRecord['exit']): string {
  if (exit === null) return '';
  return 'signal' in exit ? `signal ${exit.signal}` : `status ${exit.code}`;
}
