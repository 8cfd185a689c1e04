/** What the report of a set says: the contents of NAME.report.json, and all that the page is made from. */

import type { CompiledFacts } from '../../set/index.js';
import type { ReportSweep, TaskAnswers, UnitDamage } from './data-mixes.js';

export type {
  BlockTraining,
  CompiledDistillation,
  CompiledFacts,
  CompiledProjection,
  CompiledTable,
  Refusal,
} from '../../set/index.js';
export type { ReportSweep, SweepScore, TaskAnswers, TaskRow, UnitDamage } from './data-mixes.js';

/** Times and memory of one run of `compile`. */
export interface RunFacts {
  readonly seconds: number;
  /** Seconds by stage, in the order of the road. */
  readonly stages: Readonly<Record<string, number>>;
  readonly peakMemoryBytes?: number | undefined;
}

/** One graph of the set. */
export interface ReportModel {
  /** `int4` or the name of a mix. */
  readonly name: string;
  readonly file: string;
  /** Bits of a code, averaged over the weights. */
  readonly averageBits: number;
  /** Bits per quantized weight on disk, tables included. */
  readonly storedBitsPerWeight: number;
  readonly graphBytes: number;
  /** What has to be stored of the data file: for one precision its part up to there, for a mix what it reads of it. */
  readonly dataBytes: number;
  /** Of `dataBytes`: tensors that are not quantized. */
  readonly restBytes: number;
  /** Average bits per layer. */
  readonly layers: readonly LayerBits[];
  /** One precision for all, or precisions by projection id. */
  readonly bits: number | Readonly<Record<string, number>>;
}

export interface LayerBits {
  readonly layer: number;
  readonly bits: number;
}

/** A quantized matrix [n, k]. */
export interface ReportProjection {
  readonly id: string;
  readonly layer: number;
  readonly role: string;
  readonly k: number;
  readonly n: number;
  readonly block: number;
  /** Precisions it has, smallest first. */
  readonly chain: readonly number[];
}

/** Scores on one text. */
export interface ReportEvaluation {
  /** The file of results without its suffix. */
  readonly name: string;
  /** For the short comparison at the end of `compile`: what it ran on. */
  readonly probe?: 'text' | 'held-out text' | 'calibration text' | 'random ids';
  readonly positions: number;
  readonly reference?: ReferenceScore | undefined;
  readonly scores: readonly Score[];
}

export interface ReferenceScore {
  readonly name: string;
  /** Mean −log p of the next token, nats. */
  readonly nll: number;
  readonly bytes?: number | undefined;
  readonly tokensPerSecond?: number | undefined;
}

export interface Score {
  /** The graph's name in the set, or the file name of a model from elsewhere. */
  readonly name: string;
  /** Bytes to download for this model alone. */
  readonly bytes?: number | undefined;
  /** Mean KL(source ‖ model), nats per position. */
  readonly kl: number;
  readonly klStandardError?: number | undefined;
  readonly top1: number;
  readonly nll?: number | undefined;
  readonly deltaNll?: number | undefined;
  readonly deltaNllStandardError?: number | undefined;
  readonly tokensPerSecond?: number | undefined;
}

/** The codes of all projections that have this precision. */
export interface CodeHistogram {
  readonly name: string;
  readonly bits: number;
  readonly counts: readonly number[];
  /** Mean code over the highest: ½ when the codes lie evenly about the middle, more after a shift to the right. */
  readonly meanLevel: number;
  /** Before training, where codes were trained. */
  readonly before?: { readonly counts: readonly number[]; readonly meanLevel: number } | undefined;
  /** Shannon entropy in bits. */
  readonly entropyBits: number;
}

export interface Provenance {
  readonly tool: string;
  readonly sourceSha256?: string | undefined;
  readonly restSha256: string;
  readonly sections: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /** Facts of the calibration, by name. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface ReportData {
  readonly format: 'matquant-report';
  readonly version: 1;
  /** Digest of the set's data. */
  readonly set: string;
  /** File name stem of the set. */
  readonly name: string;
  readonly source: string;
  readonly dataFile: string;
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly models: readonly ReportModel[];
  readonly projections: readonly ReportProjection[];
  readonly rest: { readonly tensors: number; readonly bytes: number };
  /** Absent for sets that were cut from others, which do not come with it. */
  readonly compiled?: CompiledFacts | undefined;
  readonly evaluations: readonly ReportEvaluation[];
  readonly tasks: readonly TaskAnswers[];
  readonly sweeps: readonly ReportSweep[];
  readonly sensitivities: readonly UnitDamage[];
  readonly histograms: readonly CodeHistogram[];
  readonly run?: RunFacts | undefined;
  readonly provenance: Provenance;
  /** What the report could not say, and what to do about it. */
  readonly notes: readonly string[];
}
