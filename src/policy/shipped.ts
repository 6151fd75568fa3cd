import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PolicyDocument } from './document.js';

/** A directory beside the bundle, named by what is in it: scripts/build.mjs puts the name in. */
declare const SHIPPED_DOCUMENTS: string | undefined;

/**
 * What the build made of a shipped profile's text, by the text's digest, or
 * null. Reading the YAML of all of them would take a first run longer than
 * everything else that it does.
 */
export function shippedDocument(digest: string): PolicyDocument | null {
  if (typeof SHIPPED_DOCUMENTS === 'undefined') return null;
  try {
    const file = join(dirname(fileURLToPath(import.meta.url)), SHIPPED_DOCUMENTS, `${digest}.json`);
    return JSON.parse(readFileSync(file, 'utf8')) as PolicyDocument;
  } catch {
    return null; // of another text, or of a build that was replaced meanwhile
  }
}
