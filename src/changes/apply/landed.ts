import type { Landed, LandedPaths } from '../result.js';
import { numbered, type Step, type Steps } from '../plan/step.js';

/** Made from the steps as it is gone through: of a million paths nobody wants them all at once. */
export class LandedList implements LandedPaths {
  readonly length: number;
  private readonly steps: Steps;
  private readonly without: ReadonlySet<number>;
  private readonly tell: (step: Step) => Landed;

  constructor(steps: Steps, without: ReadonlySet<number>, tell: (step: Step) => Landed) {
    this.length = steps.length - without.size;
    this.steps = steps;
    this.without = without;
    this.tell = tell;
  }
  *[Symbol.iterator](): Generator<Landed> {
    for (const [index, step] of numbered(this.steps)) if (!this.without.has(index)) yield this.tell(step);
  }
}
