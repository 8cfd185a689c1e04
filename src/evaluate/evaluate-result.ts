/** From sums per window to the figures of a result. */
import type { FileSizes } from '../onnx/convert/file-sizes.js';
import type { CandidateResult, ModelResult } from './evaluate-types.js';
import type { CandidateScore, WindowScore } from './score.js';
import type { Speed } from './speed.js';
import { meanOf, type WindowSum } from './statistics.js';

/** What was found of one model. */
export interface ModelSums<S extends WindowScore> {
  readonly path: string;
  readonly loadSeconds: number;
  readonly loadedBytes: number;
  readonly speed: Speed | undefined;
  /** One score per window. */
  readonly scores: readonly S[];
}

export type ReferenceSums = ModelSums<WindowScore>;
export type CandidateSums = ModelSums<CandidateScore>;

export function referenceResult(sums: ReferenceSums, sizes: FileSizes): ModelResult {
  const windows = sums.scores.map(({ nll, positions }) => ({ sum: nll, positions }));
  const { mean, standardError } = meanOf(windows);
  return {
    path: sums.path,
    nll: mean,
    nllStandardError: standardError,
    perplexity: Math.exp(mean),
    positions: windows.reduce((total, window) => total + window.positions, 0),
    fileBytes: sizes.fileBytes,
    downloadBytes: sizes.downloadBytes,
    tokensPerSecond: 0,
    ...sums.speed,
    loadSeconds: sums.loadSeconds,
    loadedBytes: sums.loadedBytes,
    windows,
  };
}

export function candidateResult(
  sums: CandidateSums,
  reference: ReferenceSums,
  sizes: FileSizes,
  storedBitsPerWeight: number,
): CandidateResult {
  const of = (value: (score: CandidateScore, window: number) => number): readonly WindowSum[] =>
    sums.scores.map((score, window) => ({ sum: value(score, window), positions: score.positions }));
  const klWindows = of(({ kl }) => kl);
  const kl = meanOf(klWindows);
  const top1Windows = of(({ agreements }) => agreements);
  const top1 = meanOf(top1Windows);
  const delta = meanOf(of(({ nll }, window) => nll - (reference.scores[window]?.nll ?? NaN)));
  return {
    ...referenceResult(sums, sizes),
    // Rounding can leave −1e-16 for a model that equals the reference.
    kl: Math.max(0, kl.mean),
    klStandardError: kl.standardError,
    top1: top1.mean,
    top1StandardError: top1.standardError,
    deltaNll: delta.mean,
    deltaNllStandardError: delta.standardError,
    storedBitsPerWeight,
    klWindows,
    top1Windows,
  };
}
