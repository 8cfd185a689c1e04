/**
 * Scores of one window: negative log-likelihood, Kullback-Leibler divergence to a reference and top-1 agreement, over the full
 * vocabulary, in nats, with float64 sums over float32 logits. Row i of the logits predicts id i + 1, so n ids give n − 1
 * positions. The divergence is Σ p (r − c) + log Z_c − log Z_r with p = softmax(r): exactly 0 for equal logits.
 */
import { fail } from '../diagnostics.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Logits } from './logits.js';
import { type ReferenceRows, type RowScores, scoreRows } from './row-scorer.js';

/** Sums over the positions of one window. */
export interface WindowScore {
  readonly positions: number;
  /** Σ −log p(next id), nats. */
  readonly nll: number;
}

/** A reference's score of a window, with what is needed to compare candidates with it. */
export interface ReferenceScore extends WindowScore, ReferenceRows {
  readonly likeliest: Int32Array;
}

export interface CandidateScore extends WindowScore {
  /** Σ KL(reference ‖ candidate), nats. */
  readonly kl: number;
  /** Positions at which both models find the same id likeliest. */
  readonly agreements: number;
}

/** Scores a reference on the window `ids`. Fails with `bad-ids`, or with `runtime-failed` when a logit is not finite. */
export async function scoreReference(
  pool: KernelPool,
  logits: Logits,
  ids: ArrayLike<number>,
  at: string,
): Promise<ReferenceScore> {
  const positions = requireFit(logits, ids, at);
  const { logSums, likeliest } = await scoreRows(pool, logits, [0, positions]);
  return { positions, nll: nllOf(logits, ids, logSums, 0, at), logits, logSums, likeliest };
}

/** Scores a candidate on the window `ids` beside the reference's score of the same window. */
export async function scoreCandidate(
  pool: KernelPool,
  logits: Logits,
  ids: ArrayLike<number>,
  reference: ReferenceScore,
  at: string,
): Promise<CandidateScore> {
  const positions = requireFit(logits, ids, at);
  const [own, other] = [logits.vocabulary, reference.logits.vocabulary];
  if (own !== other) fail('unsupported-model', at, `The vocabulary has ${own} ids, that of the reference ${other}`);
  const rows = await scoreRows(pool, logits, [0, positions], reference);
  const nll = nllOf(logits, ids, rows.logSums, 0, at);
  const kl = finite(sum(rows.divergences), at);
  return { positions, nll, kl, agreements: agreementsOf(rows, reference) };
}

/** Σ −log p of ids `from` to the end, each given the ids before it; `from` is at least 1. */
export async function scoreEnding(
  pool: KernelPool,
  logits: Logits,
  ids: ArrayLike<number>,
  from: number,
  at: string,
): Promise<number> {
  const positions = requireFit(logits, ids, at);
  const { logSums } = await scoreRows(pool, logits, [from - 1, positions]);
  return nllOf(logits, ids, logSums, from - 1, at);
}

/** The number of scored positions, after checking that the ids fit the logits. */
function requireFit({ positions, vocabulary }: Logits, ids: ArrayLike<number>, at: string): number {
  if (positions !== ids.length) {
    fail('unsupported-model', at, `The model gave ${positions} rows of logits for ${ids.length} ids`);
  }
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as number;
    if (!(id >= 0 && id < vocabulary)) {
      fail('bad-ids', at, `Id ${id} does not belong to the vocabulary of ${vocabulary} ids`);
    }
  }
  return positions - 1;
}

/** Σ −log p over the rows from `first` on whose log sums are given. */
function nllOf(logits: Logits, ids: ArrayLike<number>, logSums: Float64Array, first: number, at: string): number {
  let nll = 0;
  for (const [index, logSum] of logSums.entries()) {
    const row = first + index;
    nll += logSum - (logits.row(row)[ids[row + 1] as number] as number);
  }
  return finite(nll, at);
}

function agreementsOf(rows: RowScores, reference: ReferenceScore): number {
  return rows.likeliest.reduce((count, id, row) => count + (id === reference.likeliest[row] ? 1 : 0), 0);
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);

function finite(value: number, at: string): number {
  return Number.isFinite(value) ? value : fail('runtime-failed', at, 'The logits are not finite numbers');
}
