import type { Area, Outcome } from './sandbox.js';

/**
 * An outcome as a transcript: stdout, then stderr, then the exit status, with
 * everything that differs from run to run replaced by a word.
 */
export function transcript(area: Area, outcome: Outcome): string {
  const stderr = outcome.stderr === '' ? '' : `--- stderr ---\n${outcome.stderr}`;
  const text = `${outcome.stdout}${stderr}--- exit ${outcome.status ?? outcome.signal ?? '?'} ---\n`;
  return text
    .replaceAll(area.project, '$PROJECT')
    .replaceAll(area.state, '$STATE')
    .replaceAll(area.dir, '$AREA')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '$TIME')
    .replace(/\b\d+(s|min)\b/g, '$AGE')
    .replace(/sha256:[0-9a-f]{64}/g, 'sha256:$DIGEST');
}
