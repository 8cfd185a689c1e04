/** The result of an evaluation, as `matquant eval --json` prints it. Losses are means per position, in nats. */
import type { WindowSum } from './statistics.js';

/** The scores of one model. */
export interface ModelResult {
  readonly path: string;
  /** Mean −log p of the next token. */
  readonly nll: number;
  readonly nllStandardError: number;
  /** exp(nll). */
  readonly perplexity: number;
  /** Scored positions. */
  readonly positions: number;
  /** Graph file and the external data it refers to. */
  readonly fileBytes: number;
  /** Graph file and data files up to the last byte it refers to. */
  readonly downloadBytes: number;
  /** Decoding speed at batch 1 where the model has a cache, else prefill speed; 0 when not measured. */
  readonly tokensPerSecond: number;
  readonly decodeTokensPerSecond?: number;
  readonly prefillTokensPerSecond?: number;
  readonly loadSeconds: number;
  /** Growth of the process's resident memory while the model was opened. */
  readonly loadedBytes: number;
  /** Σ −log p per window, in the order of the windows. */
  readonly windows: readonly WindowSum[];
}

/** The scores of one model compared with the reference. */
export interface CandidateResult extends ModelResult {
  /** Mean KL(reference ‖ candidate). */
  readonly kl: number;
  readonly klStandardError: number;
  /** Share of positions at which both models have the same most likely token. */
  readonly top1: number;
  readonly top1StandardError: number;
  /** nll − nll of the reference; its error is that of the paired differences, far below that of either nll. */
  readonly deltaNll: number;
  readonly deltaNllStandardError: number;
  readonly storedBitsPerWeight: number;
  /** Σ KL per window. */
  readonly klWindows: readonly WindowSum[];
  /** Positions of the same likeliest token, per window. */
  readonly top1Windows: readonly WindowSum[];
}

/** The scores of all models, as `matquant eval --json` prints them. */
export interface EvalResult {
  readonly reference: ModelResult;
  readonly candidates: readonly CandidateResult[];
}
