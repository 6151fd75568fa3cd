import type { Bytes } from '../../bytes.js';
import type { Cleaning } from '../plan/step.js';

export const ORIGIN_NAME = 'trusted.overlay.origin' as Bytes;
const NOTHING: readonly never[] = [];

/** What is to be taken off most files that came up in root mode: the mark of that. Its value stays as it was read, as there may be a million. */
export class OriginMark implements Cleaning {
  readonly whiteouts = NOTHING;
  readonly modes = NOTHING;
  /** a char per byte */
  readonly value: string;

  constructor(value: string) {
    this.value = value;
  }
  get marks(): Cleaning['marks'] {
    return [{ path: '' as Bytes, name: ORIGIN_NAME, value: Buffer.from(this.value, 'latin1') }];
  }
}
