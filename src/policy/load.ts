import type { LoadResult, PolicyDocument, Problem } from './document.js';

/**
 * Policy text → document. The YAML reader, the schema and the public suffix
 * list are loaded here only, when a text is not in the cache: together they
 * cost ~100 ms.
 */
export async function parsePolicy(file: string, text: string): Promise<{ kind: 'ok'; document: PolicyDocument } | { kind: 'empty' } | { kind: 'invalid'; problems: readonly Problem[] }> {
  const [{ parseYaml }, { checkShape }, { normalise }, tldts] = await Promise.all([
    import('./yaml.js'), import('./shape.js'), import('./normalise.js'), import('tldts'),
  ]);
  const parsed = parseYaml(file, text);
  if (parsed.kind !== 'ok') return parsed;
  const shape = checkShape(file, text, parsed.yaml);
  if (!shape.ok) return { kind: 'invalid', problems: shape.problems };
  const isPublicSuffix = (name: string): boolean => {
    const { publicSuffix, isIcann, isPrivate } = tldts.parse(`x.${name}`, { allowPrivateDomains: true });
    return publicSuffix === name && (isIcann === true || isPrivate === true);
  };
  const { document, problems } = normalise(shape.input, { file, text, yaml: parsed.yaml, isPublicSuffix });
  return problems.length > 0 ? { kind: 'invalid', problems } : { kind: 'ok', document };
}

/** Bytes of a policy file as a result: not UTF-8 is invalid, nothing but comments is empty. */
export async function loadBytes(file: string, bytes: Buffer, digest: string): Promise<LoadResult> {
  const text = decode(bytes);
  if (text === null) {
    return { kind: 'invalid', file, problems: [{ file, line: 1, col: 1, message: 'the file is not UTF-8', text: null, hint: 'Save it as UTF-8.' }] };
  }
  const parsed = await parsePolicy(file, text);
  if (parsed.kind === 'empty') return { kind: 'empty', file };
  if (parsed.kind === 'invalid') return { kind: 'invalid', file, problems: parsed.problems };
  return { kind: 'ok', file, digest, document: parsed.document };
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
