/**
 * Scores of one window: negative log-likelihood, Kullback-Leibler divergence to a reference and top-1 agreement, over the full
 * vocabulary, in nats, with float64 sums over float32 logits. Row i of the logits predicts id i + 1, so n ids give n − 1
 * positions. The divergence is Σ p (r − c) + log Z_c − log Z_r with p = softmax(r): exactly 0 for equal logits.
 */
import { fail } from '../diagnostics.js';
import { expNegative } from './exponential.js';
import type { Logits } from './logits.js';

/** Sums over the positions of one window. */
export interface WindowScore {
  readonly positions: number;
  /** Σ −log p(next id), nats. */
  readonly nll: number;
}

export interface ReferenceScore extends WindowScore {
  /** Per position: log Σ exp(logit). */
  readonly logSums: Float64Array;
  /** Per position: the id with the largest logit, the lowest among equals. */
  readonly likeliest: Int32Array;
}

export interface CandidateScore extends WindowScore {
  /** Σ KL(reference ‖ candidate), nats. */
  readonly kl: number;
  /** Positions at which both models find the same id likeliest. */
  readonly agreements: number;
}

/** Scores a reference on the window `ids`; the result is needed to compare candidates with it. */
export function scoreReference(logits: Logits, ids: ArrayLike<number>, at: string): ReferenceScore {
  const positions = requireFit(logits, ids, at);
  const logSums = new Float64Array(positions);
  const likeliest = new Int32Array(positions);
  let nll = 0;
  for (let position = 0; position < positions; position++) {
    const row = logits.row(position);
    const best = largest(row);
    const logSum = logSumExp(row, row[best] as number, at);
    logSums[position] = logSum;
    likeliest[position] = best;
    nll += logSum - (row[ids[position + 1] as number] as number);
  }
  return { positions, nll, logSums, likeliest };
}

/** Scores a candidate on the window `ids` beside the reference's logits and score of the same window. */
export function scoreCandidate(
  logits: Logits,
  ids: ArrayLike<number>,
  reference: { readonly logits: Logits; readonly score: ReferenceScore },
  at: string,
): CandidateScore {
  const positions = requireFit(logits, ids, at);
  if (logits.vocabulary !== reference.logits.vocabulary) {
    fail(
      'unsupported-model',
      at,
      `The vocabulary has ${logits.vocabulary} ids, that of the reference ${reference.logits.vocabulary}`,
    );
  }
  let [nll, kl, agreements] = [0, 0, 0];
  for (let position = 0; position < positions; position++) {
    const row = logits.row(position);
    const best = largest(row);
    const logSum = reference.score.logSums[position] as number;
    const sums = compareRows(reference.logits.row(position), row, logSum, row[best] as number);
    const candidateLogSum = finite((row[best] as number) + Math.log(sums.mass), at);
    nll += candidateLogSum - (row[ids[position + 1] as number] as number);
    kl += finite(sums.drop / sums.weight, at) + candidateLogSum - logSum;
    if (best === reference.score.likeliest[position]) agreements++;
  }
  return { positions, nll, kl, agreements };
}

/** −log p of ids `from` to the end, each given the ids before it, summed; `from` is at least 1. */
export function scoreEnding(logits: Logits, ids: ArrayLike<number>, from: number, at: string): number {
  requireFit(logits, ids, at);
  let nll = 0;
  for (let position = from - 1; position < ids.length - 1; position++) {
    const row = logits.row(position);
    nll += logSumExp(row, row[largest(row)] as number, at) - (row[ids[position + 1] as number] as number);
  }
  return nll;
}

/** The number of scored positions, after checking that the ids fit the logits. */
function requireFit({ positions, vocabulary }: Logits, ids: ArrayLike<number>, at: string): number {
  if (positions !== ids.length)
    fail('unsupported-model', at, `The model gave ${positions} rows of logits for ${ids.length} ids`);
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as number;
    if (!(id >= 0 && id < vocabulary))
      fail('bad-ids', at, `Id ${id} does not belong to the vocabulary of ${vocabulary} ids`);
  }
  return positions - 1;
}

function largest(row: Float32Array): number {
  let best = 0;
  let most = row[0] as number;
  for (let id = 1; id < row.length; id++) {
    const logit = row[id] as number;
    if (logit > most) {
      most = logit;
      best = id;
    }
  }
  return best;
}

function logSumExp(row: Float32Array, most: number, at: string): number {
  let mass = 0;
  for (let id = 0; id < row.length; id++) mass += expNegative((row[id] as number) - most);
  return finite(most + Math.log(mass), at);
}

/**
 * One pass over a pair of rows: `mass` = Σ exp(c − max c), `weight` = Σ p (1 but for rounding) and `drop` = Σ p (r − c).
 * p is computed anew: storing it for a window of Gemma's vocabulary would take another 537 MB.
 */
function compareRows(
  reference: Float32Array,
  candidate: Float32Array,
  logSum: number,
  most: number,
): { mass: number; weight: number; drop: number } {
  let [mass, weight, drop] = [0, 0, 0];
  for (let id = 0; id < candidate.length; id++) {
    const r = reference[id] as number;
    const c = candidate[id] as number;
    const p = expNegative(r - logSum);
    mass += expNegative(c - most);
    weight += p;
    if (p !== 0) drop += p * (r - c);
  }
  return { mass, weight, drop };
}

function finite(logSum: number, at: string): number {
  return Number.isFinite(logSum) ? logSum : fail('runtime-failed', at, 'The logits are not finite numbers');
}
