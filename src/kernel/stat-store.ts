import type { Stat } from './kernel.js';
import { packStat, STAT_WORDS, statAt, viewOf, type PackedView } from './packed.js';

const STAT_BYTES = STAT_WORDS * 8;
const MOST = 1024;

/** Keeps stats packed, in a third of the memory: there may be a million. */
export class StatStore {
  private view: PackedView | null = null;
  private used = 0;

  keep(stat: Stat): Stat {
    if (this.view === null || this.used === MOST) {
      this.view = viewOf(new ArrayBuffer(MOST * STAT_BYTES));
      this.used = 0;
    }
    const at = this.used * STAT_BYTES;
    this.used += 1;
    packStat(this.view, at, stat);
    return statAt(this.view, at);
  }
}
