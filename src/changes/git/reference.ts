import type { CapturedBase } from '../base.js';
import type { Conflict } from '../change.js';
import type { PackedRef } from './packed-ref.js';

/** In place of a value: the packed ones had changed by the time that the agent wrote its own. */
export const NOT_SEEN = '?';

/** What is known of a reference on the host, loose and packed. */
export interface ReferenceEvidence {
  readonly captured: CapturedBase | null;
  /** the value in the captured file; null when it has none */
  readonly capturedValue: () => string | null;
  /** what agentfw itself landed there; null: nothing, or it is not known */
  readonly landed: string | null;
  /** agentfw itself took the file away: the value went to the packed ones */
  readonly tookAway: boolean;
  readonly packed: PackedRef;
  /** the packed ones were written since T0, and not by agentfw */
  readonly isTouched: boolean;
}

/**
 * A branch or tag of which the host has no file: git keeps its value among the
 * packed ones. Undefined: nothing is known of what the agent started from, and
 * nothing is packed now.
 */
export function referenceConflict(evidence: ReferenceEvidence): Conflict | null | undefined {
  const { packed, isTouched } = evidence;
  const was = formerValue(evidence);
  if (was === null) return packed.value === null ? undefined : isTouched ? 'uncaptured' : null;
  if (was === (packed.value ?? '')) return null;
  if (packed.value === null) return 'deleted';
  return was === '' ? 'created' : 'changed';
}

/** '': there was none; null: it is not known. */
function formerValue({ captured, capturedValue, landed, tookAway }: ReferenceEvidence): string | null {
  if (landed !== null) return landed;
  if (tookAway || captured === null) return null;
  if (captured.state === 'absent') return captured.detail === NOT_SEEN ? null : captured.detail;
  return captured.state === 'file' ? capturedValue() : null;
}
