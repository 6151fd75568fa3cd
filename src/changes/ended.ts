import type { ChangeKind, RiskClass } from './change.js';

/** What a policy did with a sandbox when its agent had ended. */
export interface Ended {
  /** changes that landed, as they were shown */
  readonly landed: number;
  readonly dropped: number;
  /** for `undo`; null when nothing was done */
  readonly commit: string | null;
  /** why what would have landed waits, or null */
  readonly held: string | null;
  /** why nothing landed although it should have */
  readonly failed: string | null;
}

/** What can be said of a sandbox in a moment, however much it changed. */
export interface Glance {
  readonly kinds: Readonly<Record<ChangeKind, number>>;
  readonly classes: Readonly<Record<RiskClass, number>>;
  /** there are more changes than were looked at */
  readonly more: boolean;
}

/** What is said of a run without changes, known without what judges and lands them. */
export const NOTHING: Ended = { landed: 0, dropped: 0, commit: null, held: null, failed: null };

export const NO_CHANGES: Glance = { kinds: { add: 0, modify: 0, delete: 0, type: 0, metadata: 0, rename: 0 }, classes: { normal: 0, later: 0, control: 0 }, more: false };
