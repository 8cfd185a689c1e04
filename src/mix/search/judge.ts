/** Measures mixes for a search, and counts: a mix that is known costs nothing, and the budget of evaluations is kept. */
import { type Mix, mixOf, type Picks, type Unit } from './types.js';

/** What a search asks of the model. */
export interface Judge {
  /** Measured damage; undefined when the evaluations are used up. */
  measure(picks: Picks): Promise<number | undefined>;
  /** Mixes that can still be measured. */
  readonly left: number;
  /** Neighbours of this mix are quick from now on. */
  settle(picks: Picks): Promise<void>;
}

export interface Meter {
  measure(mix: Mix): Promise<{ readonly kl: number }>;
  settle(mix: Mix): Promise<void>;
}

export class MeteredJudge implements Judge {
  readonly #meter: Meter;
  readonly #units: readonly Unit[];
  readonly #fixed: Mix;
  readonly #most: number;
  readonly #known: Map<string, number> = new Map();
  readonly #onEvaluation: (done: number, most: number) => void;

  /** `fixed` are the projections that no unit holds. */
  constructor(
    meter: Meter,
    units: readonly Unit[],
    fixed: Mix,
    most: number,
    onEvaluation: (done: number, most: number) => void = () => {},
  ) {
    this.#meter = meter;
    this.#units = units;
    this.#fixed = fixed;
    this.#most = most;
    this.#onEvaluation = onEvaluation;
  }

  /** Mixes that were measured. */
  get evaluations(): number {
    return this.#known.size;
  }

  get left(): number {
    return this.#most - this.#known.size;
  }

  async measure(picks: Picks): Promise<number | undefined> {
    const key = picks.join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= this.#most) return undefined;
    const { kl } = await this.#meter.measure(this.mix(picks));
    this.#known.set(key, kl);
    this.#onEvaluation(this.#known.size, this.#most);
    return kl;
  }

  settle(picks: Picks): Promise<void> {
    return this.#meter.settle(this.mix(picks));
  }

  mix(picks: Picks): Mix {
    return new Map([...this.#fixed, ...mixOf(this.#units, picks)]);
  }
}
