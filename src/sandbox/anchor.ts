import type { AuditAnchor } from '../audit/chain.js';
import type { Audit } from '../audit/write.js';

const FIRST_MS = 1000;
const LAST_MS = 32_000;

/**
 * Has the sandbox's record remember, every so often, how far the log has come:
 * a log that is cut together with its head doesn't look like a crash then. Two
 * syncs each time, so seldom that they cost nothing; soon at first, because
 * most of what can be cut is young then.
 */
export function keepAnchored(audit: Audit, remember: (anchor: AuditAnchor) => void): { readonly stop: () => void } {
  let pause = FIRST_MS;
  let known = audit.newest()?.index ?? -1;
  const again = (): NodeJS.Timeout => setTimeout(tick, pause).unref();
  const tick = (): void => {
    const newest = audit.newest();
    try {
      if (newest !== null && newest.index > known) {
        audit.sync();
        remember(newest);
        known = newest.index;
      }
    } catch {
      // A full disk: what it means is the log's to say, at its next record.
    }
    pause = Math.min(2 * pause, LAST_MS);
    timer = again();
  };
  let timer = again();
  return { stop: () => clearTimeout(timer) };
}

/** The record with what is known of the log now. */
export function anchored<T extends { readonly audit?: AuditAnchor }>(record: T, audit: Audit): T {
  const newest = audit.newest();
  return newest === null ? record : { ...record, audit: newest };
}
