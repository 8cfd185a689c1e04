/** What a report says of answers to questions, mixes and sensitivities. */

/** Answers to multiple-choice questions. */
export interface TaskAnswers {
  /** The file of results without its suffix. */
  readonly name: string;
  readonly rows: readonly TaskRow[];
}

export interface TaskRow {
  readonly task: string;
  readonly model: string;
  readonly items: number;
  readonly accuracy: number;
  readonly accuracyStandardError: number;
  readonly normalizedAccuracy: number;
  readonly normalizedAccuracyStandardError: number;
  /** Share of the questions that the reference answers in the same way. */
  readonly agreement: number;
}

/** What `sweep` found: mixes of the set, scored on one text. */
export interface ReportSweep {
  /** The file of results without its suffix. */
  readonly name: string;
  /** `layer` or `projection`: what got a precision of its own. */
  readonly per: string;
  readonly reference: string;
  readonly positions: number;
  readonly points: readonly SweepScore[];
}

export interface SweepScore {
  readonly name: string;
  readonly kind: 'uniform' | 'shape' | 'search';
  readonly averageBits: number;
  readonly storedBitsPerWeight: number;
  readonly bytes: number;
  readonly kl: number;
  readonly klStandardError: number;
  readonly deltaNll: number;
  /** Mixes that were run to find it. */
  readonly evaluations: number;
  readonly seconds: number;
}

/** What the output loses when one unit alone is sliced: KL in nats per position. */
export interface UnitDamage {
  /** `layers.3` or `layers.3.down`. */
  readonly unit: string;
  readonly layer: number;
  /** Absent for whole layers. */
  readonly role?: string | undefined;
  readonly bits: number;
  readonly kl: number;
}
