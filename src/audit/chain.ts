import crypto, { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import type { AuditEvent, AuditRecord } from './event.js';
import { redactEvent } from './redact.js';

/** `prev` of the first record. */
export const GENESIS = '0'.repeat(64);

/** The end of a log as it was known: what truncation is measured against. */
export interface AuditHead {
  readonly version: 1;
  readonly tag: string;
  /** of the last record; -1 in an empty log */
  readonly index: number;
  /** SHA-256 of the last line */
  readonly hash: string;
  /** Ed25519 over `headText`, base64; null while the sandbox runs or after a crash */
  readonly signature: string | null;
  /** SHA-256 of the signing key's public half, hex */
  readonly key: string | null;
}

/** What the sandbox's own record remembers of its log: a proof that lies apart from the log and its head. */
export interface AuditAnchor {
  readonly index: number;
  /** SHA-256 of that line */
  readonly hash: string;
  /** the log had a signed end by then, so it has one ever after */
  readonly signed: boolean;
}

/** What the writer adds to an event. */
export interface Stamp {
  readonly index: number;
  readonly time: Date;
  readonly tag: string;
  readonly policy: string | null;
  readonly prev: string;
}

/** The line without its line end: ASCII only, so nothing in it acts on a terminal or ends a record. */
export function lineOf(event: AuditEvent, stamp: Stamp): string {
  const { value, count } = redactEvent(event);
  const record: AuditRecord = {
    v: 1, index: stamp.index, time: stamp.time.toISOString(), tag: stamp.tag, policy: stamp.policy, kind: value.kind,
    subject: value.subject ?? null, object: mutable(value.object), verdict: value.verdict ?? null, rule: value.rule ?? null,
    origin: value.origin ?? null, approval: value.approval ?? null, detail: mutable(value.detail), redacted: count, prev: stamp.prev,
  };
  return JSON.stringify(record).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function mutable(fields: AuditEvent['object']): AuditRecord['object'] {
  return { ...fields } as AuditRecord['object'];
}

/** In one call where Node has one (20.12). */
export function hashLine(line: string): string {
  if (typeof crypto.hash === 'function') return crypto.hash('sha256', Buffer.from(line, 'latin1'));
  return createHash('sha256').update(line, 'latin1').digest('hex');
}

/** A user's signing key: PKCS#8 PEM. */
export function newKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The SPKI PEM of the key whose PKCS #8 PEM this is. Throws what `node:crypto` does where it is none. */
export function publicKeyOf(privatePem: string): string {
  return createPublicKey(privateKeyOf(privatePem)).export({ type: 'spki', format: 'pem' }).toString();
}

/** Throws where it is none. The same key is asked for at a run's start and at its end. */
export function privateKeyOf(pem: string): KeyObject {
  if (known?.pem !== pem) known = { pem, key: createPrivateKey(pem) };
  return known.key;
}
let known: { readonly pem: string; readonly key: KeyObject } | null = null;

/** The head with an Ed25519 signature (RFC 8032) over its text, and the fingerprint of the key that made it. */
export function signHead(head: AuditHead, privatePem: string): AuditHead {
  const key = privateKeyOf(privatePem);
  const keyed = { ...head, key: fingerprint(createPublicKey(key)) };
  return { ...keyed, signature: sign(null, headText(keyed), key).toString('base64') };
}

/** False also for a head that another key signed. */
export function isSignedBy(head: AuditHead, publicPem: string): boolean {
  if (head.signature === null) return false;
  const key = createPublicKey(publicPem);
  return head.key === fingerprint(key) && verify(null, headText(head), key, Buffer.from(head.signature, 'base64'));
}

function fingerprint(key: KeyObject): string {
  return createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('hex');
}

function headText(head: AuditHead): Buffer {
  return Buffer.from(`agentfw-audit-head 1\n${head.tag}\n${head.index}\n${head.hash}\n${head.key ?? ''}\n`);
}
