/** Shapes of well-known credentials, for values of variables. Start of the value, so that `redact` and this agree on words. */
const SHAPES: readonly (readonly [name: string, shape: RegExp])[] = [
  ['an API key', /\b(?:sk|pk|rk)[-_](?:ant|proj|live|test|or)[-_][A-Za-z0-9_-]{8,}|\bsk-[A-Za-z0-9_-]{20,}/],
  ['a source hosting token', /\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}/],
  ['a cloud key', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}/],
  ['a chat token', /\bxox[abeprs]-[A-Za-z0-9-]{10,}/],
  ['a package token', /\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bhf_[A-Za-z0-9]{30,}/],
  ['a signed token', /\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+/],
  ['a private key', /-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAGE-SECRET-KEY-1[A-Z0-9]{20,}/],
  ['a URL with a password', /\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@]*:[^\s/@]+@/i],
];

/** What kind of credential a text looks like, or null. */
export function credentialIn(text: string): string | null {
  return SHAPES.find(([, shape]) => shape.test(text))?.[0] ?? null;
}
